"""`otari.pyz budgets …`: caps that users and keys are put under, and how their periods went."""

import sqlite3
from typing import Any

from otari.command.errand import Errand
from otari.command.parsing import (
    Parser,
    Verb,
    cap,
    given,
    id_argument,
    limit_option,
    seconds,
    some,
    text_or_none,
)
from otari.command.request import Request, path
from otari.command.show import Column, Record
from otari.store import budgets, records

_COLUMNS = (
    Column("id", "budget_id", "id"),
    Column("name", "name"),
    Column("cap USD", "max_budget", "money"),
    Column("starts over", "period"),
    Column("users", "user_count", "count"),
    Column("spend USD", "total_spend", "money"),
    Column("reserved USD", "total_reserved", "money"),
    Column("created", "created_at", "time"),
)
_RESETS = (
    Column("reset", "reset_at", "time"),
    Column("user", "user_id", "id"),
    Column("key", "key_id", "id"),
    Column("had spent USD", "previous_spend", "money"),
    Column("next reset", "next_reset_at", "time"),
)
_CHANGEABLE = ("name", "max_budget", "budget_duration_sec", "reset_alignment")
_IN_STORE = {"max_budget": "max_nano", "budget_duration_sec": "duration_s"}
_ALIGNMENTS = {"day": "calendar_day", "week": "calendar_week", "month": "calendar_month"}


def list_budgets(errand: Errand) -> None:
    """Every budget, oldest first."""

    def directly(conn: sqlite3.Connection, limit: int, after: str | None) -> list[Record]:
        return [_record(conn, budget) for budget in budgets.list_budgets(conn, limit=limit, after=after)]

    found = errand.listed(directly, Request("GET", path("budgets")), lambda budget: str(budget["budget_id"]))
    errand.show_table(_COLUMNS, found, "no budgets", _shown)


def show_budget(errand: Errand) -> None:
    """One budget."""
    budget_id = errand.options.id
    record = errand.place.read(
        lambda conn: _record(conn, budgets.get_budget(conn, budget_id)), Request("GET", path("budgets", budget_id))
    )
    _show(errand, record)


def create_budget(errand: Errand) -> None:
    """A new budget; without a cap it only counts."""
    facts = given(errand.options, *_CHANGEABLE)

    def op(conn: sqlite3.Connection) -> Record:
        return _record(conn, budgets.add_budget(conn, **_stored(facts), now_ms=errand.now_ms))

    _show(errand, errand.place.write(lambda db: db.write(op), Request("POST", path("budgets"), body=facts)))


def change_budget(errand: Errand) -> None:
    """Other facts for a budget, in force at once for everybody under it."""
    budget_id, facts = errand.options.id, some(given(errand.options, *_CHANGEABLE))

    def op(conn: sqlite3.Connection) -> Record:
        return _record(conn, budgets.change_budget(conn, budget_id, _stored(facts), errand.now_ms))

    request = Request("PATCH", path("budgets", budget_id), body=facts)
    _show(errand, errand.place.write(lambda db: db.write(op), request))


def delete_budget(errand: Errand) -> None:
    """Delete a budget that nobody is under."""
    budget_id = errand.options.id
    errand.place.write(
        lambda db: db.write(lambda conn: budgets.remove_budget(conn, budget_id)),
        Request("DELETE", path("budgets", budget_id)),
    )
    errand.done(f"deleted budget {budget_id}", deleted=budget_id)


def list_resets(errand: Errand) -> None:
    """How the accounts under a budget started over, newest first."""
    budget_id = errand.options.id

    def directly(conn: sqlite3.Connection, limit: int, after: str | None) -> list[Record]:
        found = budgets.list_resets(conn, budget_id, limit=limit, after=after)
        return [records.reset_record(reset) for reset in found]

    found = errand.listed(directly, Request("GET", path("budgets", budget_id, "reset-logs")))
    errand.show_table(_RESETS, found, "no period has ended yet")


def _record(conn: sqlite3.Connection, budget: Any) -> Record:
    return records.budget_record(budget, budgets.totals(conn, budget.budget_id))


def _stored(facts: Record) -> dict[str, Any]:
    """Facts of the API as the store takes them."""
    from otari.domain.money import nano_usd  # amounts are typed when something is written, not when it is read

    stored = records.renamed(_IN_STORE, facts)
    if stored.get("max_nano") is not None:
        stored["max_nano"] = nano_usd(stored["max_nano"])
    return stored


def _show(errand: Errand, record: Record) -> None:
    errand.show_facts(_COLUMNS, record, _shown)


def _shown(record: Record) -> Record:
    """A record with its period in words."""
    alignment, length_s = record.get("reset_alignment"), record["budget_duration_sec"]
    if alignment:
        period = "every " + alignment.removeprefix("calendar_")
    else:
        period = "never" if length_s is None else f"every {_span(length_s)}"
    return {**record, "period": period}


def _span(length_s: int) -> str:
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if length_s % unit_s == 0:
            return f"{length_s // unit_s}{unit}"
    return f"{length_s}s"


def _alignment(text: str) -> str | None:
    if text == "none":
        return None
    if text not in _ALIGNMENTS:
        raise ValueError(f"{text!r}: write day, week, month or none")
    return _ALIGNMENTS[text]


def _options(parser: Parser) -> None:
    parser.optional("--name", "name", text_or_none)
    parser.optional("--max", "max_budget", cap)
    parser.optional("--every", "budget_duration_sec", seconds)
    parser.optional("--align", "reset_alignment", _alignment)


def _change_options(parser: Parser) -> None:
    id_argument(parser)
    _options(parser)


def _resets_options(parser: Parser) -> None:
    id_argument(parser)
    limit_option(parser)


VERBS = {
    "list": Verb(list_budgets, limit_option),
    "show": Verb(show_budget, id_argument),
    "create": Verb(create_budget, _options),
    "change": Verb(change_budget, _change_options),
    "delete": Verb(delete_budget, id_argument),
    "resets": Verb(list_resets, _resets_options),
}
