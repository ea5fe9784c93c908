"""The list of models as Anthropic's clients read it: other names for the same facts, and page by page.

See https://docs.claude.com/en/api/models-list. A client shows that it wants this by its header `anthropic-version`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from otari.domain.errors import invalid
from otari.web.bodies import ModelPage

VERSION_HEADER = "anthropic-version"
LIMIT = 20  # when the client names none
_ACTIVE = "active"  # what a list holds is there to be used


def model_page(cards: Sequence[Mapping[str, Any]], query: ModelPage, lifecycles: Sequence[str] = ()) -> dict[str, Any]:
    """A page of `cards`, which are in the OpenAI shape and in order.

    `lifecycles` are the stages that the client wants to see, all when there are none. Raises OtariError(INVALID) for an
    id that is not listed, and for two places at once.
    """
    if lifecycles and _ACTIVE not in lifecycles:
        cards = ()
    begin, end = _cut([card["id"] for card in cards], query)
    shown = [model_info(card) for card in cards[begin:end]]
    more = begin > 0 if query.before_id is not None else end < len(cards)
    return {
        "data": shown,
        "has_more": more,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
    }


def _cut(ids: Sequence[str], query: ModelPage) -> tuple[int, int]:
    limit = query.limit or LIMIT
    if query.before_id is not None:
        if query.after_id is not None:
            raise invalid("Name after_id or before_id, not both.", "before_id")
        end = _place(ids, query.before_id, "before_id")
        return max(0, end - limit), end
    begin = 0 if query.after_id is None else _place(ids, query.after_id, "after_id") + 1
    return begin, min(begin + limit, len(ids))


def _place(ids: Sequence[str], wanted: str, name: str) -> int:
    try:
        return ids.index(wanted)
    except ValueError:
        raise invalid(f"{name} must be the id of a model in the list.", name) from None


def model_info(card: Mapping[str, Any]) -> dict[str, Any]:
    """A card in the OpenAI shape, in Anthropic's."""
    return {
        "type": "model",
        "id": card["id"],
        "display_name": card["id"],
        "created_at": datetime.fromtimestamp(card["created"], UTC).isoformat().replace("+00:00", "Z"),
        "max_input_tokens": card["context_window"],
        "max_tokens": card["max_output_tokens"],
        "capabilities": None,
        "lifecycle": _ACTIVE,
        "line": None,
        "deprecated_at": None,
        "retires_at": None,
    }
