"""Frames and chunks: nothing is lost by cutting, and the cuts are where they hurt."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects import sse
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.chat import Finish, Reply, Text, Thinking, ToolCall, fold
from otari.upstreams.stub.dice import Dice, Identity
from otari.upstreams.stub.frames import Wait, as_it_came, at_once, chunks, streamed
from otari.upstreams.stub.matching import Match
from otari.upstreams.stub.reply import Beat, Casting, beats, whole
from otari.upstreams.stub.rules import Answer, Block, CallTool, Cut, Exact, Pace, Pause, Say, Think, Tokens
from otari.upstreams.stub.scene import scene_of
from otari.upstreams.stub.script import Defaults
from otari.upstreams.stub.takes import Take
from tests.upstreams.stub.rig import Words, ask, asks

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(lambda text: text.replace("$", ""))
JSON = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | TEXT, lambda inner: st.lists(inner, max_size=3))
CALL = st.builds(CallTool, st.sampled_from(["f", "g"]), st.dictionaries(TEXT, JSON, max_size=3))
# The order that Chat Completions can carry: thinking, text, calls. Empty texts are no parts on its wire.
BLOCKS = st.tuples(
    st.lists(st.builds(Think, TEXT.filter(bool)), max_size=2),
    st.lists(st.builds(Say, TEXT.filter(bool)), max_size=2),
    st.lists(CALL, max_size=3),
).map(lambda groups: tuple(block for group in groups for block in group))


def played(blocks: tuple[Block, ...], text: str = "x") -> tuple[Beat, ...]:
    doc = asks(text)
    request = OPENAI_CHAT.read_request(doc)
    match = Match("r", 0, Answer(blocks, tokens=Tokens(input=1)))
    cast = Casting(request, scene_of(request, "chat"), match, Identity(0, "r", 0, doc), Defaults())
    return beats(cast, Words())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3000), st.binary(max_size=4))
def test_chunks_are_the_data_cut_and_never_empty(data: bytes, seed: bytes) -> None:
    cut = list(chunks(data, Dice(seed)))
    assert b"".join(cut) == data
    assert all(cut)
    assert cut == list(chunks(data, Dice(seed)))


def test_cuts_fall_inside_characters_line_ends_and_json_and_some_chunks_hold_several_frames() -> None:
    frames = [b'data: {"text": "na\xc3\xafve \xf0\x9f\x98\x80"}\r\n\r\n', b'data: {"n": 1}\n\n'] * 200
    cut = list(chunks(b"".join(frames), Dice(b"seed")))
    ends = [b"".join(cut[:n])[-1:] for n in range(1, len(cut))]
    starts = [chunk[0] for chunk in cut[1:]]
    assert any(0x80 <= start <= 0xBF for start in starts)
    assert any(end == b"\r" and start == 0x0A for end, start in zip(ends, starts, strict=True))
    assert any(end == b"\n" and start == 0x0A for end, start in zip(ends, starts, strict=True))
    assert any(end.isalpha() and chr(start).isalpha() for end, start in zip(ends, starts, strict=True))
    assert any(chunk.count(b"data: ") > 2 for chunk in cut)


def test_even_a_short_body_is_cut_inside_its_first_wide_character_and_its_first_line_end() -> None:
    for seed in range(20):
        cut = list(chunks("a日b\n\n".encode(), Dice(bytes([seed]))))
        starts = [len(b"".join(cut[:n])) for n in range(1, len(cut))]
        assert {2, 6} <= set(starts)


@settings(max_examples=60, deadline=None)
@given(BLOCKS, st.integers(0, 255))
def test_the_chunks_of_a_stream_joined_are_its_frames(blocks: tuple[Block, ...], seed: int) -> None:
    told = played(blocks)
    writer = OPENAI_CHAT.writer(wants_usage=True)
    frames = b"".join(writer.write(beat) for beat in told if not isinstance(beat, Pause | Cut))
    moves = list(streamed(told, OPENAI_CHAT.writer(wants_usage=True), Pace(), Dice(bytes([seed]))))
    assert b"".join(move for move in moves if isinstance(move, bytes)) == frames
    assert all(isinstance(move, bytes) for move in moves)


@settings(max_examples=60, deadline=None)
@given(BLOCKS)
def test_a_client_understands_the_stream_as_the_whole_answer(blocks: tuple[Block, ...]) -> None:
    told = played(blocks)
    reader, framer = OPENAI_CHAT.reader(), sse.Framer()
    moves = streamed(told, OPENAI_CHAT.writer(wants_usage=True), Pace(), Dice(b"s"))
    read = [
        event
        for move in moves
        if isinstance(move, bytes)
        for frame in sse.split(framer.feed(move))
        for event in reader.read(frame)
    ]
    body = b"".join(m for m in at_once(told, OPENAI_CHAT, {}, Pace(), Dice(b"s")) if isinstance(m, bytes))
    answer = OPENAI_CHAT.read_reply(orjson.loads(body))
    assert fold([*read, *reader.end()]) == answer
    assert same_parts(answer, whole(told))


def same_parts(read: Reply, written: Reply) -> bool:
    """Whether all text and calls came through; the chat wire does not tell who signs thinking."""

    def shown(reply: Reply) -> list[object]:
        parts = (p for p in reply.parts if isinstance(p, Text | Thinking | ToolCall))
        return [(type(p), p.arguments if isinstance(p, ToolCall) else p.text) for p in parts]

    return shown(read) == shown(written)


def test_a_half_call_is_never_ended() -> None:
    rules = "rules: [{reply: {blocks: [{call: {f: {path: abcdef}}, cut_args_at: 0.5}, {cut: eof}]}}]"
    body = ask(rules, asks("x", stream=True)).body
    assert b"path" in body
    assert b"abcdef" not in body
    assert b'finish_reason":"tool_calls' not in body


def test_finish_is_tools_when_there_are_calls() -> None:
    assert whole(played((Say("a"),))).finish is Finish.END
    assert whole(played((Say("a"), CallTool("f", {})))).finish is Finish.TOOLS


def test_a_recording_keeps_the_silences_between_its_pieces() -> None:
    exact = Exact("openai-chat", True, ((0.5, b"a"), (0.5, b"b"), (0.75, b"c"), (0.7, b"d")))
    assert list(as_it_came(exact)) == [Wait(0.5), b"a", b"b", Wait(0.25), b"c", b"d"]


def test_a_recording_can_be_given_again_faster_or_at_once() -> None:
    take = Take("p", "m", "openai-chat", True, {}, ((0.5, b"a"), (1.5, b"b")))
    assert [seconds for seconds, _ in take.exact(4).pieces] == [0.125, 0.375]
    assert list(as_it_came(take.exact(0))) == [b"a", b"b"]
