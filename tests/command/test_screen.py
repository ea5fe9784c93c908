"""What is printed can not harm a terminal and fits it."""

import io

import pytest

from otari.command.screen import Screen, cells, harmless, screen_of, shortened


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zoë 日本 🙂", "Zoë 日本 🙂"),
        ("family 👩‍👧\n", "family 👩‍👧\\n"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\tb\r\nc", "a\\tb\\r\\nc"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x9b31m", "\\x9b31m"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_escaped(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_wide_characters_take_two_columns_and_marks_none() -> None:
    assert [cells(text) for text in ("abc", "日本", "🙂", "e\u0301", "")] == [3, 4, 2, 1, 0]


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("short", 5, "short"),
        ("444241de-b1b8-42b9-9bcf-6d3eb8b66bdd", 12, "444241de…bdd"),
        ("日本日本日本", 5, "日本…"),
        ("abcdef", 1, "…"),
        ("abcdef", 0, ""),
    ],
)
def test_a_long_text_keeps_its_beginning_and_its_end(text: str, width: int, short: str) -> None:
    assert shortened(text, width, "…") == short
    assert cells(short) <= max(width, 0)


def test_a_terminal_has_colours_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert screen_of(Terminal()).colour
    assert not screen_of(io.StringIO()).colour
    monkeypatch.setenv("NO_COLOR", "1")
    assert not screen_of(Terminal()).colour
    monkeypatch.setenv("NO_COLOR", "")  # empty is not set
    assert screen_of(Terminal()).colour
    monkeypatch.setenv("TERM", "dumb")
    assert not screen_of(Terminal()).colour


@pytest.mark.parametrize(("columns", "width"), [("132", 132), ("5", 20), ("0", 80), ("wide", 80), ("", 80)])
def test_the_width_is_that_of_the_environment_or_80(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert screen_of(Terminal()).width == width


def test_an_encoding_without_blocks_gets_plain_characters() -> None:
    class Old(Terminal):
        encoding = "latin-1"

    assert screen_of(Terminal()).unicode
    assert not screen_of(Old()).unicode
    assert Screen(terminal=True, unicode=False).nothing == "-"
