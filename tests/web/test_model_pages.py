"""The list of models in Anthropic's shape, page by page, in both directions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.errors import OtariError
from otari.web.bodies import ModelPage
from otari.web.model_pages import LIMIT, model_info, model_page

CARD: dict[str, Any] = {
    "id": "anthropic:claude-sonnet-4-5",
    "object": "model",
    "created": 1_759_104_000,
    "owned_by": "anthropic",
    "pricing": None,
    "context_window": 200_000,
    "max_output_tokens": None,
}


def cards(count: int) -> list[dict[str, Any]]:
    return [CARD | {"id": f"stub:model-{number:04}"} for number in range(count)]


def ids(page: dict[str, Any]) -> list[str]:
    return [info["id"] for info in page["data"]]


def test_a_card_has_the_same_facts_under_anthropics_names() -> None:
    assert model_info(CARD) == {
        "type": "model",
        "id": "anthropic:claude-sonnet-4-5",
        "display_name": "anthropic:claude-sonnet-4-5",
        "created_at": "2025-09-29T00:00:00Z",
        "max_input_tokens": 200_000,
        "max_tokens": None,
        "capabilities": None,
        "lifecycle": "active",
        "line": None,
        "deprecated_at": None,
        "retires_at": None,
    }


def test_a_date_that_nobody_knows_is_the_epoch() -> None:
    assert model_info(CARD | {"created": 0})["created_at"] == "1970-01-01T00:00:00Z"


@given(count=st.integers(0, 70), limit=st.none() | st.integers(1, 1_000))
def test_pages_forward_show_every_model_once_and_in_order(count: int, limit: int | None) -> None:
    listed = cards(count)
    page = model_page(listed, ModelPage(limit=limit))
    found = ids(page)
    while page["has_more"]:
        assert len(page["data"]) == (limit or LIMIT)
        page = model_page(listed, ModelPage(limit=limit, after_id=page["last_id"]))
        assert page["first_id"] == ids(page)[0]
        found += ids(page)
    assert found == [card["id"] for card in listed]


@given(count=st.integers(1, 70), limit=st.integers(1, 30), start=st.integers(0, 69))
def test_pages_backward_show_everything_before_in_order(count: int, limit: int, start: int) -> None:
    listed = cards(count)
    start %= count
    found: list[str] = []
    before, more = listed[start]["id"], True
    while more:
        page = model_page(listed, ModelPage(limit=limit, before_id=before))
        found = ids(page) + found
        before, more = page["first_id"], page["has_more"]
    assert found == [card["id"] for card in listed[:start]]


def test_an_empty_page_has_no_ends() -> None:
    empty = {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert model_page([], ModelPage()) == empty
    listed = cards(3)
    assert model_page(listed, ModelPage(after_id=listed[-1]["id"])) == empty
    assert model_page(listed, ModelPage(before_id=listed[0]["id"])) == empty


@pytest.mark.parametrize("query", [ModelPage(after_id="no"), ModelPage(before_id="no")])
def test_a_place_that_is_not_there_is_refused_by_name(query: ModelPage) -> None:
    with pytest.raises(OtariError, match=r"(after|before)_id must be the id of a model") as caught:
        model_page(cards(3), query)
    assert caught.value.status == 400


def test_two_places_at_once_are_refused() -> None:
    first, *_, last = (card["id"] for card in cards(3))
    with pytest.raises(OtariError, match="not both"):
        model_page(cards(3), ModelPage(after_id=first, before_id=last))


@pytest.mark.parametrize(("stages", "count"), [([], 3), (["active"], 3), (["retired", "active"], 3), (["retired"], 0)])
def test_all_models_are_active(stages: list[str], count: int) -> None:
    assert len(model_page(cards(3), ModelPage(), stages)["data"]) == count
