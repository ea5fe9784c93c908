"""Words for amounts and times, and words that can not be meant."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from otari.command import parsing
from otari.command.keys import VERBS
from otari.command.trouble import Trouble
from tests.command.ground import NOON, Desk

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("now", NOON),
        ("today", NOON // DAY_MS * DAY_MS),
        ("7d", NOON - 7 * DAY_MS),
        ("90m", NOON - 90 * 60_000),
        ("1700000000", NOON),
        ("1700000000.25", NOON + 250),
        ("2023-11-14", 1_699_920_000_000),
        ("2023-11-14T22:13:20", NOON),
        ("2023-11-14 22:13:20Z", NOON),
        ("2023-11-15T00:13:20+02:00", NOON),
        ("1970-01-01", 0),
    ],
)
def test_times(text: str, at_ms: int) -> None:
    assert parsing.moment(text, NOON) == at_ms


def test_a_length_counts_ahead_where_that_is_meant() -> None:
    assert parsing.moment("30d", NOON, ahead=True) == NOON + 30 * DAY_MS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2023-13-01",
        "-5",
        "1969-12-31",
        "9999999999999",
        "NaN",
        "1e400",
        "0001-01-01T00:00+14:00",
        "999999999w",
    ],
)
def test_no_times(text: str) -> None:
    with pytest.raises(Trouble) as trouble:
        parsing.moment(text, NOON)
    assert trouble.value.code == 2


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (parsing.cap, "12.50", Decimal("12.5")),
        (parsing.cap, "0", Decimal(0)),
        (parsing.cap, "9000000000", Decimal(9_000_000_000)),
        (parsing.cap, "0.000000001", Decimal("1e-9")),
        (parsing.cap, "none", None),
        (parsing.count, "1000000", 1_000_000),
        (parsing.seconds, "3600", 3600),
        (parsing.seconds, "12h", 43_200),
        (parsing.seconds, "4w", 2_419_200),
        (parsing.seconds, "none", None),
        (parsing.yes_no, "yes", True),
        (parsing.yes_no, "no", False),
        (parsing.words_or_none, "any", None),
        (parsing.words_or_none, "", []),
        (parsing.words_or_none, "a:b, c:*,", ["a:b", "c:*"]),
        (parsing.text_or_none, "none", None),
        (parsing.text_or_none, "", None),
        (parsing.metadata, '{"a": [1]}', {"a": [1]}),
    ],
)
def test_values(read: Callable[[str], Any], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((parsing.cap, text) for text in ("-1", "NaN", "inf", "1e400", "1e-10", "9000000000.1", "", "x", "1,5", "-0")),
        *((parsing.count, text) for text in ("0", "-1", "1.5", "1e3", "", "9999999999", "٣")),
        *((parsing.seconds, text) for text in ("0", "-1", "1.5h", "1y", "", "0d", "999999999999")),
        *((parsing.yes_no, text) for text in ("", "true", "YES")),
        *((parsing.metadata, text) for text in ("", "[]", "1", "{", '{"a": NaN}')),
    ],
)
def test_no_values(read: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(text)


@pytest.mark.parametrize(
    "words",
    [
        ("keys", "wrong"),
        ("keys", "show"),
        ("keys", "list", "--nonsense"),
        ("keys", "create", "--expires", "soon"),
        ("keys", "create", "--exclude-from-budget", "maybe"),
        ("keys", "create", "--metadata", "[1]"),
        ("keys", "change", "k"),
        ("keys", "list", "--limit", "0"),
        ("users", "create"),
        ("users", "change", "alice"),
        ("budgets", "create", "--max", "-1"),
        ("budgets", "create", "--every", "1y"),
        ("budgets", "create", "--align", "year"),
        ("budgets", "change", "b"),
        ("prices", "show", "gpt-5"),
        ("prices", "show", "openai:"),
        ("prices", "set", "openai:gpt-5", "--input", "1"),
        ("prices", "set", "openai:gpt-5", "--input", "NaN", "--output", "1"),
        ("prices", "set", "openai:gpt-5", "--input", "0.0000001", "--output", "1"),
        ("prices", "set", "openai:gpt-5", "--input", "1", "--output", "1", "--per-image", "1001"),
        ("prices", "delete", "openai:gpt-5"),
        ("prices", "delete", "openai:gpt-5", "--all", "--effective-at", "now"),
        ("usage", "totals", "--by", "moon"),
        ("usage", "list", "--since", "x"),
        ("keys", "--master-key", "mk-1"),
        ("keys", "list", "--url", "ftp://x"),
        ("keys", "list", "--config", "/nowhere/otari.yaml"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(desk: Desk, words: tuple[str, ...]) -> None:
    assert desk.run(*words, OTARI_MASTER_KEY="mk-0123456789abcdef").refused(2)


def test_shared_options_stand_before_the_verb_or_behind_it() -> None:
    for words in (["--json", "list"], ["list", "--json"], ["--json"]):
        options = parsing.parse("keys", VERBS, words)
        assert (options.verb, options.json, options.local, options.config) == ("list", True, False, None)
    assert parsing.parse("keys", VERBS, ["-c", "a.yaml", "list", "--url", "http://x"]).config == "a.yaml"
