"""Embeddings: texts or tokens in, vectors out, in the shape of OpenAI's `/v1/embeddings`.

Flavours: "openai" takes requests as they are; "float" is the same without `encoding_format`; "mistral" and "voyage"
call `dimensions` otherwise; "cohere" is its v2, "gemini" Google's own batch. Vectors come out in the encoding and the
order that the client asked for, whatever the provider does.
"""

from typing import Any

from otari.dialects.envelope import body, read_integer, read_model
from otari.domain.chat import Doc, Usage
from otari.domain.errors import OtariError, invalid
from otari.operations import operation
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
    read_user,
    same_request,
    unsupported,
    write_doc,
)
from otari.operations.vectors import encoded

_MAX_DIMENSIONS = 1 << 16
_MAX_TOKEN = 1 << 31
_ENCODINGS = ("float", "base64")
# What a provider calls the number of dimensions, where requests are OpenAI's but for that and the encoding.
_RENAMED = {"float": {}, "mistral": {"dimensions": "output_dimension"}, "voyage": {"dimensions": "output_dimension"}}
_COHERE_KEYS = ("input_type", "truncate", "max_tokens", "priority")
_GEMINI_KEYS = {"task_type": "taskType", "title": "title"}


class Embeddings(JsonOperation):
    """The operation; see `Operation`."""

    name = "embeddings"
    lack = "embeddings"
    flavours = frozenset({"openai", "cohere", "gemini", *_RENAMED})

    def read_envelope(self, request: Doc, size: int) -> Envelope:
        model = read_model(request)
        _check_input(request.get("input"))
        read_integer(request, "dimensions", _MAX_DIMENSIONS)
        if request.get("encoding_format") not in (None, *_ENCODINGS):
            raise invalid("encoding_format must be float or base64.", "encoding_format")
        return Envelope(model, read_user(request), prompt_tokens=size)

    def write_request(self, request: Doc, place: Place) -> Sent:
        if place.flavour == "openai":
            return same_request(request, place.model)
        texts = _texts(request, place)
        if place.flavour == "cohere":
            return _for_cohere(request, texts, place)
        if place.flavour == "gemini":
            return _for_gemini(request, texts, place)
        asked = public(request, "encoding_format")
        return Sent(body({**operation.renamed(asked, _RENAMED[place.flavour]), "model": place.model}))

    def read_answer(self, request: Doc, came: Came, place: Place, facts: Facts) -> Told:
        doc = read_doc(came)
        if place.flavour == "cohere":
            vectors, tokens = _cohere_vectors(doc), _cohere_tokens(doc)
        elif place.flavour == "gemini":
            vectors, tokens = _gemini_vectors(doc), count_in(doc.get("usageMetadata"), "promptTokenCount")
        else:
            return _openai_answer(request, came, doc)
        if len(vectors) != len(_texts(request, place)):
            raise malformed(f"has {len(vectors)} vectors")
        told = facts.counted() if tokens is None else tokens
        answer = {
            "object": "list",
            "data": _data(vectors, _encoding(request)),
            "model": place.model,
            "usage": {"prompt_tokens": told, "total_tokens": told},
        }
        return Told(write_doc(answer), usage=_usage(tokens))

    def text(self, request: Doc) -> str:
        """The texts; of tokens each is a word, since that many they are."""
        told = request["input"]
        return told if isinstance(told, str) else "\n".join(map(_readable, told))


EMBEDDINGS = Embeddings()


# ---- requests ----


def _check_input(told: Any) -> None:
    if isinstance(told, str):
        return
    if not isinstance(told, list):
        raise _bad_input()
    if not told:
        raise invalid("input must not be an empty list.", "input")
    if isinstance(told[0], str):
        good = all(isinstance(text, str) for text in told)
    elif isinstance(told[0], list):
        good = all(isinstance(tokens, list) and tokens and _are_tokens(tokens) for tokens in told)
    else:
        good = _are_tokens(told)
    if not good:
        raise _bad_input()


def _are_tokens(values: list[Any]) -> bool:
    return all(type(value) is int and 0 <= value < _MAX_TOKEN for value in values)


def _bad_input() -> OtariError:
    words = "input must be a string, a list of strings, a list of token numbers, or a list of such lists."
    return invalid(words, "input")


def _texts(request: Doc, place: Place) -> list[str]:
    """The texts of a request. Raises OtariError(INVALID) for tokens: they mean nothing without OpenAI's tokenizer."""
    told = request["input"]
    texts = [told] if isinstance(told, str) else told
    if not isinstance(texts[0], str):
        raise unsupported(place, "tokens as input of embeddings: send text", "input")
    return texts


def _readable(value: Any) -> str:
    return value if isinstance(value, str) else " a" * (len(value) if isinstance(value, list) else 1)


def _for_cohere(request: Doc, texts: list[str], place: Place) -> Sent:
    asked = {key: request[key] for key in _COHERE_KEYS if request.get(key) is not None}
    told = {
        "texts": texts,
        "input_type": "search_document",
        "embedding_types": ["float"],
        **asked,
    }
    if request.get("dimensions") is not None:
        told["output_dimension"] = request["dimensions"]
    return operation.write(told, place.model, _left(request, _COHERE_KEYS))


def _for_gemini(request: Doc, texts: list[str], place: Place) -> Sent:
    asked = {theirs: request[mine] for mine, theirs in _GEMINI_KEYS.items() if request.get(mine) is not None}
    if request.get("dimensions") is not None:
        asked["outputDimensionality"] = request["dimensions"]
    model = f"models/{place.model}"
    requests = [{"model": model, "content": {"parts": [{"text": text}]}, **asked} for text in texts]
    return Sent(body({"requests": requests}), dropped=_left(request, tuple(_GEMINI_KEYS)))


def _left(request: Doc, carried: tuple[str, ...]) -> tuple[str, ...]:
    """The keys that could not be carried over."""
    known = ("model", "input", "encoding_format", "dimensions", *carried)
    return tuple(key for key, value in public(request).items() if key not in known and value is not None)


# ---- answers ----


def _encoding(request: Doc) -> str:
    return request.get("encoding_format") or "float"


def _usage(tokens: int | None) -> Usage:
    return Usage() if tokens is None else Usage(input=tokens, output=0)


def _openai_answer(request: Doc, came: Came, doc: Doc) -> Told:
    """As it came, unless its vectors are in another encoding or another order than was asked for."""
    usage = _usage(count_in(doc.get("usage"), "prompt_tokens", "total_tokens"))
    entries, kind = doc.get("data"), str if _encoding(request) == "base64" else list
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise malformed("has no list of vectors")
    in_order = all(entry.get("index", place) == place for place, entry in enumerate(entries))
    if in_order and all(isinstance(entry.get("embedding"), kind) for entry in entries):
        return Told(came.body, usage=usage)
    ordered = sorted(enumerate(entries), key=lambda pair: _index(pair[1], pair[0]))
    data = [{**entry, "embedding": _encoded(entry.get("embedding"), _encoding(request))} for _, entry in ordered]
    return Told(write_doc({**doc, "data": data}), usage=usage)


def _index(entry: Doc, place: int) -> int:
    told = entry.get("index", place)
    if type(told) is not int:
        raise malformed("has a vector without a place")
    return told


def _data(vectors: list[Any], encoding: str) -> list[Doc]:
    return [
        {"object": "embedding", "index": index, "embedding": _encoded(vector, encoding)}
        for index, vector in enumerate(vectors)
    ]


def _encoded(vector: Any, encoding: str) -> str | list[float]:
    try:
        return encoded(vector, encoding)
    except ValueError as error:
        raise malformed(f"has a vector that is {error}") from None


def _cohere_vectors(doc: Doc) -> list[Any]:
    told = doc.get("embeddings")
    vectors = told.get("float") if isinstance(told, dict) else told
    if not isinstance(vectors, list):
        raise malformed("has no list of vectors")
    return vectors


def _cohere_tokens(doc: Doc) -> int | None:
    meta = doc.get("meta")
    return count_in(meta.get("billed_units"), "input_tokens") if isinstance(meta, dict) else None


def _gemini_vectors(doc: Doc) -> list[Any]:
    told = doc.get("embeddings")
    if not isinstance(told, list) or not all(isinstance(entry, dict) for entry in told):
        raise malformed("has no list of vectors")
    return [entry.get("values") for entry in told]
