"""Framing: every byte kept, any cut gives the same frames."""

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otari.dialects import sse
from otari.domain.errors import Kind, OtariError
from tests.dialects.told import VECTORS, frames_of

TORTURE = (VECTORS / "20_sse_framing_torture.bin").read_bytes()
EXPECTED = [
    (entry["event"] or "", entry["data"])
    for entry in orjson.loads((VECTORS / "20_sse_framing_torture.expected.json").read_bytes())["events"]
]

ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
wires = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"data: x", b"data:", b": c", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"a"])
).map(b"".join)


def fed(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    """The frames that come out, and the rest."""
    framer = sse.Framer()
    frames = [frame for piece in pieces for frame in sse.split(framer.feed(piece))]
    return frames, framer.rest()


def seen(stream: bytes) -> list[tuple[str, str]]:
    return [(sse.event(frame), told.decode()) for frame in frames_of(stream) if (told := sse.data(frame))]


def test_the_torture_stream_gives_its_events() -> None:
    assert seen(TORTURE) == EXPECTED


def test_every_cut_in_two_and_every_single_byte_give_the_same_frames() -> None:
    whole = fed([TORTURE])
    assert fed([TORTURE[at : at + 1] for at in range(len(TORTURE))]) == whole
    for at in range(len(TORTURE) + 1):
        assert fed([TORTURE[:at], TORTURE[at:]]) == whole


@given(wires, st.lists(st.integers(0, 60), max_size=6))
@example(b"a\n\r\nb\n\n", [3])
@example(b"a\n\n\r\nb", [3])
@settings(deadline=None)
def test_any_cut_gives_the_same_frames(wire: bytes, cuts: list[int]) -> None:
    at = sorted(min(cut, len(wire)) for cut in cuts)
    pieces = [wire[start:end] for start, end in zip([0, *at], [*at, len(wire)], strict=True)]
    assert fed(pieces) == fed([wire])


@given(wires, st.integers(0, 60))
@settings(deadline=None)
def test_no_byte_is_lost_or_changed(wire: bytes, cut: int) -> None:
    frames, rest = fed([wire[:cut], wire[cut:]])
    assert b"".join(frames) + rest == wire
    assert b"".join(sse.split(wire)) == wire


@given(st.lists(st.tuples(st.lists(st.sampled_from([b"data: 1", b": c", b"id: 7"]), min_size=1), ends)))
@settings(deadline=None)
def test_each_empty_line_ends_one_frame(told: list[tuple[list[bytes], bytes]]) -> None:
    wire = [b"".join(line + end for line in lines) + end for lines, end in told]
    framer = sse.Framer()
    frames = sse.split(framer.feed(b"".join(wire)) + framer.rest())
    assert frames == wire


def test_a_carriage_return_at_the_end_waits_for_its_line_feed() -> None:
    framer = sse.Framer()
    assert framer.feed(b"data: 1\r\n\r") == b""
    assert framer.feed(b"\n") == b"data: 1\r\n\r\n"
    assert framer.rest() == b""


def test_a_carriage_return_that_got_no_line_feed_ends_the_frame() -> None:
    framer = sse.Framer()
    assert framer.feed(b"data: 1\r\r") == b""
    assert framer.feed(b"data: 2") == b"data: 1\r\r"
    assert framer.rest() == b"data: 2"


def test_an_unfinished_frame_above_the_limit_is_refused() -> None:
    framer = sse.Framer(limit=100)
    assert framer.feed(b"data: 1\n\n" * 100) == b"data: 1\n\n" * 100
    assert framer.feed(b"d" * 100) == b""
    with pytest.raises(OtariError) as caught:
        framer.feed(b"d")
    assert caught.value.kind is Kind.UPSTREAM
    assert "100" in caught.value.message


def test_an_unfinished_frame_behind_a_whole_one_counts_too() -> None:
    with pytest.raises(OtariError):
        sse.Framer(limit=100).feed(b"data: 1\n\n" + b"d" * 101)


def test_a_large_frame_in_many_pieces_is_read_in_linear_time() -> None:
    framer = sse.Framer()
    pieces = [b"data: ", *[b"x" * 100] * 100_000, b"\n\n"]  # 10 MB; quadratic work would take minutes
    out = b"".join(framer.feed(piece) for piece in pieces)
    assert len(out) == 10_000_008


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (b"data: 1\n\n", b"1"),
        (b"data:1\n\n", b"1"),
        (b"data:  1\n\n", b" 1"),
        (b"data: 1\ndata: 2\n\n", b"1\n2"),
        (b"data: 1\r\ndata: 2\r\n\r\n", b"1\n2"),
        (b"data: 1\rdata: 2\n\n", b"1\n2"),
        (b"\xef\xbb\xbfdata: 1\n\n", b"1"),
        (b"event: x\ndata: 1\n\n", b"1"),
        (b"data: 1\nid: 7\n\n", b"1"),
        (b": data: 1\n\n", b""),
        (b"data\n\n", b""),
        (b"data: 1", b"1"),
        (b"data: \xe2\x80\xa8\xc2\x85\n\n", b"\xe2\x80\xa8\xc2\x85"),
        (b"\n", b""),
        (b"", b""),
    ],
)
def test_data(frame: bytes, data: bytes) -> None:
    assert sse.data(frame) == data


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (b"event: message_start\ndata: {}\n\n", "message_start"),
        (b"event:ping\r\n\r\n", "ping"),
        (b"data: event: x\n\n", ""),
        (b"event: a\nevent: b\n\n", "b"),
        (b"\xef\xbb\xbfevent: a\n\n", "a"),
        (b"event: \xff\n\n", "\ufffd"),
        (b"data: 1\n\n", ""),
    ],
)
def test_event(frame: bytes, name: str) -> None:
    assert sse.event(frame) == name
