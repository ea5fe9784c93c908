"""`GET /v1/models`: what can be asked for, from configuration, prices and limits."""

from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from otari.domain.catalog import Catalog, Limits, ModelRef
from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.price import Price
from otari.store.records import per_million
from otari.web import reply
from otari.web.bodies import ModelPage, ModelQuery
from otari.web.fields import InvalidFields, read_query
from otari.web.model_pages import VERSION_HEADER, model_info, model_page
from otari.web.reply import Shape
from otari.web.visit import Visit

Cards = dict[str, dict[str, Any]]


async def list_models(visit: Visit) -> web.StreamResponse:
    """All models: those that providers declare, those that have a price, and aliases, sorted by id.

    A client that sends the header `anthropic-version` gets them in Anthropic's shape, page by page.
    """
    cards = model_cards(visit.house.catalog, visit.house.now_ms())
    if VERSION_HEADER in visit.request.headers:
        return _in_anthropic_shape(visit, lambda: _page(visit, cards))
    owner = read_query(visit, ModelQuery).provider
    return reply.as_json({"object": "list", "data": _of_provider(cards, owner)}, visit.request_id)


async def get_model(visit: Visit) -> web.StreamResponse:
    """One model by id (`provider:model`, or an alias), in the shapes of the list.

    404 when it is not listed, unless every name is that of a model.
    """
    cards = model_cards(visit.house.catalog, visit.house.now_ms())
    if VERSION_HEADER in visit.request.headers:
        return _in_anthropic_shape(visit, lambda: model_info(_card_of(visit, cards)))
    return reply.as_json(_card_of(visit, cards), visit.request_id)


def _card_of(visit: Visit, cards: Cards) -> dict[str, Any]:
    model_id = visit.request.match_info["model_id"]
    catalog = visit.house.catalog
    card = cards.get(model_id)
    if card is None and catalog.has_anything:
        ref = catalog.model_ref(model_id)
        return _card(model_id, ref.provider, catalog.price(ref, visit.house.now_ms()), catalog.limits(ref))
    if card is None:
        raise OtariError(Kind.NOT_FOUND, f"Model '{model_id[:200]}' not found", param="model", code="model_not_found")
    return card


def _of_provider(cards: Cards, owner: str | None) -> list[dict[str, Any]]:
    return [cards[key] for key in sorted(cards) if owner in (None, cards[key]["owned_by"])]


def _page(visit: Visit, cards: Cards) -> dict[str, Any]:
    try:
        query = read_query(visit, ModelPage)
    except InvalidFields as error:
        raise invalid(error.message, error.param) from None  # as Anthropic answers
    told = visit.request.query
    lifecycles = [*told.getall("lifecycle", ()), *told.getall("lifecycle[]", ())]
    return model_page(_of_provider(cards, query.provider), query, lifecycles)


def _in_anthropic_shape(visit: Visit, make: Callable[[], dict[str, Any]]) -> web.StreamResponse:
    """What `make` gives, or its refusal in the shape that such a client reads."""
    try:
        return reply.as_json(make(), visit.request_id)
    except OtariError as error:
        return reply.as_error(Shape.ANTHROPIC, error, visit.request_id)


def model_cards(catalog: Catalog, now_ms: int) -> Cards:
    """Every model that can be named, by id, in the OpenAI list shape with prices and limits beside it."""
    cards: Cards = {}
    for provider in catalog.providers.values():
        for model in provider.models:
            ref = ModelRef(provider.name, model)
            cards[str(ref)] = _card(str(ref), provider.name, catalog.price(ref, now_ms), catalog.limits(ref))
    for key in catalog.priced_models():
        owner, _, model = key.partition(":")
        if owner in catalog.providers:
            ref = ModelRef(owner, model)
            cards.setdefault(key, _card(key, owner, catalog.price(ref, now_ms), catalog.limits(ref)))
    for alias, targets in catalog.aliases.items():
        refs = [catalog.model_ref(target) for target in targets]
        limits = _narrowest([catalog.limits(ref) for ref in refs])
        cards[alias] = _card(alias, "otari", catalog.price(refs[0], now_ms), limits)
    return cards


def _narrowest(limits: Sequence[Limits]) -> Limits:
    """What every one of several models can do, as far as it is known: any of them may be asked."""
    known = ([limit for limit in each if limit is not None] for each in zip(*limits, strict=True))
    return Limits(*(min(each, default=None) for each in known))


def _card(model_id: str, owner: str, price: Price | None, limits: Limits) -> dict[str, Any]:
    pricing = None
    if price is not None:
        pricing = {
            "input_price_per_million": per_million(price.input),
            "output_price_per_million": per_million(price.output),
        }
    return {
        "id": model_id,
        "object": "model",
        "created": 0 if price is None else price.effective_at // 1000,
        "owned_by": owner,
        "pricing": pricing,
        "context_window": limits.context,
        "max_output_tokens": limits.output,
    }
