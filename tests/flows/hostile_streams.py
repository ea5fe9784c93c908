"""Streams as providers should not send them, and do: the same mischief in the dialect of each provider."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import orjson

from otari.dialects import sse
from otari.domain.chat import Finish, Reply, Text, Usage
from tests.cells.cell import CHAT, GEMINI, MESSAGES, RESPONSES
from tests.dialects.told import frames_of
from tests.flows.foreign import stream_of
from tests.scripted import Given

# What the client may get: the whole answer, an error at the end of what came, or an HTTP status instead of a stream.
Outcome = Literal["whole", "failed", "refused"]

SAID = "Héllo 🌍"
PLAIN = Reply("answer-1", "given-2026", (Text(SAID),), Finish.END, Usage(input=3, output=4), 1795000000)
BROKE = "The model fell over"

ERRORS: dict[str, dict[str, bytes]] = {
    CHAT: {
        "object": b'data: {"error":{"message":"The model fell over","type":"server_error","code":null}}\n\n',
        "vllm": b'data: {"object":"error","message":"The model fell over","type":"InternalServerError","code":500}\n\n',
        "text": b'data: {"error":"The model fell over"}\n\n',
        "event": b'event: error\ndata: {"error":{"message":"The model fell over"}}\n\n',
        "openrouter": b'data: {"id":"x","object":"chat.completion.chunk","error":{"code":502,"message":"The model fell'
        b' over"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}\n\n',
    },
    MESSAGES: {
        "event": b"event: error\n"
        b'data: {"type":"error","error":{"type":"overloaded_error","message":"The model fell over"}}\n\n',
        "bare": b'data: {"error":{"message":"The model fell over"}}\n\n',
        "unnamed": b'data: {"type":"error","error":{"type":"api_error","message":"The model fell over"}}\n\n',
    },
    RESPONSES: {
        "event": b'event: error\ndata: {"type":"error","code":"server_error","message":"The model fell over"}\n\n',
        "nested": b'event: error\ndata: {"type":"error","error":{"message":"The model fell over"}}\n\n',
        "failed": b"event: response.failed\n"
        b'data: {"type":"response.failed","response":{"id":"resp_1","status":"failed","output":[],'
        b'"error":{"code":"server_error","message":"The model fell over"}}}\n\n',
    },
    GEMINI: {
        "object": b'data: {"error":{"code":503,"message":"The model fell over","status":"UNAVAILABLE"}}\r\n\r\n',
        "list": b'data: [{"error":{"code":500,"message":"The model fell over","status":"INTERNAL"}}]\r\n\r\n',
    },
}


class Mischief(NamedTuple):
    """What is done to a good stream, and what may come of it."""

    name: str
    done: Callable[[list[bytes]], list[bytes]]
    outcomes: tuple[Outcome, ...]
    cut: bool = False


def _crlf(frames: list[bytes]) -> list[bytes]:
    return [frame.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for frame in frames]


def _cr(frames: list[bytes]) -> list[bytes]:
    return [frame.replace(b"\r\n", b"\n").replace(b"\n", b"\r") for frame in frames]


def _comments(frames: list[bytes]) -> list[bytes]:
    return [b": keep-alive\n\n", *(b": more\n" + frame + b"\n\n" for frame in frames)]


def _bytes(frames: list[bytes]) -> list[bytes]:
    whole = b"".join(frames)
    return [whole[at : at + 1] for at in range(len(whole))]


def _unknown(frames: list[bytes]) -> list[bytes]:
    return [*frames[:2], b'event: hologram\ndata: {"type":"hologram","x":1}\n\n', b"data: 5\n\n", *frames[2:]]


def _broken(frames: list[bytes]) -> list[bytes]:
    half = len(frames) // 2
    return [*frames[:half], b'data: {"choices":[{"delta":{"content":"x"\n\n', *frames[half:]]


def _half_a_frame(frames: list[bytes]) -> list[bytes]:
    half = len(frames) // 2
    return [*frames[:half], frames[half][: len(frames[half]) // 2]]


MISCHIEF = (
    Mischief("as it should be", lambda frames: frames, ("whole",)),
    Mischief("lines that end in CR LF", _crlf, ("whole",)),
    Mischief("lines that end in CR", _cr, ("whole",)),
    Mischief("byte by byte", _bytes, ("whole",)),
    Mischief("a byte order mark", lambda frames: [b"\xef\xbb\xbf", *frames], ("whole",)),
    Mischief("comments and blank lines", _comments, ("whole",)),
    Mischief("events that nobody knows", _unknown, ("whole",)),
    Mischief("the first event twice", lambda frames: [frames[0], *frames], ("whole",)),
    Mischief("the last event twice", lambda frames: [*frames, frames[-1]], ("whole",)),
    Mischief("everything twice", lambda frames: [*frames, *frames], ("whole",)),
    Mischief("no last blank line", lambda frames: [*frames[:-1], frames[-1].rstrip()], ("whole",)),
    Mischief("without the first event", lambda frames: frames[1:], ("whole", "failed")),
    Mischief("without the last event", lambda frames: frames[:-1], ("whole", "failed")),
    Mischief("backwards", lambda frames: frames[::-1], ("whole", "failed", "refused")),
    Mischief("an event that is no JSON", _broken, ("failed", "refused")),
    Mischief("the end in mid-answer", lambda frames: frames[: len(frames) // 2], ("failed", "refused")),
    Mischief("the end in mid-event", _half_a_frame, ("failed", "refused")),
    Mischief("a cut connection", lambda frames: frames[: len(frames) // 2], ("failed", "refused"), cut=True),
    Mischief("a cut connection in mid-event", _half_a_frame, ("failed", "refused"), cut=True),
    Mischief("nothing", lambda _: [], ("refused",)),
    Mischief("nothing but comments", lambda _: [b": keep-alive\n\n"] * 3, ("refused",)),
    Mischief("nothing but the end", lambda frames: frames[-1:], ("whole", "failed", "refused")),
    Mischief("a very long line", lambda frames: [b": " + b"x" * 300_000 + b"\n\n", *frames], ("whole",)),
)


def given(server: str, mischief: Mischief) -> Given:
    """The stream of a provider that was up to it."""
    pieces = mischief.done(frames_of(stream_of(server, PLAIN)))
    return Given(tuple(pieces), cut=mischief.cut)


def failing(server: str, spelling: str, *, at_once: bool) -> Given:
    """A stream that tells an error, in the middle or at once."""
    frames = frames_of(stream_of(server, PLAIN))
    told = next(at for at, frame in enumerate(frames) if SAID[:2].encode() in frame or b"\\u" in sse.data(frame))
    return Given((b"" if at_once else b"".join(frames[: told + 1]), ERRORS[server][spelling]))


def other_answers() -> dict[str, Given]:
    """Answers with status 200 that are no streams."""
    return {
        "a web page": Given((b"<html>Please log in</html>",), "text/html"),
        "an error": Given((orjson.dumps({"error": {"message": BROKE}}),), "application/json"),
        "no JSON": Given((b'{"id": "x", ',), "application/json"),
        "a list": Given((b"[]",), "application/json"),
        "an empty object": Given((b"{}",), "application/json"),
    }
