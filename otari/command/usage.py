"""`otari.pyz usage …`: what was used, what it sums up to, and how one charge came about."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from otari.command.bill import bill_lines
from otari.command.chart import bars
from otari.command.errand import Errand
from otari.command.parsing import Parser, Verb, count, id_argument, moment, typed
from otari.command.request import Request, path
from otari.command.screen import cells
from otari.command.show import Column, Record, print_json, print_lines, table
from otari.command.trouble import EXIT_FAILED, Trouble
from otari.store import records, usage

BY = ("day", "model", "key", "user")
_LISTED = 50
_COLUMNS = (
    Column("id", "id", "id"),
    Column("time", "timestamp", "time"),
    Column("user", "user_id", "id"),
    Column("key", "api_key_name"),
    Column("model", "selector"),
    Column("input", "prompt_tokens", "count"),
    Column("output", "completion_tokens", "count"),
    Column("cost USD", "cost", "money"),
    Column("status", "status", "active"),
    Column("ms", "latency_ms", "count"),
)
_SUMS = (
    Column("requests", "requests", "count"),
    Column("input", "prompt_tokens", "count"),
    Column("output", "completion_tokens", "count"),
    Column("cost USD", "cost", "money"),
)


def list_usage(errand: Errand) -> None:
    """Rows of the ledger, newest first."""
    start_ms, end_ms = _range(errand)
    user_id = errand.options.user

    def directly(conn: sqlite3.Connection, limit: int, after: str | None) -> list[Record]:
        rows = usage.list_usage(conn, user_id=user_id, start_ms=start_ms, end_ms=end_ms, limit=limit, after=after)
        return [records.usage_record(row) for row in rows]

    request = Request("GET", path("usage"), {**_range_query(start_ms, end_ms), "user_id": user_id})
    found = errand.listed(directly, request)
    errand.show_table(_COLUMNS, found, "nothing was used in that time", _shown)
    if len(found) == errand.options.limit:
        errand.note(f"the newest {len(found)}; --limit shows more")


def show_totals(errand: Errand) -> None:
    """Sums over days, models, keys or users, with a bar for the cost of each."""
    by, (start_ms, end_ms) = errand.options.by, _range(errand)

    def directly(conn: sqlite3.Connection) -> list[Record]:
        found = usage.totals_by(conn, by=by, start_ms=start_ms, end_ms=end_ms)
        return [records.total_record(total) for total in found]

    request = Request("GET", path("usage", "totals"), {"by": by, **_range_query(start_ms, end_ms)})
    found = errand.place.read(directly, request)
    if errand.options.json:
        return print_json(found)
    if not found and errand.screen.terminal:
        return print_lines(["nothing was used in that time"])
    return print_lines(_totals(by, found, errand))


def explain(errand: Errand) -> None:
    """The arithmetic of one row, from what stands in it alone. It fails when the row does not add up."""
    row_id = errand.options.id
    record = errand.place.read(
        lambda conn: records.bill_record(usage.get_usage(conn, row_id)), Request("GET", path("usage", row_id))
    )
    if errand.options.json:
        print_json(record)
    else:
        print_lines(bill_lines(record, errand.screen))
    if record["lines"] and record["rounded_nano_usd"] != record["cost_nano_usd"]:
        raise Trouble(f"the lines of {row_id} do not add up to what was charged", EXIT_FAILED)


def _shown(record: Record) -> Record:
    """A row with the model that has answered as people write it."""
    return {**record, "selector": f"{record['provider']}:{record['model']}"}


def _totals(by: str, found: Sequence[Record], errand: Errand) -> list[str]:
    """Lines of sums: on a terminal with what people call a key or user, a bar for each cost and the sum of all."""
    screen = errand.screen
    if not screen.terminal:
        return table((Column(by, "name"), *_SUMS, Column("label", "label")), found, screen)
    columns = (Column("day (UTC)" if by == "day" else by, "called"), *_SUMS)
    rows = [{**record, "called": name} for record, name in zip(found, _called(by, found), strict=True)]
    everything = {"called": "all", **{c.field: sum(record[c.field] for record in rows) for c in _SUMS}}
    lines = table(columns, [*rows, everything], screen)
    plain = table(columns, [*rows, everything], replace(screen, colour=False))
    room = screen.width - max(cells(line) for line in plain) - 2
    head, *body, last = lines
    drawn = bars([Decimal(record["cost"]) for record in rows], room, screen)
    return [head, *(f"{line}  {bar}".rstrip() for line, bar in zip(body, drawn, strict=True)), last]


def _called(by: str, found: Sequence[Record]) -> list[str]:
    """What to call each group: its label if it is the only one with it, else its label and its name."""
    labels: list[str | None] = [record.get("label") for record in found]
    called: list[str] = []
    for record, label in zip(found, labels, strict=True):
        name = str(record["name"]) or ("master key" if by == "key" else "")
        if label and labels.count(label) == 1:
            called.append(label)
        else:
            called.append(f"{label} ({name})" if label else name)
    return called


def _range(errand: Errand) -> tuple[int | None, int | None]:
    since, until = errand.options.since, errand.options.until
    start_ms = None if since is None else moment(since, errand.now_ms)
    return start_ms, None if until is None else moment(until, errand.now_ms)


def _range_query(start_ms: int | None, end_ms: int | None) -> dict[str, object]:
    return {"start_date": records.moment_text(start_ms), "end_date": records.moment_text(end_ms)}


def _range_options(parser: Parser) -> None:
    parser.add_argument("--since")
    parser.add_argument("--until")


def _list_options(parser: Parser) -> None:
    _range_options(parser)
    parser.add_argument("--user")
    parser.add_argument("--limit", type=typed(count), default=_LISTED)


def _totals_options(parser: Parser) -> None:
    _range_options(parser)
    parser.add_argument("--by", choices=BY, default="day")


VERBS = {
    "list": Verb(list_usage, _list_options),
    "totals": Verb(show_totals, _totals_options),
    "explain": Verb(explain, id_argument),
}
