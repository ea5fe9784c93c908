"""The shape of answers: which fields there are and of what type."""

import pytest

from otari.upstreams.stub.differs import first_difference
from otari.upstreams.stub.shapes import changes, shape_of

BODY = b'{"id": "a", "n": 1, "list": [{"x": 1}, {"y": null}], "none": null}'


def test_a_document_is_its_fields() -> None:
    assert {place: set(kinds) for place, kinds in shape_of(BODY, stream=False).items()} == {
        "id": {"text"},
        "n": {"number"},
        "list": {"list"},
        "list[].x": {"number"},
        "list[].y": {"null"},
        "none": {"null"},
    }


def test_a_stream_is_the_fields_of_its_events_by_their_type() -> None:
    stream = b'event: a\ndata: {"type": "a", "x": 1}\n\ndata: {"y": "z"}\n\ndata: [DONE]\n\n: comment\n\n'
    assert sorted(shape_of(stream, stream=True)) == ["a type", "a x", "chunk y"]


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (BODY, []),
        (BODY.replace(b'"a"', b'"other"'), []),
        (BODY.replace(b'"none": null', b'"none": 1'), []),
        (BODY.replace(b'"n": 1', b'"n": "1"'), ["changed: n (number → text)"]),
        (BODY.replace(b'"n": 1, ', b""), ["removed: n (number)"]),
        (BODY.replace(b'"n": 1', b'"n": 1, "m": true'), ["added: m (true or false)"]),
    ],
)
def test_only_fields_and_types_count(now: bytes, told: list[str]) -> None:
    assert list(changes(shape_of(BODY, stream=False), shape_of(now, stream=False))) == told


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({"messages": [{"role": "user", "content": "a  b"}]}, None),
        ({"messages": [{"role": "user", "content": "a b"}], "model": "x", "stream": True, "max_tokens": 5}, None),
        ({"messages": [{"role": "user", "content": "a c"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "a b"}, {"role": "user", "content": "c"}]}, "messages[1]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "a b"}], "tools": []}, "tools"),
        ({"messages": [{"role": "user", "content": "a b"}], "temperature": 1}, "temperature"),
        ({"messages": [{"role": "user", "content": "a b", "id": "x"}]}, None),
    ],
)
def test_the_first_place_that_differs(asked: dict[str, object], place: str | None) -> None:
    found = first_difference({"messages": [{"role": "user", "content": "a b"}]}, asked)
    assert (None if found is None else found.place) == place
