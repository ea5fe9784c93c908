"""Tools as OpenAI's models are told them: types of TypeScript, which are shorter than their JSON.

The form is the one that OpenAI describes for its open models (openai/harmony, docs/format.md, "Function calling").
What it has no words for stands behind the type as JSON, so that nothing is left out of a count.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from otari.domain.chat import Doc

_DEEPEST = 32
_TOLD = frozenset(
    [
        *("type", "description", "title", "properties", "required", "additionalProperties", "items", "enum", "const"),
        *("anyOf", "oneOf", "allOf", "$schema", "strict"),
    ]
)
_PLAIN = {"string": "string", "boolean": "boolean", "null": "null", "number": "number", "integer": "number"}


def tool_type(name: str, description: str, parameters: Doc) -> str:
    """A tool as a type. Raises orjson.JSONEncodeError for parameters that are nested too deeply for JSON."""
    return f"{_comment(description)}type {name} = (_: {_type(parameters, 0)}) => any;\n\n"


def _comment(text: Any) -> str:
    return "".join(f"// {line}\n" for line in text.splitlines()) if isinstance(text, str) else ""


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _type(schema: Any, depth: int) -> str:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return _json(schema)
    rest = {key: value for key, value in schema.items() if key not in _TOLD}
    return f"{_form(schema, depth)} // {_json(rest)}" if rest else _form(schema, depth)


def _form(schema: Doc, depth: int) -> str:
    match schema:
        case {"enum": list(values)}:
            return " | ".join(map(_json, values))
        case {"const": value}:
            return _json(value)
        case {"anyOf": list(choices)} | {"oneOf": list(choices)}:
            return " | ".join(_type(choice, depth + 1) for choice in choices)
        case {"allOf": list(parts)}:
            return " & ".join(_type(part, depth + 1) for part in parts)
        case {"properties": dict(properties)}:
            required = schema.get("required")
            needed = required if isinstance(required, list) else ()
            return "{\n" + "".join(_properties(properties, needed, depth + 1)) + "}"
        case {"type": "array", "items": items}:
            return f"{_type(items, depth + 1)}[]"
        case {"type": list(kinds)}:
            return " | ".join(_type(schema | {"type": kind}, depth + 1) for kind in kinds)
        case {"type": str(kind)}:
            return _PLAIN.get(kind, kind)
    return "any"


def _properties(properties: Doc, needed: Any, depth: int) -> Iterator[str]:
    for name, schema in properties.items():
        about = _comment(schema.get("description")) if isinstance(schema, dict) else ""
        mark = "" if name in needed else "?"
        yield f"{about}{name}{mark}: {_type(schema, depth)},\n"
