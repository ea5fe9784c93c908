"""Tables for people, fields for programs, exact money for both."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson
import pytest

from otari.command.chart import bars
from otari.command.screen import Screen, cells
from otari.command.show import Column, decimal_text, exact, facts, print_json, table, zone_line

COLUMNS = (
    Column("id", "id", "id"),
    Column("name", "name"),
    Column("cost USD", "cost", "money"),
    Column("tokens", "tokens", "count"),
    Column("time", "at", "time"),
    Column("state", "state", "active"),
)
RECORDS: list[dict[str, Any]] = [
    {
        "id": "444241de-b1b8-42b9-9bcf-6d3eb8b66bdd",
        "name": "a\tb\x1b[2J",
        "cost": Decimal("0.000021"),
        "tokens": 12_345,
        "at": "2026-11-24T00:31:57.411+00:00",
        "state": "active",
    },
    {"id": "short", "name": None, "cost": Decimal("1234567.5"), "tokens": None, "at": None, "state": "revoked"},
]
WIDE = Screen(terminal=True, width=200)


@pytest.fixture
def _in_nepal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "NPT-05:45")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_on_a_pipe_there_is_a_line_per_record_with_tabs_and_nothing_else() -> None:
    assert table(COLUMNS, RECORDS, Screen()) == [
        "444241de-b1b8-42b9-9bcf-6d3eb8b66bdd\ta\\tb\\x1b[2J\t0.000021\t12345\t2026-11-24T00:31:57.411+00:00\tactive",
        "short\t\t1234567.5\t\t\trevoked",
    ]


def test_on_a_terminal_columns_and_decimal_points_stand_under_each_other() -> None:
    assert table(COLUMNS, RECORDS, WIDE) == [
        "id                                    name               cost USD  tokens  time                 state",
        "444241de-b1b8-42b9-9bcf-6d3eb8b66bdd  a\\tb\\x1b[2J        0.000021  12,345  2026-11-24 00:31:57  active",
        "short                                 –            1234567.5            –  –                    revoked",
    ]


@pytest.mark.parametrize("width", range(72, 110))
def test_texts_are_shortened_before_ids_and_numbers_never(width: int) -> None:
    lines = table(COLUMNS, RECORDS, Screen(terminal=True, width=width))
    assert max(cells(line) for line in lines) <= width
    assert "0.000021" in lines[1]
    assert "12,345" in lines[1]
    assert "2026-11-24 00:31:57" in lines[1]


def test_colour_changes_nothing_but_colour() -> None:
    painted = table(COLUMNS, RECORDS, Screen(terminal=True, width=200, colour=True))
    bare = [
        line.replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[31m", "").replace("\x1b[32m", "")
        for line in painted
    ]
    assert [line.replace("\x1b[0m", "").rstrip() for line in bare] == table(COLUMNS, RECORDS, WIDE)
    assert "\x1b[32mactive\x1b[0m" in painted[1]
    assert "\x1b[31mrevoked\x1b[0m" in painted[2]


def test_facts_are_a_line_each() -> None:
    assert facts(COLUMNS[1:3], RECORDS[1], Screen()) == ["name\t", "cost\t1234567.5"]
    assert facts(COLUMNS[1:3], RECORDS[1], WIDE) == ["name      –", "cost USD  1234567.5"]


@pytest.mark.usefixtures("_in_nepal")
def test_times_of_a_terminal_say_their_zone() -> None:
    local = Screen(terminal=True, width=200, local=True)
    assert "2026-11-24 06:16:57" in table(COLUMNS, RECORDS, local)[1]
    assert zone_line(COLUMNS, local) == ["times: NPT, UTC+0545"]
    assert zone_line(COLUMNS, WIDE) == ["times: UTC"]
    assert zone_line(COLUMNS[:4], WIDE) == []
    assert zone_line(COLUMNS, Screen()) == []


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.000000001", "0.000000001"),
        ("1E-9", "0.000000001"),
        ("12.500", "12.5"),
        ("3.000", "3"),
        ("1E+3", "1000"),
        ("0", "0"),
        ("9000000000.123456789", "9000000000.123456789"),
    ],
)
def test_amounts_show_every_digit_and_no_exponent(amount: str, text: str) -> None:
    assert decimal_text(Decimal(amount)) == text


def test_json_has_exact_amounts(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"cost": Decimal("9000000000.123456789"), "none": None})
    assert capsys.readouterr().out == '{\n  "cost": 9000000000.123456789,\n  "none": null\n}\n'
    with pytest.raises(TypeError):
        orjson.dumps({"odd": object()}, default=exact)


def test_lists_and_objects_are_one_line() -> None:
    record = {"a": ["x", "y\n"], "b": {"k": Decimal("0.1")}, "c": [], "d": False}
    columns = [Column(name, name) for name in record]
    assert table(columns, [record], Screen()) == ['x, y\\n\t{"k":0.1}\tnone\tno']


# ---- the chart ----


def test_the_largest_amount_has_the_longest_bar_and_the_smallest_shows() -> None:
    drawn = bars([Decimal(10), Decimal(5), Decimal("0.000000001"), Decimal(0)], 20, Screen(terminal=True))
    assert drawn == ["█" * 20, "█" * 10, "▏", ""]


def test_bars_have_eighths_and_an_end() -> None:
    assert bars([Decimal(8), Decimal(1)], 9, WIDE) == ["█" * 9, "█▏"]
    assert len(bars([Decimal(1)], 500, WIDE)[0]) == 40


def test_without_room_amounts_or_blocks() -> None:
    assert bars([Decimal(1)], 5, WIDE) == [""]
    assert bars([Decimal(0)], 50, WIDE) == [""]
    assert bars([], 50, WIDE) == []
    assert bars([Decimal(2), Decimal(1)], 10, Screen(terminal=True, unicode=False)) == ["##########", "#####"]
