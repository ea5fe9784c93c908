"""Rerank: a query and documents in, places and scores out, in the shape of Cohere's.

Flavours differ in what they call the number of results and in whether they cut documents; they answer `results` or
`data`. Documents are given back from the request, so no provider is asked to send them; `top_n` is seen to here, too,
since some servers do not know it.
"""

from typing import Any, NamedTuple

from otari.dialects.envelope import body, read_boolean, read_integer, read_model
from otari.domain.chat import Doc, Usage
from otari.domain.errors import OtariError, invalid
from otari.operations.operation import (
    Came,
    Envelope,
    Facts,
    JsonOperation,
    Place,
    Sent,
    Told,
    count_in,
    malformed,
    public,
    read_doc,
    read_text,
    read_user,
    renamed,
    write_doc,
)

_MAX_RESULTS = 1 << 31


class _Flavour(NamedTuple):
    """`top` is how the number of results is called. `cuts`: it knows `max_tokens_per_doc`. `returns`: it gives the
    documents back unless it is told not to."""

    top: str = "top_n"
    cuts: bool = False
    returns: bool = False


_FLAVOURS = {
    "cohere": _Flavour(cuts=True),
    "jina": _Flavour(returns=True),
    "voyage": _Flavour(top="top_k", returns=True),
    "otari": _Flavour(cuts=True),
}


class Rerank(JsonOperation):
    """The operation; see `Operation`."""

    name = "rerank"
    lack = "rerank"
    flavours = frozenset(_FLAVOURS)
    tokens = False

    def read_envelope(self, request: Doc, size: int) -> Envelope:
        model = read_model(request)
        read_text(request, "query")
        _check_documents(request.get("documents"))
        for key in ("top_n", "max_tokens_per_doc"):
            read_integer(request, key, _MAX_RESULTS)
        read_boolean(request, "return_documents")
        # Each document is read together with the query.
        query_bytes = len(request["query"].encode("utf-8", "replace"))
        return Envelope(model, read_user(request), prompt_tokens=size + query_bytes * len(request["documents"]))

    def write_request(self, request: Doc, place: Place) -> Sent:
        flavour = _FLAVOURS[place.flavour]
        left = () if flavour.cuts or request.get("max_tokens_per_doc") is None else ("max_tokens_per_doc",)
        asked = renamed(public(request, "return_documents", *left), {"top_n": flavour.top})
        asked["documents"] = [_text(document) for document in request["documents"]]
        if flavour.returns:
            asked["return_documents"] = False
        return Sent(body({**asked, "model": place.model}), dropped=left)

    def read_answer(self, request: Doc, came: Came, place: Place, facts: Facts) -> Told:
        doc = read_doc(came)
        told = doc.get("results", doc.get("data"))
        if not isinstance(told, list):
            raise malformed("has no list of results")
        results = sorted((_result(entry, request) for entry in told), key=lambda each: -each["relevance_score"])
        results = results[: request.get("top_n") or len(results)]
        tokens = _tokens(doc)
        usage = Usage() if tokens is None else Usage(input=tokens, output=0)
        if results == told and isinstance(doc.get("id"), str):
            return Told(came.body, usage=usage)
        name = doc["id"] if isinstance(doc.get("id"), str) else f"rerank-{facts.name}"
        answer: Doc = {"id": name, "model": doc.get("model") or place.model, "results": results}
        if isinstance(doc.get("meta"), dict):
            answer["meta"] = doc["meta"]
        if tokens is not None:
            answer["usage"] = {"total_tokens": tokens}
        return Told(write_doc(answer), usage=usage)

    def text(self, request: Doc) -> str:
        return "\n".join([request["query"], *map(_text, request["documents"])])


RERANK = Rerank()


def _check_documents(documents: Any) -> None:
    if not isinstance(documents, list) or not documents:
        raise invalid("documents must be a list of at least one text.", "documents")
    for index, document in enumerate(documents):
        if not isinstance(document, str) and not (isinstance(document, dict) and isinstance(document.get("text"), str)):
            raise _bad_document(f"documents[{index}]")


def _bad_document(name: str) -> OtariError:
    return invalid(f"{name} must be a text, or an object with a `text`.", name)


def _text(document: Any) -> str:
    return document if isinstance(document, str) else str(document["text"])


def _result(entry: Any, request: Doc) -> Doc:
    documents = request["documents"]
    index = entry.get("index") if isinstance(entry, dict) else None
    score = entry.get("relevance_score", entry.get("score")) if isinstance(entry, dict) else None
    if type(index) is not int or not 0 <= index < len(documents) or type(score) not in (int, float):
        raise malformed("has a result without a place or a score")
    extra = {key: value for key, value in entry.items() if key not in ("document", "object", "score")}
    result = {**extra, "index": index, "relevance_score": score}
    if request.get("return_documents"):
        document = documents[index]
        result["document"] = {"text": document} if isinstance(document, str) else document
    return result


def _tokens(doc: Doc) -> int | None:
    """What the provider counted, wherever it says so."""
    told = count_in(doc.get("usage"), "total_tokens", "prompt_tokens")
    meta = doc.get("meta")
    if told is None and isinstance(meta, dict):
        told = count_in(meta.get("tokens"), "input_tokens")
        told = count_in(meta.get("billed_units"), "input_tokens") if told is None else told
    return told
