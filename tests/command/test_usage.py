"""What was used: lists, sums, and a charge explained down to the rounding."""

from typing import Any

import pytest

from otari.command import errand
from otari.command.screen import Screen
from otari.store.db import Database
from tests.command.ground import NOON, Desk, furnish, use

DAY_MS = 86_400_000
WIDE = Screen(terminal=True, width=120)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is a terminal of 120 columns, without colours."""
    monkeypatch.setattr(errand, "stdout_screen", lambda *, local: WIDE)


def used(desk: Desk, *rows: dict[str, Any]) -> None:
    async def scene(db: Database) -> None:
        await furnish(db)
        for number, facts in enumerate(rows):
            await use(db, facts.pop("id", f"row-{number}"), **facts)

    desk.write(scene)


def test_rows_come_newest_first_within_a_half_open_range(desk: Desk) -> None:
    used(
        desk,
        *({"created_at_ms": NOON + day * DAY_MS, "user_id": user} for day, user in enumerate(["alice", "bob/ü"] * 2)),
    )
    assert [row[0] for row in desk.run("usage").rows] == ["row-3", "row-2", "row-1", "row-0"]
    assert [row[0] for row in desk.run("usage", "list", "--limit", "2").rows] == ["row-3", "row-2"]
    assert [row[0] for row in desk.run("usage", "list", "--user", "alice").rows] == ["row-2", "row-0"]
    edges = ("--since", str((NOON + DAY_MS) // 1000), "--until", str((NOON + 3 * DAY_MS) // 1000))
    assert [row[0] for row in desk.run("usage", "list", *edges).rows] == ["row-2", "row-1"]


def test_sums_are_exact_and_on_a_pipe_plain(desk: Desk) -> None:
    largest = 9_000_000_000_000_000_000
    used(desk, {"cost_nano": 1}, {"cost_nano": None}, {"model": "other"}, {"cost_nano": largest})
    by_model = desk.run("usage", "totals", "--by", "model").rows
    assert by_model[0] == ["openai:gpt-5", "3", "3000", "150", "9000000000.000000001", ""]
    assert by_model[1][:2] == ["openai:other", "1"]
    assert desk.run("usage", "totals").rows[0][0] == "2023-11-14"
    assert desk.run("usage", "totals", "--by", "key").rows[0][::5] == ["key-1", "laptop"]
    assert desk.run("usage", "totals", "--by", "user", "--json").json[0]["label"] == "Alice"
    assert desk.run("usage", "totals", "--since", "2030-01-01").out == ""


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_sums_have_bars_and_a_last_line_for_all(desk: Desk) -> None:
    used(desk, {"cost_nano": 4_000}, {"cost_nano": 1_000, "created_at_ms": NOON + DAY_MS})
    assert desk.run("usage", "totals").out.splitlines() == [
        "day (UTC)   requests  input  output  cost USD",
        "2023-11-14         1  1,000      50  0.000004  " + "█" * 40,
        "2023-11-15         1  1,000      50  0.000001  " + "█" * 10,
        "all                2  2,000     100  0.000005",
    ]
    assert "nothing was used" in desk.run("usage", "totals", "--since", "2030-01-01").out


@pytest.mark.usefixtures("terminal")
def test_the_master_key_and_keys_of_one_name_are_told_apart(desk: Desk) -> None:
    used(desk, {"key_id": "k1"}, {"key_id": "k2"}, {"key_id": None, "key_name": None})
    names = {line.split("  ")[0].strip() for line in desk.run("usage", "totals", "--by", "key").out.splitlines()[1:-1]}
    assert names == {"laptop (k1)", "laptop (k2)", "master key"}


# ---- explain ----


def test_on_a_pipe_a_bill_has_every_line_and_the_one_rounding(desk: Desk) -> None:
    used(desk, {"id": "r1", "flags": "client_gone,estimated"})
    rows = desk.run("usage", "explain", "r1").rows
    assert [row for row in rows if row[0] == "line"] == [
        ["line", "input", "800", "1250000", "1000000000"],
        ["line", "cache_read", "200", "125000", "25000000"],
        ["line", "output", "30", "10000000", "300000000"],
        ["line", "reasoning", "20", "10000000", "200000000"],
    ]
    for row in (
        ["sum_pico_usd", "1525000000"],
        ["rounded_nano_usd", "1525000"],
        ["cost", "0.001525"],
        ["hold", "0.005"],
        ["price_source", "api"],
        ["flags", "client_gone,estimated"],
    ):
        assert row in rows


@pytest.mark.usefixtures("terminal")
def test_for_people_a_bill_is_told_in_words(desk: Desk) -> None:
    used(desk, {"id": "r1", "hold_estimated": True, "flags": "client_gone"})
    out = desk.run("usage", "explain", "r1").out
    for line in (
        "input tokens                        800      1,250,000  1,000,000,000",
        "rounded once, half up: 1,525,000 nano-USD",
        "cost: 0.001525 USD",
        "tokens   the provider's own numbers (provider)",
        "price    set over the API or the command line (api)",
        "0.005 USD held before the provider was asked (an estimate: no limit on the output was known),"
        " 0.001525 charged, 0.003475 given back",
        "flag     client_gone: the client left before the end",
    ):
        assert line in out


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"state": "open"}, "still under way"),
        ({"cost_nano": None, "rates": None, "price_source": "none"}, "No price was known"),
        ({"state": "released", "status": "error", "cost_nano": 0}, "the hold was given back"),
        ({"cost_nano": 6_000_000, "over_hold": True, "input_tokens": 4_580}, "the charge is 0.001 USD above it"),
        ({"counts_toward_budget": False}, "the user's account was spared"),
    ],
)
def test_rows_that_are_not_ordinary_say_so(desk: Desk, facts: dict[str, Any], sentence: str) -> None:
    used(desk, {"id": "r1", **facts})
    ended = desk.run("usage", "explain", "r1")
    assert (ended.code, sentence in ended.out) == (0, True)


def test_a_row_that_does_not_add_up_fails(desk: Desk) -> None:
    used(desk, {"id": "r1", "cost_nano": 1_525_001})
    ended = desk.run("usage", "explain", "r1", "--json")
    assert ended.code == 1
    assert ended.json["rounded_nano_usd"] == 1_525_000
    assert ended.err == "otari: the lines of r1 do not add up to what was charged\n"


def test_an_unknown_row_is_told(desk: Desk) -> None:
    used(desk)
    assert desk.run("usage", "explain", "nope").refused(1, "'nope' not found")
