"""The import directions: meaning at the bottom, wires above it, sockets at the edge. Held by reading the source."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "otari"

# folder (or file) → what it may import beside the standard library; a prefix covers everything below it
ALLOWED: dict[str, tuple[str, ...]] = {
    "domain": ("otari.domain",),
    "dialects": ("otari.domain", "otari.dialects", "orjson"),
    "operations": ("otari.domain", "otari.dialects", "otari.operations", "orjson"),
    "store": ("otari.domain", "otari.store", "orjson"),
    "control": ("otari.domain", "otari.store", "otari.control", "aiohttp", "orjson"),
    "upstreams": ("otari.domain", "otari.dialects", "otari.operations", "otari.upstreams", "aiohttp", "yarl", "orjson"),
    "extraction": ("otari.domain", "otari.extraction", "pypdf"),
    "gateway": ("otari.domain", "otari.dialects", "otari.operations", "otari.gateway", "orjson"),
    "web": (
        *("otari.domain", "otari.dialects", "otari.operations", "otari.gateway", "otari.store", "otari.web"),
        *("aiohttp", "msgspec", "multidict", "orjson"),
    ),
    "config": ("otari.domain", "otari.config", "yaml", "msgspec"),
}
EVERYTHING = (
    *(
        "app.py",
        "serving.py",
        "cli.py",
        "verbs.py",
        "interrupts.py",
        "stage.py",
        "report.py",
        "welcome.py",
        "__main__.py",
        "__init__.py",
    ),
    *("command", "stub", "ready.py"),
)
LAZY = {"domain/tokens.py": ("tiktoken",)}  # imported inside a function, because it is slow to load
RESERVED = {"utils", "helpers", "common", "core", "base", "service", "manager"}


def files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


@cache
def imports(path: Path) -> tuple[tuple[str, bool], ...]:
    """Every module that a file imports, and whether at its top level."""
    return tuple(_imports(path, ast.parse(path.read_text())))


def _imports(path: Path, tree: ast.Module) -> Iterator[tuple[str, bool]]:
    top = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node in top
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or "", node in top


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", files(), ids=relative)
def test_a_file_imports_only_what_its_folder_may(path: Path) -> None:
    name = relative(path)
    folder = name.split("/")[0]
    if name in EVERYTHING or folder in EVERYTHING:
        return
    allowed = ALLOWED[folder] + LAZY.get(name, ())
    for module, _ in imports(path):
        root = module.split(".")[0]
        if root in sys.stdlib_module_names:
            continue
        assert any(module == a or module.startswith(a + ".") for a in allowed), f"{name} imports {module}"


def test_only_the_edge_imports_the_web_server() -> None:
    for path in files():
        name = relative(path)
        for module, _ in imports(path):
            if module == "aiohttp.web" or module.startswith("aiohttp.web_"):
                assert name.startswith("web/") or name in ("app.py", "stage.py", "serving.py"), (
                    f"{name} imports {module}"
                )


def test_only_the_configuration_reads_yaml() -> None:
    readers = {relative(p) for p in files() for module, _ in imports(p) if module.split(".")[0] == "yaml"}
    assert {name.split("/")[0] for name in readers} == {"config"}


def test_the_command_line_loads_nothing_before_it_must() -> None:
    top = [module for module, at_top in imports(ROOT / "cli.py") if at_top]
    assert top == ["sys"]


def test_the_account_commands_load_no_server_and_no_event_loop_before_they_must() -> None:
    slow = (
        *("aiohttp", "asyncio", "http", "otari.app", "otari.config", "otari.web"),
        *("otari.store.db", "otari.store.key_book", "otari.store.user_book"),  # these bring the event loop
    )
    for path in sorted((ROOT / "command").glob("*.py")):
        for module, at_top in imports(path):
            if path.name == "client.py" and module == "http.client":
                continue  # that file is loaded for its sake, by those who talk to a gateway
            if any(module == name or module.startswith(name + ".") for name in slow):
                assert not at_top, f"{relative(path)} imports {module} at its top"
    assert not imports(ROOT / "command" / "manual.py")


def test_nobody_asks_for_a_type_of_control_plane_or_upstream() -> None:
    for path in files():
        source = path.read_text()
        assert "TYPE_CHECKING" not in source, f"{relative(path)}: a layering problem in disguise"
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
                asked = ast.unparse(node.args[1])
                assert not any(w in asked for w in ("Control", "Upstream")), f"{relative(path)}: isinstance {asked}"


# Who may know that there are two ways of running: the root that chooses, the control planes themselves, the
# configuration that is read, and what is said on a terminal.
KNOW_OF_MODES = ("app.py", "control", "config", "welcome.py", "report.py")
OTHER_MODES = ("dialects",)  # there it is the mode of a tool choice
MODE_WORDS = {"mode", "modes", "standalone", "connected", "hybrid", "platform", "ai_token", "ConnectedControl"}
ALLOWED_QUESTIONS = {
    ("web/router.py", "mode in route.modes"),  # the table has the modes of a route as data; here they are looked at
    ("store/schema.py", "mode != 'wal'"),  # that of a journal
}


def questions(source: str) -> Iterator[str]:
    """Every condition of a source that asks which way the gateway runs."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.Assert(test=test):
                asked: list[ast.AST] = [test]
            case ast.comprehension(ifs=ifs):
                asked = [part for each in ifs for part in (each.values if isinstance(each, ast.BoolOp) else [each])]
            case ast.Match(subject=subject, cases=cases):
                asked = [subject, *(case.pattern for case in cases)]
            case ast.Compare():
                asked = [node]
            case _:
                continue
        for each in asked:
            words = {
                word
                for part in ast.walk(each)
                for word in (getattr(part, "id", None), getattr(part, "attr", None), getattr(part, "value", None))
                if isinstance(word, str)
            }
            if words & MODE_WORDS:
                yield ast.unparse(each)


def test_only_the_root_and_the_control_planes_know_that_there_are_modes() -> None:
    asked = {
        (relative(path), question)
        for path in files()
        if relative(path).split("/")[0] not in (*KNOW_OF_MODES, *OTHER_MODES)
        for question in questions(path.read_text())
    }
    assert asked == ALLOWED_QUESTIONS
    for path in files():
        for module, _ in imports(path):
            if module in ("otari.control.connected", "otari.control.local"):
                assert relative(path).startswith(("app.py", "control/")), f"{relative(path)} imports {module}"


@pytest.mark.parametrize(
    "source",
    [
        "if mode == 'x': pass",
        "x = 1 if plane.mode else 2",
        "if config.ai_token is not None: pass",
        "while 'hybrid' != word: pass",
        "[r for r in routes if off and r.modes]",
        "match word:\n    case 'standalone': pass",
        "match self.platform:\n    case None: pass",
        "known = word in ('connected', 'alone')",
        "assert isinstance(control, ConnectedControl)",
    ],
)
def test_such_questions_are_found(source: str) -> None:
    assert list(questions(source))


@pytest.mark.parametrize(
    "source",
    ["MODES = ('standalone', 'connected')", "mount(app, mode=plane.mode)", "if problem is None: told['mode'] = 1"],
)
def test_data_is_no_question(source: str) -> None:
    assert not list(questions(source))


def test_names_say_what_a_file_owns() -> None:
    for path in files():
        stem = path.stem
        assert stem not in RESERVED, relative(path)
        assert not stem.endswith("_pipeline"), relative(path)
        if stem not in ("__init__", "__main__"):
            assert stem not in sys.stdlib_module_names, f"{relative(path)} is named like a standard module"


def test_every_file_says_what_it_owns() -> None:
    for path in files():
        assert ast.get_docstring(ast.parse(path.read_text())), f"{relative(path)} has no docstring"
