"""`/v1/pricing`: what models cost, from when on. Reading needs a key, writing the master key."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aiohttp import web

from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.price import Price, Tier
from otari.store import prices, records
from otari.web import reply
from otari.web.accounts import listed, removed
from otari.web.bodies import AsOf, EffectiveAt, NewPrice, Page, PriceTier
from otari.web.fields import read_body, read_query
from otari.web.values import Unfit, epoch_ms, model_key, pico_each, pico_per_token
from otari.web.visit import Visit

_TOKEN_METERS = ("cache_read", "cache_write", "cache_write_1h", "reasoning")


async def set_price(visit: Visit) -> web.StreamResponse:
    """Set a price. One with the same model and time is replaced; the history of others stays."""
    body = await read_body(visit, NewPrice)
    if body.model_key in visit.house.catalog.aliases:
        raise invalid(f"'{body.model_key}' is an alias: set the price of the model it stands for", param="model_key")
    at_ms = None if body.effective_at is None else epoch_ms(body.effective_at)
    row = await visit.books.prices.set(model_key(body.model_key), _price(body), effective_at_ms=at_ms)
    return reply.as_json(records.price_record(row), visit.request_id)


async def list_pricing(visit: Visit) -> web.StreamResponse:
    """All prices with their history, by model and then newest first."""
    return await listed(visit, read_query(visit, Page), prices.list_prices, records.price_record)


async def get_pricing(visit: Visit) -> web.StreamResponse:
    """The price of a model that is in force, now or at another time."""
    key, query = _named(visit), read_query(visit, AsOf)
    at_ms = visit.house.now_ms() if query.as_of is None else epoch_ms(query.as_of)
    row = await visit.books.db.read(lambda conn: prices.find_effective(conn, key, at_ms))
    if row is None:
        raise _not_found(key)
    return reply.as_json(records.price_record(row), visit.request_id)


async def get_pricing_history(visit: Visit) -> web.StreamResponse:
    """All prices of a model, newest first."""
    key = _named(visit)
    rows = await visit.books.db.read(lambda conn: prices.history(conn, key))
    if not rows:
        raise _not_found(key)
    return reply.as_json([records.price_record(row) for row in rows], visit.request_id)


async def delete_pricing(visit: Visit) -> web.StreamResponse:
    """Delete one price of a model, or all of them."""
    key, query = _named(visit), read_query(visit, EffectiveAt)
    at_ms = None if query.effective_at is None else epoch_ms(query.effective_at)
    if not await visit.books.prices.remove(key, at_ms):
        raise _not_found(key, at_ms)
    return removed(visit)


def _named(visit: Visit) -> str:
    """The model of the path. Raises OtariError(NOT_FOUND) for a name that no model can have."""
    text = visit.request.match_info["model_key"]
    try:
        return model_key(text)
    except Unfit:
        raise _not_found(text) from None


def _price(body: NewPrice) -> Price:
    def million(of: NewPrice | PriceTier, name: str) -> int | None:
        return _read(pico_per_token, getattr(of, f"{name}_price_per_million"))

    def each(name: str) -> int:
        return _read(pico_each, getattr(body, f"price_per_{name}")) or 0

    def tier(told: PriceTier) -> Tier:
        return Tier(
            told.min_input_tokens, **{name: million(told, name) for name in ("input", "output", *_TOKEN_METERS)}
        )

    meters: dict[str, Any] = {name: million(body, name) for name in _TOKEN_METERS}
    return Price(
        million(body, "input") or 0,
        million(body, "output") or 0,
        **meters,
        source="api",
        request_pico=each("request"),
        image_pico=each("image"),
        second_pico=each("second"),
        character_pico=each("character"),
        unit="token" if body.unit is None or body.unit == "tokens" else body.unit,
        tiers=tuple(tier(told) for told in body.pricing_tiers or ()),
    )


def _read(read: Callable[[Decimal], int], amount: Decimal | None) -> int | None:
    return None if amount is None else read(amount)


def _not_found(key: str, at_ms: int | None = None) -> OtariError:
    when = "" if at_ms is None else f" with effective_at {records.iso(at_ms)}"
    return OtariError(Kind.NOT_FOUND, f"Pricing for model '{key}'{when} not found", param="model_key")
