"""Tools as types: the form that OpenAI describes, and nothing lost that it has no words for."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.gateway.typescript import tool_type

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Where.\nA city."},
        "unit": {"type": "string", "enum": ["C", "F"]},
        "days": {"type": "integer"},
    },
    "required": ["city"],
}


def test_a_tool_is_a_type_with_comments() -> None:
    assert tool_type("weather", "Tells the weather.", WEATHER) == (
        "// Tells the weather.\n"
        "type weather = (_: {\n"
        "// Where.\n"
        "// A city.\n"
        "city: string,\n"
        'unit?: "C" | "F",\n'
        "days?: number,\n"
        "}) => any;\n\n"
    )


def test_a_tool_without_parameters_takes_anything() -> None:
    assert tool_type("ping", "", {}) == "type ping = (_: any) => any;\n\n"


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "string"}, "string"),
        ({"type": "null"}, "null"),
        ({"type": "file"}, "file"),
        ({"type": "object"}, "object"),
        ({"type": "array", "items": {"type": "boolean"}}, "boolean[]"),
        ({"type": "array"}, "array"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"oneOf": [{"const": 1}, {"const": "x"}]}, '1 | "x"'),
        ({"allOf": [{"type": "string"}, {"enum": [1, None]}]}, "string & 1 | null"),
        ({"properties": {"a": True}}, "{\na?: true,\n}"),
        ({"type": "string", "minLength": 3}, 'string // {"minLength":3}'),
        ({"$ref": "#/$defs/x"}, 'any // {"$ref":"#/$defs/x"}'),
        ({"properties": {}, "required": "a"}, "{\n}"),
        ({"enum": "odd"}, "any"),
    ],
)
def test_every_form_of_schema_has_its_words(schema: dict[str, Any], told: str) -> None:
    assert tool_type("f", "", schema) == f"type f = (_: {told}) => any;\n\n"


def test_what_is_nested_deeply_is_told_as_json() -> None:
    schema: dict[str, Any] = {"type": "string", "description": "innermost"}
    for _ in range(120):
        schema = {"type": "object", "properties": {"inner": schema}}
    assert "innermost" in tool_type("f", "", schema)


def test_what_no_json_can_hold_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(2_000):
        schema = {"items": schema, "type": "array"}
    with pytest.raises(orjson.JSONEncodeError):
        tool_type("f", "", schema)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
schemas = st.recursive(
    json_values,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", "string", 3, ["string", "null"]]),
            "properties": st.dictionaries(st.text(max_size=5), inner, max_size=3) | inner,
            "required": json_values,
            "items": inner,
            "enum": json_values,
            "anyOf": st.lists(inner, max_size=3) | inner,
            "description": json_values,
            "$defs": inner,
        },
    ),
    max_leaves=10,
)


@given(
    schema=st.dictionaries(st.text(max_size=5), json_values, max_size=2) | schemas.filter(lambda s: isinstance(s, dict))
)
def test_no_schema_however_odd_breaks_it(schema: dict[str, Any]) -> None:
    assert tool_type("f", "about", schema).startswith("// about\ntype f = (_: ")
