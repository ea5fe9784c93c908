"""The real Codex, unchanged, over providers of every dialect: the file is written, nothing is asked twice.

What tools Codex offers depends on the model's name: one that it does not know gets functions, one of its catalogue
also tools that take plain text, and the newest of these get one such tool, in a group, that runs JavaScript.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.e2e import npm
from tests.e2e.codex import Codex, built_in, settings
from tests.e2e.gateway import Gateway
from tests.e2e.loops import (
    CONTENT,
    GOES_ON,
    GOING_ON,
    LAST_WORDS,
    PICTURE,
    THOUGHT,
    UPSTREAMS,
    aliases,
    assert_dropped,
    assert_requests,
    run_loop,
    upstreams,
    writing,
)

ENDPOINT = "/v1/responses"
UNKNOWN, PLAIN, LITE = "agent", "gpt-5.5", "gpt-6.1-sol"

_LINES = "".join(f"+{line}\n" for line in CONTENT.splitlines())
PATCH = f"*** Begin Patch\n*** Add File: note.txt\n{_LINES}*** End Patch\n"
SCRIPT = f"text(await tools.apply_patch({orjson.dumps(PATCH).decode()}));"
COMMAND = f"printf %s {shlex.quote(CONTENT)} > note.txt"
# One for each kind of model: it uses the first of these tools that it is offered. Its thinking must come back to it.
RULES = [
    writing({"functions__exec": {"input": SCRIPT}}, "functions__exec", "Script completed", thought=THOUGHT),
    writing({"apply_patch": {"input": PATCH}}, "apply_patch", "Success. Updated the following", thought=THOUGHT),
    writing({"exec_command": {"cmd": COMMAND}}, "exec_command", "Process exited with code 0", thought=THOUGHT),
]
# Several calls at once, one that fails, and a picture as a result.
SEVERAL = {
    "id": "several",
    "when": {"user": "two files"},
    "steps": [
        {
            "think": THOUGHT,
            "call": [{"exec_command": {"cmd": "echo a > a"}}, {"exec_command": {"cmd": "echo b > b; false"}}],
        },
        {
            "expect": {"tool_result": ["exited with code 0", "exited with code 1"], "thought": THOUGHT},
            "call": [{"view_image": {"path": "picture.png"}}, {"exec_command": {"cmd": "cat a b"}}],
        },
        {"expect": {"tool_result": "/a\\nb/", "has": "image"}, "say": LAST_WORDS},
    ],
}
# What Codex does with them, as its events tell it.
DONE = {UNKNOWN: "command_execution", PLAIN: "file_change", LITE: "file_change"}

# What a provider of another dialect can not be told of the requests, or only in another form.
ALWAYS = {"client_metadata", "prompt_cache_key"}
SEARCH, FREE_TEXT = "tool web_search", "tool custom as function"
TRANSLATED = {
    UNKNOWN: ALWAYS | {SEARCH},
    PLAIN: ALWAYS | {SEARCH, FREE_TEXT, "tool tool_search as function", "text.verbosity"},
    LITE: ALWAYS | {FREE_TEXT, "reasoning.context", "text.verbosity"},
}
BEYOND = {("gemini", PLAIN): {"reasoning effort"}, ("gemini", LITE): {"parallel_tool_calls"}}
CELLS = [(dialect, model) for dialect in UPSTREAMS for model in TRANSLATED]

_PAGE = Path(__file__).parents[2] / "docs" / "use-with-codex.md"
_TOML = re.compile(r"```toml\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def executable() -> Path:
    try:
        return npm.codex()
    except npm.MissingTool as problem:
        pytest.fail(str(problem))


@pytest.fixture(scope="module")
def gateway(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("codex")
    config = {"providers": upstreams([*RULES, SEVERAL, GOING_ON], folder), "aliases": aliases(UNKNOWN, PLAIN, LITE)}
    with Gateway(pyz, folder / "gateway", config) as gateway:
        yield gateway
        gateway.ledger.assert_balanced()


@pytest.mark.parametrize(("dialect", "model"), CELLS)
def test_codex_writes_a_file(gateway: Gateway, executable: Path, tmp_path: Path, dialect: str, model: str) -> None:
    client = Codex(executable, tmp_path / "codex", settings(gateway.url, f"{model}-{dialect}"), gateway.key)
    run, rows = run_loop(client, gateway)
    events = [orjson.loads(line) for line in run.out.splitlines()]
    thinking, told, done, last = [event["item"] for event in events if event["type"] == "item.completed"][-4:]
    assert (thinking["type"], thinking["text"]) == ("reasoning", THOUGHT)
    assert (done["type"], done["status"]) == (DONE[model], "completed")
    assert (told["type"], last["type"], last["text"]) == ("agent_message", "agent_message", LAST_WORDS)
    assert events[-1]["type"] == "turn.completed"
    assert events[-1]["usage"]["input_tokens"] == sum(row["input_tokens"] for row in rows)
    assert events[-1]["usage"]["output_tokens"] == sum(row["output_tokens"] for row in rows)
    assert_requests(rows, ENDPOINT)
    translated = TRANSLATED[model] | BEYOND.get((dialect, model), set())
    assert_dropped(rows, set() if dialect == "responses" else translated)


@pytest.mark.parametrize("dialect", UPSTREAMS)
def test_codex_makes_several_calls(gateway: Gateway, executable: Path, tmp_path: Path, dialect: str) -> None:
    before = len(gateway.ledger.usage())
    client = Codex(executable, tmp_path / "codex", settings(gateway.url, f"{UNKNOWN}-{dialect}"), gateway.key)
    (client.work / "picture.png").write_bytes(PICTURE)
    run = client.run("Please make two files")
    assert run.code == 0, f"{run.out}\n{run.err}"
    assert LAST_WORDS in run.out
    assert [(client.work / name).read_text() for name in ("a", "b")] == ["a\n", "b\n"]
    assert_requests(gateway.wait_quiet().usage()[before:], ENDPOINT, 3)


def test_a_conversation_goes_on_with_other_providers(gateway: Gateway, executable: Path, tmp_path: Path) -> None:
    """Each of them gets the calls and the thinking of those before it, as far as it may have them."""
    before = len(gateway.ledger.usage())
    client = Codex(executable, tmp_path / "codex", settings(gateway.url, f"{UNKNOWN}-gemini"), gateway.key)
    run_loop(client, gateway)
    for dialect in UPSTREAMS:
        client.configure(settings(gateway.url, f"{UNKNOWN}-{dialect}"))
        run = client.go_on("And then?")
        assert run.code == 0, f"{run.out}\n{run.err}"
        assert GOES_ON in run.out
    assert_requests(gateway.wait_quiet().usage()[before:], ENDPOINT, 2 + len(UPSTREAMS))


def test_codex_asks_with_its_own_provider_at_once(gateway: Gateway, executable: Path, tmp_path: Path) -> None:
    """Its built-in provider wants a websocket first. It is told at once that there is none, and posts."""
    client = Codex(executable, tmp_path / "codex", built_in(gateway.url, f"{UNKNOWN}-chat"), gateway.key)
    _, rows = run_loop(client, gateway)
    assert_requests(rows, ENDPOINT)


def test_the_documented_settings_work_as_they_stand(pyz: Path, executable: Path, tmp_path: Path) -> None:
    """The block that people paste, with nothing changed but the port, against a stub with the shipped script."""
    (block,) = _TOML.findall(_PAGE.read_text())
    with Gateway(pyz, tmp_path / "gateway", {"providers": {"stub": {"type": "stub"}}}) as gateway:
        pasted = block.replace("127.0.0.1:8000", f"127.0.0.1:{gateway.port}")
        run = Codex(executable, tmp_path / "codex", pasted, gateway.key).run("Hello from the page")
        assert run.code == 0, f"{run.out}\n{run.err}"
        assert "Hello from the page" in run.out
        assert run.reached == ()
        (row,) = gateway.wait_quiet().usage()
    assert (row["selector"], row["state"], row["status"]) == ("stub:echo", "settled", "success")
