"""A cost is inserted beside the token counts, and no other byte changes."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.dialects import sse
from otari.domain.ports import Receipt
from otari.gateway.receipt import apart, in_answer, in_frames

RECEIPT = Receipt("0.0042", "catalog")
INSERTED = b'"cost_usd":"0.0042","pricing_source":"catalog"'

_SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_KEYS = st.text(max_size=6) | st.sampled_from(["usage", "response", "cost", "choices", 'say "usage": {'])
_VALUES = st.recursive(
    _SCALARS | st.text(max_size=12) | st.just('{"usage": {"a": 1}}'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)
DOCS = st.dictionaries(_KEYS, _VALUES, max_size=5)
USAGES = st.dictionaries(st.text(max_size=6) | st.just("usage"), _VALUES, max_size=3)


@given(DOCS, USAGES, DOCS, st.booleans(), st.booleans())
def test_two_keys_are_inserted_and_nothing_else(
    before: dict[str, object], usage: dict[str, object], after: dict[str, object], nested: bool, spaced: bool
) -> None:
    inner = {**before, "usage": usage, **{key: value for key, value in after.items() if key != "usage"}}
    doc = {"type": "response.completed", "response": inner} if nested else {**inner, "response": None}
    raw = orjson.dumps(doc, option=orjson.OPT_INDENT_2 if spaced else 0)
    edited = in_answer(raw, RECEIPT)
    at = edited.index(INSERTED)
    comma = 1 if usage else 0
    assert edited[:at] + edited[at + len(INSERTED) + comma :] == raw
    told = orjson.loads(edited)
    told = told["response"] if nested else told
    assert told["usage"] == {**usage, "cost_usd": "0.0042", "pricing_source": "catalog"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"[1]",
        b"null",
        b'{"usage": null}',
        b'{"usage": [1]}',
        b'{"choices": [{"usage": {"a": 1}}]}',
        b'{"response": {"id": "r"}, "usage": {"a": 1}}',
        b'{"message": {"usage": {"input_tokens": 3}}}',
    ],
)
def test_what_tells_no_usage_at_its_place_is_left_alone(raw: bytes) -> None:
    assert in_answer(raw, RECEIPT) == raw
    frame = b"data: " + raw + b"\n\n"
    assert in_frames(frame, RECEIPT) == frame


@pytest.mark.parametrize(
    "edited",
    [
        b'{"n":1e2,"usage":{@},"n":1.50}',
        b'{ "usage" :\n { @,"a" : 1 } }',
        b'{"id":"\\u00e4","usage":{@,"a":123456789012345678901234}}',
        b'{"usage":{"a":1},"usage":{@,"b":2}}',
        b'{"choices":[{"usage":{"x":1}}],"usage":{@,"b":2}}',
        b'{"usage":{@,"b":2},"choices":[{"usage":{"x":1}}]}',
        b'{"usage":{@,"usage":{"c":3}}}',
        b'{"usage":{@,"usage":{}}}',
    ],
)
def test_odd_documents_keep_every_byte(edited: bytes) -> None:
    raw = edited.replace(b"@,", b"").replace(b"@", b"")
    assert in_answer(raw, RECEIPT) == edited.replace(b"@", INSERTED)


def test_a_cost_of_the_providers_own_gives_way() -> None:
    told = orjson.loads(in_answer(b'{"usage":{"cost_usd":"9","a":1}}', RECEIPT))
    assert told == {"usage": {"cost_usd": "0.0042", "pricing_source": "catalog", "a": 1}}


def test_a_cost_without_a_source() -> None:
    assert in_answer(b'{"usage":{"a":1}}', Receipt("0", None)) == b'{"usage":{"cost_usd":"0","a":1}}'


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n", b""])
@pytest.mark.parametrize("start", [b"", b"event: message_delta\n", b": comment\nid: 7\n"])
def test_of_a_frame_only_its_data_is_edited(start: bytes, end: bytes) -> None:
    frame = start + b'data: {"usage":{"a":1}}' + end
    assert in_frames(frame, RECEIPT) == start + b'data: {"usage":{' + INSERTED + b',"a":1}}' + end


def test_data_in_several_lines_stays_a_frame_of_that_name() -> None:
    edited = in_frames(b'event: done\ndata: {"usage":\ndata: {"a":1}}\n\n', RECEIPT)
    assert sse.event(edited) == "done"
    assert orjson.loads(sse.data(edited))["usage"]["cost_usd"] == "0.0042"


def test_the_last_frame_that_tells_usage_is_the_one() -> None:
    first, last = b'data: {"usage":{"a":1}}\n\n', b'data: {"usage":{"a":2}}\n\n'
    done = b"data: [DONE]\n\n"
    assert in_frames(first + last + done, RECEIPT) == first + last.replace(b'"a"', INSERTED + b',"a"') + done


@pytest.mark.parametrize(
    ("ready", "waiting"),
    [
        (b"", b"data: [DONE]\n\n"),
        (b"", b'data: {"usage":{"a":1}}\n\ndata: [DONE]\n\n'),
        (b'data: "text"\n\n: ping\n\n', b'data: {"usage":{"a":1}}\n\ndata: [DONE]\n\n'),
        (b'data: {"usage":{"a":1}}\n\n', b'data: {"usage":{"a":2}}\n\ndata: [DONE]\n\n'),
    ],
)
def test_what_stands_before_the_usage_need_not_wait(ready: bytes, waiting: bytes) -> None:
    assert apart(ready + waiting) == (ready, waiting)
