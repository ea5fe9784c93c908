"""Embeddings: what providers are sent, and vectors in the encoding and order that was asked for."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.operations.embeddings import EMBEDDINGS
from otari.operations.vectors import as_base64, as_numbers, encoded
from tests.operations.told import refusal, sent, told, vectors

KNOWN = vectors("23_embeddings.json")
FLOAT, BASE64 = KNOWN["float"], KNOWN["base64"]
TEXTS = {"model": "p:m", "input": ["hi"]}


# ---- requests ----


def test_a_provider_of_the_same_wire_gets_everything_but_what_is_ours() -> None:
    asked = {
        "user": "u",
        "input": "hi",
        "model": "p:m",
        "new_key": {"a": 1},
        "encoding_format": "base64",
        "api_key": "k",
    }
    body, dropped = sent(EMBEDDINGS, asked, "openai")
    assert body == {"model": "m", "input": "hi", "new_key": {"a": 1}, "encoding_format": "base64"}
    assert list(body) == ["input", "model", "new_key", "encoding_format"]  # in the order that the client wrote
    assert dropped == ()


@pytest.mark.parametrize("flavour", ["mistral", "voyage"])
def test_dimensions_have_another_name_elsewhere(flavour: str) -> None:
    asked = {**TEXTS, "dimensions": 8, "encoding_format": "base64", "input_type": "query"}
    assert sent(EMBEDDINGS, asked, flavour) == (
        {"model": "m", "input": ["hi"], "output_dimension": 8, "input_type": "query"},
        (),
    )


def test_a_server_that_knows_no_encoding_is_not_asked_for_one() -> None:
    asked = {**TEXTS, "dimensions": 8, "encoding_format": "base64"}
    assert sent(EMBEDDINGS, asked, "float")[0] == {"model": "m", "input": ["hi"], "dimensions": 8}


def test_cohere_wants_a_purpose_and_a_type() -> None:
    asked = {**TEXTS, "input": "hi", "dimensions": 256, "encoding_format": "float", "strange": 1, "truncate": "END"}
    assert sent(EMBEDDINGS, asked, "cohere") == (
        {
            "model": "m",
            "texts": ["hi"],
            "input_type": "search_document",
            "embedding_types": ["float"],
            "truncate": "END",
            "output_dimension": 256,
        },
        ("strange",),
    )
    assert sent(EMBEDDINGS, {**TEXTS, "input_type": "search_query"}, "cohere")[0]["input_type"] == "search_query"


def test_gemini_gets_a_request_for_every_text() -> None:
    asked = {"model": "p:m", "input": ["a", "b"], "dimensions": 64, "task_type": "CLUSTERING", "odd": True}
    one = {"model": "models/m", "taskType": "CLUSTERING", "outputDimensionality": 64}
    assert sent(EMBEDDINGS, asked, "gemini") == (
        {"requests": [{**one, "content": {"parts": [{"text": text}]}} for text in ("a", "b")]},
        ("odd",),
    )


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]]])
def test_tokens_go_only_where_they_mean_something(tokens: Any) -> None:
    asked = {"model": "p:m", "input": tokens}
    assert sent(EMBEDDINGS, asked, "openai")[0]["input"] == tokens
    for flavour in EMBEDDINGS.flavours - {"openai"}:
        with pytest.raises(OtariError, match=r"^Provider acme does not support tokens") as raised:
            sent(EMBEDDINGS, asked, flavour)
        assert (raised.value.kind, raised.value.param) == (Kind.INVALID, "input")


def test_the_bound_of_the_prompt_is_its_bytes_and_nothing_is_written() -> None:
    envelope = EMBEDDINGS.read_envelope({**TEXTS, "user": "u"}, 77)
    assert envelope == ("p:m", "u", 77, 0, 0, False)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 7}, "model"),
        ({"model": " "}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [1, "a"]}, "input"),
        ({"input": [True]}, "input"),
        ({"input": [-1]}, "input"),
        ({"input": [1.5]}, "input"),
        ({"input": [2**31]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": [[1], 2]}, "input"),
        ({"input": [["a"]]}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": True}, "dimensions"),
        ({"dimensions": 1_000_000}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"encoding_format": []}, "encoding_format"),
        ({"user": 5}, "user"),
    ],
)
def test_what_is_no_request_is_refused_by_the_name_of_its_field(change: dict[str, Any], param: str) -> None:
    assert refusal(EMBEDDINGS, {**TEXTS, **change}).param == param


# ---- answers ----


def test_an_answer_that_is_as_it_was_asked_for_keeps_its_bytes() -> None:
    for asked, answer in (({}, FLOAT), ({"encoding_format": "float"}, FLOAT), ({"encoding_format": "base64"}, BASE64)):
        got = told(EMBEDDINGS, {**TEXTS, **asked}, answer, "openai")
        assert got.body == orjson.dumps(answer)
        assert got.usage == Usage(input=2, output=0)


def test_the_encoding_is_mended_both_ways() -> None:
    assert orjson.loads(told(EMBEDDINGS, {**TEXTS, "encoding_format": "base64"}, FLOAT, "openai").body) == BASE64
    assert orjson.loads(told(EMBEDDINGS, TEXTS, BASE64, "openai").body) == FLOAT


def test_cohere_gemini_and_voyage_answer_in_one_shape() -> None:
    one = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25, 1.0]}]
    cohere = told(EMBEDDINGS, TEXTS, KNOWN["cohere_v2"], "cohere")
    assert orjson.loads(cohere.body) == {
        "object": "list",
        "data": one,
        "model": "m",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    assert cohere.usage == Usage(input=2, output=0)
    gemini = told(EMBEDDINGS, TEXTS, KNOWN["gemini_batch"], "gemini")
    assert orjson.loads(gemini.body)["data"] == one
    assert orjson.loads(gemini.body)["usage"] == {"prompt_tokens": 42, "total_tokens": 42}  # counted: it tells none
    assert gemini.usage == Usage()
    voyage = told(EMBEDDINGS, {**TEXTS, "encoding_format": "base64"}, KNOWN["voyage"], "voyage")
    assert orjson.loads(voyage.body)["data"][0]["embedding"] == BASE64["data"][0]["embedding"]
    assert voyage.usage == Usage(input=2, output=0)


def test_vectors_come_in_the_order_of_the_texts() -> None:
    data = [{"object": "embedding", "index": index, "embedding": [float(index)]} for index in (2, 0, 1)]
    answer = {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 3}}
    got = orjson.loads(told(EMBEDDINGS, {"model": "p:m", "input": ["a", "b", "c"]}, answer, "openai").body)
    assert [entry["embedding"] for entry in got["data"]] == [[0.0], [1.0], [2.0]]
    assert got["usage"] == {"prompt_tokens": 3}


@pytest.mark.parametrize(
    ("flavour", "answer"),
    [
        ("openai", [1]),
        ("openai", {}),
        ("openai", {"data": "x"}),
        ("openai", {"data": [1]}),
        ("openai", {"data": [{"index": 0, "embedding": "!!!"}]}),
        ("openai", {"data": [{"index": 0, "embedding": "AAA="}]}),
        ("openai", {"data": [{"index": 0, "embedding": "AADAfw=="}]}),  # not a number
        ("openai", {"data": [{"index": 0, "embedding": None}]}),
        ("openai", {"data": [{"index": "0", "embedding": "AAAAAA=="}]}),
        ("openai", {"error": {"message": "no"}}),
        ("cohere", {"embeddings": {"int8": [[1]]}}),
        ("cohere", {"embeddings": {"float": []}}),
        ("cohere", {"embeddings": {"float": [["a"]]}}),
        ("gemini", {"embeddings": [{"values": None}]}),
        ("gemini", {"embeddings": [1]}),
    ],
)
def test_what_is_no_answer_is_a_failure_of_the_provider(flavour: str, answer: Any) -> None:
    request = {**TEXTS, "encoding_format": "base64"} if flavour != "openai" else TEXTS
    with pytest.raises(OtariError) as raised:
        told(EMBEDDINGS, request, answer, flavour)
    assert raised.value.kind is Kind.UPSTREAM
    assert raised.value.retryable


def test_usage_is_believed_only_where_it_is_a_number() -> None:
    odd: list[Any] = [{"prompt_tokens": "7"}, {"prompt_tokens": None}, None, [], {"prompt_tokens": 1.5}]
    for usage in odd:
        assert told(EMBEDDINGS, TEXTS, {**FLOAT, "usage": usage}, "openai").usage == Usage()


def test_what_is_counted_are_the_texts() -> None:
    assert EMBEDDINGS.text({"input": "one"}) == "one"
    assert EMBEDDINGS.text({"input": ["one", "two"]}) == "one\ntwo"
    assert EMBEDDINGS.text({"input": [7, 8, 9]}).split() == ["a"] * 3
    assert EMBEDDINGS.text({"input": [[7, 8], [9]]}).split() == ["a"] * 3


# ---- vectors ----

singles = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(singles))
def test_there_and_back_a_vector_is_the_same(numbers: list[float]) -> None:
    assert as_numbers(as_base64(numbers)) == numbers


@given(st.lists(singles), st.sampled_from(["float", "base64"]))
def test_either_form_gives_either_form(numbers: list[float], wanted: str) -> None:
    plain, packed = encoded(numbers, wanted), encoded(as_base64(numbers), wanted)
    assert plain == packed
    assert isinstance(plain, str) == (wanted == "base64")


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_whatever_text_comes_as_a_vector_is_whole_floats_or_is_refused(text: str) -> None:
    try:
        numbers = as_numbers(text)
    except ValueError:
        return
    assert len(base64.b64decode(text)) == 4 * len(numbers)
