"""`generationConfig`: sampling, limits, the form of the answer, thinking."""

from typing import Any, NamedTuple

from otari.dialects.gemini import thinking
from otari.dialects.gemini.tools import json_schema
from otari.dialects.losses import Drop
from otari.domain.chat import ChatRequest, Doc, Sampling, Shape

GENERATION = "generationConfig."  # how keys of `extras` begin that stand inside generationConfig
MAX_STOPS = 5
_JSON = "application/json"
_SAMPLING = {
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
_READ = frozenset(_SAMPLING) | {"stopSequences", "maxOutputTokens", "candidateCount", "thinkingConfig"}
_SEEDS = range(-(2**31), 2**31)


class Generation(NamedTuple):
    """What a `generationConfig` says, and the `extras` for what it says beyond that."""

    sampling: Sampling
    max_output_tokens: int | None
    choices: int
    shape: Shape | None
    reasoning: Doc | None
    extras: Doc


def read_generation(told: Any) -> Generation:
    """What a checked `generationConfig` says (see `envelope`)."""
    config: Doc = told if isinstance(told, dict) else {}
    shape = _read_shape(config)
    reasoning, of_thinking = thinking.read_thinking(config.get("thinkingConfig"))
    consumed = set(_READ)
    if shape is not None:
        consumed |= {"responseMimeType", "responseJsonSchema"}
    extras = {GENERATION + key: value for key, value in config.items() if key not in consumed and value is not None}
    return Generation(
        sampling=Sampling(
            **{name: config.get(key) for key, name in _SAMPLING.items()},
            stop=tuple(config.get("stopSequences") or ()),
        ),
        max_output_tokens=config.get("maxOutputTokens"),
        choices=config.get("candidateCount") or 1,
        shape=shape,
        reasoning=reasoning,
        extras=extras | of_thinking,
    )


def _read_shape(config: Doc) -> Shape | None:
    if config.get("responseMimeType") != _JSON:
        return None
    schema, older = config.get("responseJsonSchema"), config.get("responseSchema")
    if isinstance(schema, dict):
        return Shape("json_schema", None, schema)
    return Shape("json_schema", None, json_schema(older)) if isinstance(older, dict) else Shape("json_object")


def write_generation(request: ChatRequest, own: bool, drop: Drop) -> Doc:
    """The `generationConfig` of a request; {} when it says nothing."""
    config: Doc = {}
    if request.max_output_tokens is not None:
        config["maxOutputTokens"] = request.max_output_tokens
    _write_sampling(request.sampling, config, own, drop)
    extras = _inner(request, GENERATION) if own else {}
    if request.shape is not None:
        config["responseMimeType"] = _JSON
    if request.shape is not None and request.shape.kind == "json_schema" and "responseSchema" not in extras:
        config["responseJsonSchema"] = request.shape.schema or {}
    if own:
        config |= extras
        told = thinking.write_own(request.reasoning, _inner(request, thinking.THINKING))
    else:
        told = thinking.write_foreign(request.reasoning, request.model, drop)
    if told:
        config["thinkingConfig"] = told
    return config


def _write_sampling(sampling: Sampling, config: Doc, own: bool, drop: Drop) -> None:
    for key, name in _SAMPLING.items():
        value = getattr(sampling, name)
        if value is None or (value == 0 and key.endswith("Penalty") and not own):
            continue  # many models refuse a penalty, even one that does nothing
        if key == "seed" and value not in _SEEDS:
            drop("seed")
        else:
            config[key] = value
    stop = [text for text in sampling.stop if text]
    if len(stop) != len(sampling.stop):
        drop("empty stop")
    if len(stop) > MAX_STOPS:
        drop("stop beyond five")
    if stop:
        config["stopSequences"] = stop[:MAX_STOPS]


def _inner(request: ChatRequest, prefix: str) -> Doc:
    """The extras that stand inside an object of the wire, without its name."""
    return {key[len(prefix) :]: value for key, value in request.extras.items() if key.startswith(prefix)}
