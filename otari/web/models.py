"""`GET /v1/models`: what can be asked for, from configuration and prices."""

from typing import Any

from aiohttp import web

from otari.domain.catalog import Catalog, ModelRef, Price
from otari.domain.errors import Kind, OtariError
from otari.store.records import per_million
from otari.web import reply
from otari.web.visit import Visit


async def list_models(visit: Visit) -> web.StreamResponse:
    """All models: those that providers declare, those that have a price, and aliases, sorted by id."""
    cards = model_cards(visit.house.catalog, visit.house.now_ms())
    return reply.as_json({"object": "list", "data": [cards[key] for key in sorted(cards)]}, visit.request_id)


async def get_model(visit: Visit) -> web.StreamResponse:
    """One model by id (`provider:model`, or an alias). 404 when it is not listed."""
    model_id = visit.request.match_info["model_id"]
    card = model_cards(visit.house.catalog, visit.house.now_ms()).get(model_id)
    if card is None:
        raise OtariError(Kind.NOT_FOUND, f"Model '{model_id[:200]}' not found", param="model", code="model_not_found")
    return reply.as_json(card, visit.request_id)


def model_cards(catalog: Catalog, now_ms: int) -> dict[str, dict[str, Any]]:
    """Every model that can be named, by id, in the OpenAI list shape with the `pricing` object of Otari."""
    cards: dict[str, dict[str, Any]] = {}
    for provider in catalog.providers.values():
        for model in provider.models:
            ref = ModelRef(provider.name, model)
            cards[str(ref)] = _card(str(ref), provider.name, catalog.price(ref, now_ms))
    for key in catalog.priced_models():
        owner, _, model = key.partition(":")
        if owner in catalog.providers:
            cards.setdefault(key, _card(key, owner, catalog.price(ModelRef(owner, model), now_ms)))
    for alias, targets in catalog.aliases.items():
        ref = catalog.model_ref(targets[0])
        cards[alias] = _card(alias, "otari", catalog.price(ref, now_ms))
    return cards


def _card(model_id: str, owner: str, price: Price | None) -> dict[str, Any]:
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
    }
