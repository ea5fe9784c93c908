"""Pieces, templates and sampled JSON: the small makers of text."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.domain.chat import Doc
from otari.domain.errors import OtariError
from otari.upstreams.stub.dice import Dice
from otari.upstreams.stub.pieces import argument_pieces, pieces
from otari.upstreams.stub.sample import sample
from otari.upstreams.stub.templates import fill, fill_all, lorem, unknown_places


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_pieces_joined_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert "".join(argument_pieces(text)) == text
    assert all(pieces(text))


def test_pieces_are_words_with_leading_spaces_and_single_characters_of_chinese_japanese_and_korean() -> None:
    assert list(pieces(" Hello, big  world\n日本 한국")) == [" Hello,", " big", "  world", "\n日", "本", " 한", "국"]
    assert [len(piece) for piece in pieces("x" * 100)] == [40, 40, 20]


def test_places_are_filled_once_and_unknown_ones_are_empty() -> None:
    assert fill("${a} $${a} ${b}${c}", {"a": "${b}", "b": "B"}, 0) == "${b} ${a} B"
    assert fill_all({"${a}": ["${a}", 1, {"k": "${a}"}]}, {"a": "x"}, 0) == {"${a}": ["x", 1, {"k": "x"}]}
    assert list(unknown_places("${user} ${x} $${y} ${lorem:3} ${lorem:x} ${g} ${}", {"g"})) == ["x", "lorem:x", ""]


def test_lorem_has_as_many_words_as_asked_and_depends_on_the_seed() -> None:
    assert len(fill("${lorem:90}", {}, 5).split()) == 90
    assert lorem(8, 1) == lorem(8, 1) != lorem(8, 2)


PERSON: Doc = {
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "v": {"type": "integer"}}}},
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 30, "maxLength": 32},
        "email": {"type": "string", "format": "email"},
        "age": {"type": ["integer", "null"], "exclusiveMinimum": 17, "multipleOf": 5},
        "share": {"type": "number", "minimum": 0.25, "maximum": 0.5},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2},
        "pair": {"type": "array", "prefixItems": [{"const": 1}, {"type": "boolean"}]},
        "either": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        "both": {"allOf": [{"properties": {"x": {"const": 1}}}, {"properties": {"y": {"const": 2}}}], "type": "object"},
        "tree": {"$ref": "#/$defs/node"},
        "none": {"type": "null"},
    },
}


def test_a_sample_fits_its_schema() -> None:
    for seed in range(20):
        made: Any = sample(PERSON, Dice(bytes([seed])))
        assert set(made) == set(PERSON["properties"])
        assert 30 <= len(made["name"]) <= 32
        assert made["email"] == "someone@example.com"
        assert made["age"] >= 20
        assert made["age"] % 5 == 0
        assert 0.25 <= made["share"] <= 0.5
        assert len(made["tags"]) == 2
        assert set(made["tags"]) <= {"a", "b"}
        assert made["pair"][0] == 1
        assert isinstance(made["pair"][1], bool)
        assert isinstance(made["either"], str)
        assert made["both"] == {"x": 1, "y": 2}
        assert isinstance(made["tree"]["next"]["v"], int)
        assert made["none"] is None


def test_a_sample_depends_on_its_dice_only() -> None:
    assert sample(PERSON, Dice(b"1")) == sample(PERSON, Dice(b"1")) != sample(PERSON, Dice(b"2"))


def test_without_a_schema_a_sample_is_an_empty_object() -> None:
    assert sample(None, Dice(b"")) == {}


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "#/nowhere"}, {"allOf": [{"$ref": "#"}]}])
def test_a_schema_that_holds_itself_or_nothing_comes_to_an_end(schema: Doc) -> None:
    assert sample(schema, Dice(b"")) is None


@pytest.mark.parametrize(
    "schema",
    [{"type": "integer", "minimum": "a"}, {"type": "string", "minLength": []}, {"properties": 5}, {"enum": 5}],
)
def test_a_schema_with_words_of_the_wrong_kind_is_invalid(schema: Doc) -> None:
    with pytest.raises(OtariError, match="JSON Schema"):
        sample(schema, Dice(b""))


def test_dice_give_every_number_below_the_limit() -> None:
    dice = Dice(b"x")
    assert {dice.below(6) for _ in range(200)} == set(range(6))
    assert all(0 <= dice.share() <= 1 for _ in range(50))
