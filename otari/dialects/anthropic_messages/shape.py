"""The form that an answer must have: `output_config.format` ↔ canonical shapes."""

from typing import Any

import orjson

from otari.dialects.losses import Drop
from otari.domain.chat import Doc, Shape
from otari.domain.errors import invalid

ONLY_JSON = "Answer with one JSON object and nothing else: no words before or after it, no code fence."

# What Anthropic enforces in a schema, and the formats of strings that it knows. Everything else is moved into the
# description, where the model reads it.
_ENFORCED = frozenset(
    [
        *("type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "allOf"),
        *("$ref", "$defs", "definitions", "description", "title", "default"),
    ]
)
_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"])
_MAX_DEPTH = 200  # schemas within each other; what is deeper can not be written as JSON anyway
_TOO_DEEP = "A JSON Schema in the request is nested too deeply."
_CONSTRAINS_NOTHING = ("$schema", "$id", "$comment")
_OF_SCHEMAS = ("properties", "$defs", "definitions")  # objects of which each value is a schema


def read_shape(doc: Doc) -> Shape | None:
    """The shape that a request asks for, at its present place or at the one before."""
    config = doc.get("output_config")
    told = config.get("format") if isinstance(config, dict) else None
    for form in (told, doc.get("output_format")):
        match form:
            case {"type": "json_schema", "schema": dict(schema)}:
                return Shape("json_schema", None, schema)
    return None


def write_shape(shape: Shape, doc: Doc, own: bool, drop: Drop) -> None:
    """Put a shape into a written request.

    "Any JSON object" is unknown to this wire: the model is asked for it in words.
    """
    if shape.kind == "json_object":
        drop("json_object asked for in words")
        doc["system"] = [*_as_blocks(doc.get("system")), {"type": "text", "text": ONLY_JSON}]
        return
    schema: Doc = shape.schema or {"type": "object", "properties": {}}
    if not own:
        schema = enforceable(schema, drop)
    doc.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}


def _as_blocks(system: Any) -> list[Doc]:
    if isinstance(system, str):
        return [{"type": "text", "text": system}]
    return list(system or ())


def enforceable(schema: Doc, drop: Drop) -> Doc:
    """A schema with nothing in it that Anthropic refuses where it promises to enforce one.

    Raises OtariError(INVALID) for one that is nested too deeply to be sent.
    """
    moved: list[str] = []
    kept: Doc = _enforceable(schema, moved, 0)
    if moved:
        drop("constraints of a schema")
    return kept


def _enforceable(schema: Any, moved: list[str], depth: int) -> Any:
    """The same for one level and those below; `moved` gets what went into descriptions."""
    if not isinstance(schema, dict):
        return schema
    if depth > _MAX_DEPTH:
        raise invalid(_TOO_DEEP)
    kept: Doc = {}
    rest: Doc = {}
    for key, value in schema.items():
        if key in _OF_SCHEMAS and isinstance(value, dict):
            kept[key] = {name: _enforceable(inner, moved, depth + 1) for name, inner in value.items()}
        elif key in ("anyOf", "allOf", "oneOf") and isinstance(value, list):
            kept["allOf" if key == "allOf" else "anyOf"] = [_enforceable(inner, moved, depth + 1) for inner in value]
        elif key == "items":
            kept[key] = _enforceable(value, moved, depth + 1)
        elif key == "additionalProperties" and value is not False:
            rest[key] = value
        elif key in _ENFORCED or (key == "format" and value in _FORMATS) or (key == "minItems" and value in (0, 1)):
            kept[key] = value
        elif key not in _CONSTRAINS_NOTHING:
            rest[key] = value
    if kept.get("type") == "object":
        kept["additionalProperties"] = False
    if rest:
        moved += rest
        told = "{" + ", ".join(f"{key}: {_json(value)}" for key, value in rest.items()) + "}"
        kept["description"] = "\n\n".join(filter(None, [kept.get("description"), told]))
    return kept


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        raise invalid(_TOO_DEEP) from None
