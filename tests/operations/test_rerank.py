"""Rerank: every provider's shape to one, best first, with the places of the request."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.operations.operation import Came
from otari.operations.rerank import RERANK
from tests.operations.told import FACTS, at, refusal, sent, told, vectors

KNOWN = vectors("22_rerank.json")
REQUEST = KNOWN["request"]
FLAVOURS = sorted(RERANK.flavours)


def test_each_provider_is_told_in_its_own_words() -> None:
    asked = {**REQUEST, "max_tokens_per_doc": 9, "return_documents": True, "user": "u", "rank_fields": ["a"]}
    common = {"model": "m", "query": "rain", "documents": REQUEST["documents"], "rank_fields": ["a"]}
    assert sent(RERANK, asked, "cohere") == ({**common, "top_n": 2, "max_tokens_per_doc": 9}, ())
    assert sent(RERANK, asked, "otari") == ({**common, "top_n": 2, "max_tokens_per_doc": 9}, ())
    left = ("max_tokens_per_doc",)
    assert sent(RERANK, asked, "jina") == ({**common, "top_n": 2, "return_documents": False}, left)
    assert sent(RERANK, asked, "voyage") == ({**common, "top_k": 2, "return_documents": False}, left)
    assert sent(RERANK, REQUEST, "voyage")[0] == {**KNOWN["to_voyage"], "model": "m", "return_documents": False}


def test_of_a_document_only_its_text_goes_out() -> None:
    asked = {**REQUEST, "documents": ["a", {"text": "b", "title": "B"}]}
    assert sent(RERANK, asked, "cohere")[0]["documents"] == ["a", "b"]
    got = orjson.loads(told(RERANK, {**asked, "return_documents": True}, KNOWN["cohere"], "cohere").body)
    assert [entry["document"] for entry in got["results"]] == [{"text": "b", "title": "B"}, {"text": "a"}]


@pytest.mark.parametrize(("answer", "flavour"), [("cohere", "cohere"), ("jina", "jina"), ("voyage", "voyage")])
def test_every_answer_is_one_list(answer: str, flavour: str) -> None:
    got = orjson.loads(told(RERANK, REQUEST, KNOWN[answer], flavour).body)
    assert got["results"] == KNOWN["unified_results"]
    assert isinstance(got["id"], str)


def test_what_was_told_beside_is_kept() -> None:
    cohere = told(RERANK, REQUEST, KNOWN["cohere"], "cohere")
    assert cohere.body == orjson.dumps(KNOWN["cohere"])  # it is what we answer already
    assert cohere.usage == Usage()
    jina = told(RERANK, REQUEST, KNOWN["jina"], "jina")
    assert jina.usage == Usage(input=12, output=0)
    assert orjson.loads(jina.body)["usage"] == {"total_tokens": 12}
    assert orjson.loads(jina.body)["model"] == "jina-reranker-v2"
    meta = {"tokens": {"input_tokens": 5}}
    got = told(RERANK, REQUEST, {**KNOWN["cohere"], "meta": meta}, "cohere")
    assert got.usage == Usage(input=5, output=0)
    voyage = orjson.loads(told(RERANK, REQUEST, KNOWN["voyage"], "voyage").body)
    assert (voyage["id"], voyage["usage"]) == ("rerank-req_1", {"total_tokens": 12})


def test_a_server_that_ignores_the_number_of_results_is_cut_short() -> None:
    got = orjson.loads(told(RERANK, {**REQUEST, "top_n": 1}, KNOWN["cohere"], "cohere").body)
    assert got["results"] == KNOWN["unified_results"][:1]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9), st.sampled_from(FLAVOURS))
def test_the_best_comes_first_and_keeps_its_place(scores: list[float], flavour: str) -> None:
    request = {"model": "p:m", "query": "q", "documents": ["d"] * len(scores)}
    entries = [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]
    answer = {"data" if flavour == "voyage" else "results": entries}
    results = orjson.loads(told(RERANK, request, answer, flavour).body)["results"]
    assert [entry["relevance_score"] for entry in results] == sorted(scores, reverse=True)
    assert all(scores[entry["index"]] == entry["relevance_score"] for entry in results)
    assert sorted(entry["index"] for entry in results) == list(range(len(scores)))


def test_the_bound_counts_the_query_with_every_document() -> None:
    assert RERANK.read_envelope({**REQUEST, "query": "äb"}, 100).prompt_tokens == 100 + 2 * 3


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": 5}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"documents": [5]}, "documents[0]"),
        ({"documents": ["a", {"title": "x"}]}, "documents[1]"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": "2"}, "top_n"),
        ({"max_tokens_per_doc": -1}, "max_tokens_per_doc"),
        ({"return_documents": "yes"}, "return_documents"),
    ],
)
def test_what_is_no_request_is_refused_by_the_name_of_its_field(change: dict[str, Any], param: str) -> None:
    assert refusal(RERANK, {**REQUEST, **change}).param == param


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"results": 5},
        {"results": [5]},
        {"results": [{"index": 2, "relevance_score": 1.0}]},
        {"results": [{"index": -1, "relevance_score": 1.0}]},
        {"results": [{"index": 0}]},
        {"results": [{"index": 0, "relevance_score": "1"}]},
        {"results": [{"index": True, "relevance_score": 1}]},
    ],
)
def test_what_is_no_answer_is_a_failure_of_the_provider(answer: Any) -> None:
    with pytest.raises(OtariError) as raised:
        told(RERANK, REQUEST, answer, "jina")
    assert raised.value.kind is Kind.UPSTREAM


def test_an_answer_that_is_nested_too_deeply_to_be_written_is_one_too() -> None:
    deep = b'{"a":' * 400 + b"1" + b"}" * 400
    with pytest.raises(OtariError, match="nested too deeply") as raised:
        RERANK.read_answer(REQUEST, Came(b'{"results":[],"meta":' + deep + b"}"), at("jina"), FACTS)
    assert raised.value.kind is Kind.UPSTREAM
