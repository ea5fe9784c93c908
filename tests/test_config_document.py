"""The YAML reader: what values it makes, what it refuses, and that nothing makes it fail in another way."""

from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.config import Config, ConfigError, load
from otari.config.document import MAX_ALIASES, MAX_DEPTH, read_yaml


def read(text: str) -> object:
    return read_yaml(text.encode(), "x.yaml")


def problem_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    (problem,) = caught.value.problems
    assert "\n" not in problem
    return problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("12", 12),
        ("-1_000", -1000),
        ("0", 0),
        ("010", "010"),
        ("12:30:45", "12:30:45"),
        ("0x1F", "0x1F"),
        ("2026-01-01", "2026-01-01"),
        (".inf", ".inf"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("1.2.3", "1.2.3"),
        ("127.0.0.1", "127.0.0.1"),
        ("{on: 1, 2: x, true: y, 'null': z}", {"on": 1, "2": "x", "true": "y", "null": "z"}),
        ("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}", {"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("- {<<: [{a: 1}, {a: 2, b: 2}]}", [{"a": 1, "b": 2}]),
        ("a: '<<'\n'<<': b", {"a": "<<", "<<": "b"}),
        ("\ufeffa: 1", {"a": 1}),
    ],
)
def test_values(text: str, value: object) -> None:
    result = read(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("text", ["0.1", "1.10", ".5", "2.", "1e3", "1.5E-7", "-1_000.25"])
def test_numbers_with_a_point_keep_their_digits(text: str) -> None:
    value = read(text)
    assert isinstance(value, Decimal)
    assert value.as_tuple() == Decimal(text.replace("_", "")).as_tuple()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "x.yaml, line 3: key 'a' stands twice (first on line 1)"),
        ("a:\n  b: 1\n  'b': 2", "x.yaml, line 3: key 'b' stands twice (first on line 2)"),
        ("a: 1\n---\nb: 2", "x.yaml, line 2: a second document begins; only one is allowed"),
        ("a: *b", "x.yaml, line 1: alias *b names nothing that ended before it"),
        ("a: &a [*a]", "x.yaml, line 1: alias *a names nothing that ended before it"),
        ("a: !!python/name:os.system x", "line 1: the tag 'tag:yaml.org,2002:python/name:os.system' is not allowed"),
        ("a: !!binary x", "x.yaml, line 1: the tag 'tag:yaml.org,2002:binary' is not allowed"),
        ("!!set {a}", "x.yaml, line 1: the tag 'tag:yaml.org,2002:set' is not allowed"),
        ("{[a]: 1}", "x.yaml, line 1: a key must be plain text"),
        ("? \n: 1", "x.yaml, line 1: a key is missing before `:`"),
        ("{<<: 1}", "x.yaml, line 1: `<<` takes a mapping or a list of mappings"),
        ("a: 1\n\tb: 2", "x.yaml, line 2: not valid YAML"),
        ("a: [1", "not valid YAML"),
        ("a: \x07", "x.yaml, line 1: not valid YAML"),
        ("9" * 29, "x.yaml, line 1: a number of more than 28 digits"),
        ("0." + "1" * 40, "x.yaml, line 1: a number of more than 28 digits"),
        ("1e999999999", "x.yaml, line 1: a number of more than 28 digits"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ("- " * 100_000, "nested deeper than 64 levels"),
        ("{a: " * 10_000, "nested deeper than 64 levels"),
    ],
    ids=lambda text: str(text)[:20],
)
def test_refusals_name_the_line(text: str, problem: str) -> None:
    assert problem in problem_of(text)


def test_the_depth_limit_is_where_it_says() -> None:
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert "nested deeper" in problem_of("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2))


def test_aliases_can_not_blow_a_document_up() -> None:
    bomb = "a0: &a0 [" + ",".join("x" * 10) + "]\n"
    for level in range(1, 9):
        bomb += f"a{level}: &a{level} [" + ",".join([f"*a{level - 1}"] * 10) + "]\n"
    assert "more than 100000 values, aliases followed" in problem_of(bomb)


def test_the_number_of_aliases_is_limited() -> None:
    assert read("- &a 1\n" + "- *a\n" * MAX_ALIASES)
    assert "more than 100 aliases" in problem_of("- &a 1\n" + "- *a\n" * (MAX_ALIASES + 1))


def test_without_the_compiled_parser_the_values_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x {k: 1.10, on: yes}\nb: [*x, '1', ~]\nc: !!str 5\nd: |\n  two\n  lines\n"
    compiled = read(text)
    monkeypatch.setattr("otari.config.document._LOADER", yaml.SafeLoader)
    assert read(text) == compiled
    assert "line 2: key 'a' stands twice" in problem_of("a: 1\na: 2")
    assert "nested deeper" in problem_of("[" * 500)
    assert "x.yaml, line 2: not valid YAML" in problem_of("a: 1\nb: \x07")


# ---- whatever is thrown at it --------------------------------------------------------------------------------------

KEYS = st.sampled_from([*Config.__struct_fields__, "type", "api_key", "models", "openai", "stub", "stub:x", "<<", "on"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: f"!{number}"),
    st.text(max_size=12),
    st.sampled_from(["${HOME}", "${", "$${x}", "*a", "&a", "sqlite:///x", "stub:x", "0.0.0.0", "\udcff", "\0"]),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=6),
    max_leaves=25,
)


def flow(value: object) -> str:
    """A document in flow style; a text that begins with `!` stands as it is, without quotes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if value is None:
        return "null"
    text = str(value)
    if isinstance(value, bool | int):
        return text.lower()
    return text[1:] if text.startswith("!") else "'" + text.replace("'", "''") + "'"


def outcome(document: str, environ: dict[str, str]) -> Config | tuple[str, ...]:
    """What loading gives: a configuration or problems; any other exception fails the test."""
    try:
        return load(None, {**environ, "OTARI_CONFIG_YAML": document}).config
    except ConfigError as error:
        return error.problems


def check_outcome(result: Config | tuple[str, ...]) -> None:
    if not isinstance(result, Config):
        assert result
        assert all("\n" not in problem for problem in result)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@settings(max_examples=150, deadline=None)
@given(document=st.dictionaries(KEYS, DOCUMENTS, max_size=6), home=st.text(max_size=8))
def test_any_mapping_gives_a_configuration_or_a_configuration_error(document: dict[str, object], home: str) -> None:
    check_outcome(outcome(flow(document), {"HOME": home}))


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet="ab:{}[],-&*!|>'\"#%@`?<\n \t$0.1eé\\", max_size=40) | st.text(max_size=40))
def test_any_text_gives_a_configuration_or_a_configuration_error(text: str) -> None:
    check_outcome(outcome(text, {}))


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_one_line(data: bytes) -> None:
    with suppress(ConfigError):
        read_yaml(data, "x.yaml")
        return
    with pytest.raises(ConfigError) as caught:
        read_yaml(data, "x.yaml")
    assert len(caught.value.problems) == 1
