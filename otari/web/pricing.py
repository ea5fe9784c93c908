"""`/v1/pricing`: what models cost, from when on. Reading needs a key, writing the master key."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from otari.domain import money
from otari.domain.catalog import Price, Tier
from otari.domain.errors import Kind, OtariError, invalid
from otari.store import prices, records
from otari.web import reply
from otari.web.accounts import listed, removed
from otari.web.bodies import AsOf, EffectiveAt, NewPrice, Page, PriceTier
from otari.web.fields import moment, read_body, read_query, wrong
from otari.web.visit import Visit

_TOKEN_METERS = ("cache_read", "cache_write", "cache_write_1h", "reasoning")
_PER_MILLION = "_price_per_million"


async def set_price(visit: Visit) -> web.StreamResponse:
    """Set a price. One with the same model and time is replaced; the history of others stays."""
    body = await read_body(visit, NewPrice)
    key = model_key(body.model_key)
    if body.model_key in visit.house.catalog.aliases:
        raise invalid(f"'{body.model_key}' is an alias: set the price of the model it stands for", param="model_key")
    at_ms = None if body.effective_at is None else moment(body.effective_at, "body", "effective_at")
    row = await visit.books.prices.set(key, _price(body), effective_at_ms=at_ms)
    return reply.as_json(records.price_record(row), visit.request_id)


async def list_pricing(visit: Visit) -> web.StreamResponse:
    """All prices with their history, by model and then newest first."""
    return await listed(visit, read_query(visit, Page), prices.list_prices, records.price_record)


async def get_pricing(visit: Visit) -> web.StreamResponse:
    """The price of a model that is in force, now or at another time."""
    key, query = model_key(visit.request.match_info["model_key"]), read_query(visit, AsOf)
    at_ms = visit.house.now_ms() if query.as_of is None else moment(query.as_of, "query", "as_of")
    row = await visit.books.db.read(lambda conn: prices.find_effective(conn, key, at_ms))
    if row is None:
        raise _not_found(key)
    return reply.as_json(records.price_record(row), visit.request_id)


async def get_pricing_history(visit: Visit) -> web.StreamResponse:
    """All prices of a model, newest first."""
    key = model_key(visit.request.match_info["model_key"])
    rows = await visit.books.db.read(lambda conn: prices.history(conn, key))
    if not rows:
        raise _not_found(key)
    return reply.as_json([records.price_record(row) for row in rows], visit.request_id)


async def delete_pricing(visit: Visit) -> web.StreamResponse:
    """Delete one price of a model, or all of them."""
    key, query = model_key(visit.request.match_info["model_key"]), read_query(visit, EffectiveAt)
    at_ms = None if query.effective_at is None else moment(query.effective_at, "query", "effective_at")
    if not await visit.books.prices.remove(key, at_ms):
        raise _not_found(key, at_ms)
    return removed(visit)


def model_key(text: str) -> str:
    """`provider:model`, also for what was written `provider/model`. Raises InvalidFields."""
    cut = min((at for at in (text.find(":"), text.find("/")) if at > 0), default=-1)
    if cut < 0 or cut == len(text) - 1:
        raise wrong("body", "model_key", msg="Write the model as 'provider:model'")
    return f"{text[:cut]}:{text[cut + 1 :]}"


def _price(body: NewPrice) -> Price:
    def rate(field: str, amount: Decimal | None, read: Callable[[Decimal], int] = money.rate) -> int | None:
        if amount is None:
            return None
        try:
            return read(amount)
        except (ValueError, ArithmeticError) as error:
            reason = str(error) if isinstance(error, ValueError) else "this number is not believable"
            raise wrong("body", field, msg=reason) from None

    def million(name: str) -> int | None:
        return rate(name + _PER_MILLION, getattr(body, name + _PER_MILLION))

    def each(name: str) -> int:
        field = f"price_per_{name}"
        return rate(field, getattr(body, field), money.unit_rate) or 0

    def tier(told: PriceTier) -> Tier:
        names = ("input", "output", *_TOKEN_METERS)
        rates = {name: rate("pricing_tiers", getattr(told, name + _PER_MILLION)) for name in names}
        return Tier(told.min_input_tokens, **rates)

    meters: dict[str, Any] = {name: million(name) for name in _TOKEN_METERS}
    return Price(
        million("input") or 0,
        million("output") or 0,
        **meters,
        source="api",
        request_pico=each("request"),
        image_pico=each("image"),
        second_pico=each("second"),
        character_pico=each("character"),
        unit=body.unit or "token",
        tiers=tuple(tier(told) for told in body.pricing_tiers or ()),
    )


def _not_found(key: str, at_ms: int | None = None) -> OtariError:
    when = "" if at_ms is None else f" with effective_at {records.iso(at_ms)}"
    return OtariError(Kind.NOT_FOUND, f"Pricing for model '{key}'{when} not found", param="model_key")
