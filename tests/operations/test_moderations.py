"""Moderations: texts and images in, one shape of verdicts out."""

from typing import Any

import orjson
import pytest

from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.money import IMAGE_TOKENS
from otari.operations.moderations import MODERATIONS, MODERATIONS_RAW
from tests.operations.told import refusal, sent, told, vectors

KNOWN = vectors("27_moderation.json")
TEXT = {"model": "p:m", "input": "hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
PARTS = [{"type": "text", "text": "look"}, IMAGE]


def test_openai_gets_the_request_as_it_is() -> None:
    assert sent(MODERATIONS, {**TEXT, "input": PARTS, "user": "u"}, "openai") == ({"model": "m", "input": PARTS}, ())


def test_mistral_gets_texts_and_nothing_else() -> None:
    assert sent(MODERATIONS, TEXT, "mistral")[0] == {"model": "m", "input": "hi"}
    texts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert sent(MODERATIONS, {**TEXT, "input": texts}, "mistral")[0] == {"model": "m", "input": ["a", "b"]}
    with pytest.raises(OtariError, match=r"^Provider acme does not support multimodal moderation$") as raised:
        sent(MODERATIONS, {**TEXT, "input": PARTS}, "mistral")
    assert (raised.value.kind, raised.value.status) == (Kind.INVALID, 400)


def test_an_answer_of_openais_keeps_its_bytes() -> None:
    answer = KNOWN["openai"]
    got = told(MODERATIONS, TEXT, answer, "openai")
    assert got.body == orjson.dumps(answer)
    assert got.usage == Usage()  # none is told, none is made up


def test_categories_without_a_value_are_left_out() -> None:
    result = {"flagged": False, "categories": {"a/b": None, "c": False}, "category_scores": {"a/b": None, "c": 0.1}}
    got = orjson.loads(told(MODERATIONS, TEXT, {"id": "x", "model": "n", "results": [result]}, "openai").body)
    assert got == {
        "id": "x",
        "model": "n",
        "results": [{"flagged": False, "categories": {"c": False}, "category_scores": {"c": 0.1}}],
    }


def test_mistrals_flag_is_made_of_its_categories() -> None:
    got = orjson.loads(told(MODERATIONS, TEXT, KNOWN["mistral"], "mistral").body)
    assert got["results"][0]["flagged"] is KNOWN["mistral_unified_flagged"]
    assert got["results"][0]["categories"] == KNOWN["mistral"]["results"][0]["categories"]
    assert got["id"] == KNOWN["mistral"]["id"]
    harmless = {"results": [{"categories": {"sexual": False}, "category_scores": {}}]}
    got = orjson.loads(told(MODERATIONS, TEXT, harmless, "mistral").body)
    assert (got["id"], got["model"], got["results"][0]["flagged"]) == ("modr-req_1", "m", False)


def test_raw_adds_what_the_provider_wrote() -> None:
    answer = KNOWN["mistral"]
    got = orjson.loads(told(MODERATIONS_RAW, TEXT, answer, "mistral").body)
    assert got["results"][0]["provider_raw"] == answer["results"][0]


def test_an_image_counts_as_one_and_not_by_its_text() -> None:
    size = len(orjson.dumps(PARTS))
    assert MODERATIONS.read_envelope({**TEXT, "input": PARTS}, size).prompt_tokens == (
        size + IMAGE_TOKENS - len(IMAGE["image_url"]["url"])  # type: ignore[index]
    )
    far = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    assert MODERATIONS.read_envelope({**TEXT, "input": far}, 50).prompt_tokens == 50 + IMAGE_TOKENS


def test_what_is_counted_are_the_texts() -> None:
    assert MODERATIONS.text({"input": PARTS}) == "look"
    assert MODERATIONS.text({"input": ["a", "b"]}) == "a\nb"


@pytest.mark.parametrize(
    ("told_input", "param"),
    [
        (None, "input"),
        (5, "input"),
        ([], "input"),
        ([1], "input"),
        ([{}], "input[0]"),
        (["a", {"type": "text"}], "input[1]"),
        ([{"type": "image_url", "image_url": "https://x"}], "input[0]"),
        ([{"type": "audio", "audio": {}}], "input[0]"),
        ([{"type": "image_url", "image_url": {"url": 5}}], "input[0]"),
    ],
)
def test_what_is_no_input_is_refused(told_input: Any, param: str) -> None:
    assert refusal(MODERATIONS, {**TEXT, "input": told_input}).param == param


@pytest.mark.parametrize("answer", [{}, {"results": {}}, {"results": [1]}, {"results": None}, {"error": "x"}])
def test_what_is_no_answer_is_a_failure_of_the_provider(answer: Any) -> None:
    with pytest.raises(OtariError) as raised:
        told(MODERATIONS, TEXT, answer, "openai")
    assert raised.value.kind is Kind.UPSTREAM
