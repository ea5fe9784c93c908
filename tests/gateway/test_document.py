"""What counts as the body of a request."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.errors import Kind, OtariError
from otari.gateway.document import fingerprint, read_document


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"[1, 2]",
        b'"text"',
        b"null",
        b"{",
        b'{"a": NaN}',
        b'{"a": 1e999999}{',
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b"[" * 500_000 + b"]" * 500_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"max_tokens": 123456789012345678901234567890}',
        b'{"n": -9223372036854775809}',
        b'{"deep": [[{"n": 18446744073709551616}]]}',
    ],
    ids=range(15),
)
def test_what_is_not_a_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(OtariError) as caught:
        read_document(raw)
    assert caught.value.kind is Kind.INVALID
    assert len(caught.value.message) < 200


@given(before=st.integers(0, 12), number=st.integers(2**64, 2**70), after=st.integers(0, 12))
def test_a_great_integer_is_found_wherever_it_stands(before: int, number: int, after: int) -> None:
    with pytest.raises(OtariError, match="64 bits"):
        read_document(b'{"a": "%s", "n": %d, "b": "%s"}' % (b"x" * before, number, b"7" * after))


def test_an_error_repeats_nothing_of_the_body() -> None:
    with pytest.raises(OtariError) as caught:
        read_document(b'{"api_key": "sk-SECRET", ')
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize(
    "raw",
    [
        b'{"id": "1234567890123456789012345"}',
        b'{"n": 9223372036854775807, "t": 0.1234567890123456789012345}',
        b'{"f": 1e30, "s": "0000000000000000000000000"}',
    ],
)
def test_long_digits_that_are_no_great_integers_pass(raw: bytes) -> None:
    assert read_document(raw) == orjson.loads(raw)


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    assert read_document(b'{"model": "a", "model": "b"}') == {"model": "b"}


texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(texts, json_values, max_size=4))
def test_every_json_object_is_read_as_it_stands(doc: dict[str, object]) -> None:
    assert read_document(orjson.dumps(doc)) == doc


@given(st.binary())
def test_any_bytes_are_an_object_or_refused(raw: bytes) -> None:
    try:
        read = read_document(raw)
    except OtariError as error:
        refused = error
    else:
        assert isinstance(read, dict)
        return
    assert refused.kind is Kind.INVALID


def test_a_fingerprint_tells_documents_apart_not_spellings() -> None:
    mark = fingerprint("/v1/chat/completions", read_document(b'{"a": {"b": 1, "c": [1, 2]}, "d": "\\u00e9"}'))
    assert len(mark) == 32
    same = read_document('{"d":"é",  "a":{"c":[1,2],"b":1}}'.encode())
    assert fingerprint("/v1/chat/completions", same) == mark
    assert fingerprint("/v1/messages", same) != mark
    assert fingerprint("/v1/chat/completions", {**same, "a": {"b": 1, "c": [2, 1]}}) != mark


def test_what_is_too_deep_to_be_told_apart_is_refused() -> None:
    with pytest.raises(OtariError, match="nested too deeply") as raised:
        fingerprint("/v1/chat/completions", read_document(b'{"a":' * 400 + b"1" + b"}" * 400))
    assert raised.value.kind is Kind.INVALID
