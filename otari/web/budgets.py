"""`/v1/budgets`: caps that users and keys are held to."""

import sqlite3
from typing import TypeVar

from aiohttp import web
from msgspec import UNSET

from otari.store import budgets, records
from otari.store.budgets import Budget, Totals
from otari.web import reply
from otari.web.accounts import changes, part_of, removed
from otari.web.bodies import BudgetChange, NewBudget, Page
from otari.web.fields import read_body, read_query, wrong
from otari.web.values import nano_usd
from otari.web.visit import Visit

Told = TypeVar("Told", NewBudget, BudgetChange)
_NAMES = {"max_budget": "max_nano", "budget_duration_sec": "duration_s"}
_ABSENT = ("token_limit", "request_limit", "organization_id")


async def create_budget(visit: Visit) -> web.StreamResponse:
    """Make a budget."""
    body = _of_one_period(await read_body(visit, NewBudget))
    max_nano = None if body.max_budget is None else nano_usd(body.max_budget)
    now_ms = visit.house.now_ms()
    budget = await visit.books.db.write(
        lambda conn: budgets.add_budget(
            conn,
            name=body.name,
            max_nano=max_nano,
            duration_s=body.budget_duration_sec,
            reset_alignment=body.reset_alignment,
            now_ms=now_ms,
        )
    )
    return reply.as_json(records.budget_record(budget, Totals(0, 0, 0)), visit.request_id)


async def list_budgets(visit: Visit) -> web.StreamResponse:
    """All budgets in the order of their creation, with what stands under them."""
    page = read_query(visit, Page)

    def op(conn: sqlite3.Connection) -> list[tuple[Budget, Totals]]:
        found = budgets.list_budgets(conn, skip=page.skip, limit=page.limit, after=page.after)
        return [(budget, budgets.totals(conn, budget.budget_id)) for budget in found]

    found = await part_of(visit, op)
    return reply.as_json([records.budget_record(*pair) for pair in found], visit.request_id)


async def get_budget(visit: Visit) -> web.StreamResponse:
    """One budget."""
    return await _shown(visit, visit.request.match_info["budget_id"])


async def change_budget(visit: Visit) -> web.StreamResponse:
    """Change what the body names; an explicit null clears it. A new cap holds at once."""
    body = _of_one_period(await read_body(visit, BudgetChange))
    told = {name: value for name, value in changes(body, _NAMES).items() if name not in _ABSENT}
    if body.max_budget is not UNSET and body.max_budget is not None:
        told["max_nano"] = nano_usd(body.max_budget)
    budget_id, now_ms = visit.request.match_info["budget_id"], visit.house.now_ms()
    await visit.books.db.write(lambda conn: budgets.change_budget(conn, budget_id, told, now_ms))
    return await _shown(visit, budget_id)


async def delete_budget(visit: Visit) -> web.StreamResponse:
    """Delete a budget that nobody is held to any more; else 409 names who is."""
    budget_id = visit.request.match_info["budget_id"]
    await visit.books.db.write(lambda conn: budgets.remove_budget(conn, budget_id))
    return removed(visit)


async def list_budget_resets(visit: Visit) -> web.StreamResponse:
    """When the budget's periods started over, newest first."""
    budget_id, page = visit.request.match_info["budget_id"], read_query(visit, Page)

    def op(conn: sqlite3.Connection) -> list[budgets.Reset]:
        budgets.get_budget(conn, budget_id)
        return budgets.list_resets(conn, budget_id, skip=page.skip, limit=page.limit, after=page.after)

    return reply.as_json([records.reset_record(each) for each in await part_of(visit, op)], visit.request_id)


def _of_one_period(body: Told) -> Told:
    """The body. Raises InvalidFields when it asks for two kinds of periods; one that is there already is a conflict."""
    if body.budget_duration_sec and body.reset_alignment:
        raise wrong("body", "reset_alignment", msg="A budget has either this or 'budget_duration_sec', not both")
    return body


async def _shown(visit: Visit, budget_id: str) -> web.StreamResponse:
    def op(conn: sqlite3.Connection) -> tuple[Budget, Totals]:
        return budgets.get_budget(conn, budget_id), budgets.totals(conn, budget_id)

    return reply.as_json(records.budget_record(*await visit.books.db.read(op)), visit.request_id)
