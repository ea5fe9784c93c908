"""An instance of a JSON Schema: what `json: auto` answers.

It follows the words of JSON Schema that requests for structured output use: type, properties, items, enum, const,
anyOf, oneOf, allOf, local $ref, bounds of numbers, lengths and formats. `pattern` is not followed.
"""

from typing import Any

from otari.domain.chat import Doc
from otari.domain.errors import invalid
from otari.upstreams.stub.dice import Dice
from otari.upstreams.stub.templates import lorem

# From this depth on only what is required is filled, so that schemas that hold themselves come to an end.
_DEEP = 6
_BOTTOM = 24
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: Doc | None, dice: Dice) -> Any:
    """A value that fits `schema`; an empty object when there is none.

    Raises OtariError(INVALID) when the schema holds words of the wrong kind, such as a text as `minimum`.
    """
    try:
        return {} if schema is None else _sample(schema, schema, dice, 0)
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError):
        raise invalid("The JSON Schema of the request can not be followed; check its keywords.") from None


def _sample(schema: Any, root: Doc, dice: Dice, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _BOTTOM:
        return None
    if "$ref" in schema:
        return _sample(_resolve(str(schema["$ref"]), root), root, dice, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][dice.below(len(schema["enum"]))]
    for word in ("anyOf", "oneOf"):
        if schema.get(word):
            return _sample(_choice(schema[word], depth), root, dice, depth + 1)
    if schema.get("allOf"):
        return _sample(_merged(schema, root), root, dice, depth + 1)
    match _type(schema, depth):
        case "object":
            return _object(schema, root, dice, depth)
        case "array":
            return _array(schema, root, dice, depth)
        case "string":
            return _string(schema, dice)
        case "integer":
            return _integer(schema, dice)
        case "number":
            return _number(schema, dice)
        case "boolean":
            return bool(dice.below(2))
    return None


def _type(schema: Doc, depth: int) -> str:
    told = schema.get("type")
    if isinstance(told, list):
        if depth > _DEEP and "null" in told:
            return "null"
        return next((str(name) for name in told if name != "null"), "null")
    if told is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(told)


def _choice(choices: list[Any], depth: int) -> Any:
    """The first choice that is not null; deep inside, null when it is allowed."""
    nulls = [c for c in choices if isinstance(c, dict) and c.get("type") == "null"]
    if depth > _DEEP and nulls:
        return nulls[0]
    return next((c for c in choices if c not in nulls), choices[0])


def _merged(schema: Doc, root: Doc) -> Doc:
    """`allOf` as one schema: properties and required together, other words by the last who says them."""
    whole = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        resolved = _resolve(str(part["$ref"]), root) if isinstance(part, dict) and "$ref" in part else part
        if isinstance(resolved, dict):
            properties = {**whole.get("properties", {}), **resolved.get("properties", {})}
            required = [*whole.get("required", ()), *resolved.get("required", ())]
            whole.update(resolved)
            if properties:
                whole.update(properties=properties, required=required)
    return whole


def _resolve(pointer: str, root: Doc) -> Any:
    """What a `$ref` inside the same document points at; None when there is nothing."""
    found: Any = root
    for step in pointer.removeprefix("#").split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def _object(schema: Doc, root: Doc, dice: Dice, depth: int) -> Doc:
    properties = schema.get("properties") or {}
    names = [n for n in properties if depth <= _DEEP or n in schema.get("required", ())]
    return {name: _sample(properties[name], root, dice, depth + 1) for name in names}


def _array(schema: Doc, root: Doc, dice: Dice, depth: int) -> list[Any]:
    first = schema.get("prefixItems") or []
    count = max(int(schema.get("minItems", 0)), len(first), 1 if depth <= _DEEP else 0)
    count = min(count, int(schema.get("maxItems", count)), 1000)
    item = schema.get("items", {"type": "string"})
    return [_sample(first[i] if i < len(first) else item, root, dice, depth + 1) for i in range(count)]


def _string(schema: Doc, dice: Dice) -> str:
    fixed = _FORMATS.get(str(schema.get("format")))
    if fixed is not None:
        return fixed
    text = lorem(3, dice.below(30))
    least = min(int(schema.get("minLength", 0)), 10_000)
    while len(text) < least:
        text += " " + lorem(3, dice.below(30))
    return text[: int(schema.get("maxLength", len(text)))]


def _integer(schema: Doc, dice: Dice) -> int:
    least, most = _bounds(schema, 1)
    step = int(schema.get("multipleOf") or 1) or 1
    first = -(-int(least) // step) * step
    room = (int(most) - first) // step if most is not None else 9
    return first + dice.below(max(1, min(room + 1, 10))) * step


def _number(schema: Doc, dice: Dice) -> float:
    least, most = _bounds(schema, 0.5)
    if most is not None:
        return float(least) + (float(most) - float(least)) * (dice.below(9) + 1) / 16
    return float(least) + dice.below(20) / 2


def _bounds(schema: Doc, margin: float) -> tuple[float, float | None]:
    """The least and the greatest number; `margin` keeps off an exclusive bound."""
    low = schema.get("minimum", _shifted(schema.get("exclusiveMinimum"), margin))
    high = schema.get("maximum", _shifted(schema.get("exclusiveMaximum"), -margin))
    if low is None:
        low = min(0, high) if high is not None else 0
    return low, high


def _shifted(bound: Any, margin: float) -> float | None:
    return bound + margin if isinstance(bound, int | float) and not isinstance(bound, bool) else None
