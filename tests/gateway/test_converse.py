"""One request through the one path: what the client gets, and what is settled."""

import asyncio
from collections.abc import Sequence

import orjson
import pytest

from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Outcome
from otari.domain.tokens import Approximate
from otari.gateway.converse import Conversation, Conversations
from tests.gateway.fakes import ALICE, FakeControl, FakeUpstream, Script, Step, attempt

ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
}


def chunk(delta: dict[str, object] | None, finish: str | None = None, **more: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    doc = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}
    return b"data: " + orjson.dumps(doc) + b"\n\n"


ROLE = chunk({"role": "assistant", "content": ""})
HEL, LO = chunk({"content": "Hel"}), chunk({"content": "lo"})
STOP = chunk({}, "stop")
USAGE = chunk(None, usage={"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9})
DONE = b"data: [DONE]\n\n"
WHOLE = (ROLE, HEL, LO, STOP, USAGE, DONE)


class Case:
    """A conversation with scripted providers."""

    def __init__(self, *scripts: Script, **body: object) -> None:
        names = [f"p{n}" for n in range(len(scripts))]
        self.control = FakeControl(tuple(attempt(name) for name in names))
        self.upstream = FakeUpstream(dict(zip(names, scripts, strict=True)))
        self.body = {"model": "p0:m", "messages": [{"role": "user", "content": "Say hello"}], **body}

    def begin(self) -> Conversation:
        shared = Conversations(self.control, {"fake": self.upstream}, Approximate(), lambda text: text)
        raw = orjson.dumps(self.body)
        return shared.begin(OPENAI_CHAT, "/v1/chat/completions", raw, ALICE, "req_1")

    def whole(self) -> bytes:
        return asyncio.run(self.begin().whole())

    @property
    def sent(self) -> dict[str, object]:
        """What the first provider was asked."""
        body = self.upstream.calls[0][1].body
        assert isinstance(body, bytes)
        doc: dict[str, object] = orjson.loads(body)
        return doc

    def stream(self) -> list[bytes]:
        """All blocks; an error that ends the stream comes back through `self.error`."""
        self.error: OtariError | None = None
        blocks: list[bytes] = []

        async def run() -> None:
            try:
                async for block in self.begin().frames():
                    self.control.log.append(f"sent {len(block)}")
                    blocks.append(block)
            except OtariError as error:
                self.error = error

        asyncio.run(run())
        return blocks

    @property
    def outcome(self) -> Outcome:
        (outcome,) = self.control.outcomes  # exactly one settlement, always
        return outcome


def streaming(*steps: Step, **body: object) -> Case:
    return Case(Script(steps), stream=True, **body)


def test_a_whole_answer_passes_byte_for_byte() -> None:
    raw = orjson.dumps(ANSWER, option=orjson.OPT_INDENT_2)
    case = Case(Script([raw], content_type="application/json"))
    assert case.whole() == raw
    assert (case.outcome.usage.input, case.outcome.usage.output) == (7, 2)
    assert (case.outcome.usage_source, case.outcome.succeeded, case.outcome.status) == ("provider", True, 200)
    assert case.upstream.open == 0


def test_only_the_model_changes_in_the_request() -> None:
    case = Case(Script([orjson.dumps(ANSWER)]), top_k=5, vendor={"x": [1, None]}, user="alice")
    case.whole()
    sent = case.sent
    expected = {k: v for k, v in case.body.items() if k != "user"} | {"model": "m"}
    assert sent == expected
    assert list(sent) == list(expected)


def test_a_stream_passes_byte_for_byte_to_a_client_that_asked_for_usage() -> None:
    case = streaming(*WHOLE, stream_options={"include_usage": True})
    assert b"".join(case.stream()) == b"".join(WHOLE)
    assert (case.outcome.usage.input, case.outcome.usage.output) == (7, 2)


def test_usage_is_always_asked_for_and_hidden_from_who_did_not_ask() -> None:
    case = streaming(*WHOLE)
    assert b"".join(case.stream()) == b"".join((ROLE, HEL, LO, STOP, DONE))
    assert case.sent["stream_options"] == {"include_usage": True}
    assert case.outcome.usage_source == "provider"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_how_the_network_cuts_the_bytes_does_not_matter(size: int) -> None:
    raw = b"".join(WHOLE)
    case = streaming(*[raw[i : i + size] for i in range(0, len(raw), size)], stream_options={"include_usage": True})
    assert b"".join(case.stream()) == raw
    assert case.outcome.usage.output == 2


def test_a_stream_is_settled_before_its_terminal_event_goes_out() -> None:
    case = streaming(*WHOLE)
    blocks = case.stream()
    assert blocks[-1].endswith(DONE)
    assert case.control.log.index("settled") == len(case.control.log) - 2  # only the last block comes after it


def test_nothing_after_the_end_is_forwarded() -> None:
    case = streaming(*WHOLE, b'data: {"more": 1}\n\n', DONE)
    assert b"".join(case.stream()) == b"".join((ROLE, HEL, LO, STOP, DONE))
    same_block = streaming(b"".join((*WHOLE, DONE, HEL)))
    assert b"".join(same_block.stream()).count(DONE) == 1


def test_a_stream_without_done_is_whole_when_the_model_said_why_it_stopped() -> None:
    case = streaming(ROLE, HEL, STOP, USAGE)
    assert b"".join(case.stream()) == ROLE + HEL + STOP
    assert case.error is None
    assert case.outcome.succeeded


def test_a_last_frame_without_its_blank_line_counts() -> None:
    case = streaming(ROLE, HEL, STOP, b"data: [DONE]")
    assert b"".join(case.stream()).endswith(b"data: [DONE]")
    assert case.error is None


@pytest.mark.parametrize("tail", [(), (b'data: {"id":"c1","choi',)], ids=["between frames", "inside a frame"])
def test_a_stream_that_ends_without_its_terminal_event_is_an_error(tail: Sequence[bytes]) -> None:
    case = streaming(ROLE, HEL, LO, *tail)
    assert b"".join(case.stream()) == ROLE + HEL + LO  # never half a frame, never an invented end
    assert case.error is not None
    assert case.error.kind is Kind.UPSTREAM
    assert not case.outcome.succeeded
    assert case.outcome.usage_source == "estimated"
    assert (case.outcome.usage.output or 0) >= 2
    assert (case.outcome.usage.input or 0) >= 1


def test_a_break_in_the_middle_charges_what_came() -> None:
    case = streaming(ROLE, HEL, OtariError(Kind.UPSTREAM, "broke off"))
    assert b"".join(case.stream()) == ROLE + HEL
    assert case.error is not None
    assert "estimated" in case.outcome.flags


def test_an_error_event_ends_the_stream_as_an_error() -> None:
    case = streaming(ROLE, HEL + b'data: {"error": {"message": "out of memory"}}\n\n', DONE)
    assert b"".join(case.stream()) == ROLE + HEL
    assert case.error is not None
    assert "out of memory" in case.error.message


def test_before_the_first_frame_the_next_provider_is_tried() -> None:
    early_error = b'data: {"error": {"message": "overloaded"}}\n\n'
    for bad in (
        Script(error=OtariError(Kind.UPSTREAM, "down", retryable=True, upstream_status=503)),
        Script([early_error]),
        Script([]),
        Script([b": hello\n\n" + early_error, DONE]),
        Script([b": keepalive\n\n", OtariError(Kind.UPSTREAM, "reset", retryable=True)]),
    ):
        case = Case(bad, Script(WHOLE), stream=True)
        assert b"".join(case.stream()).endswith(DONE)
        assert case.outcome.succeeded
        assert [f.attempt.provider for f in case.outcome.failed] == ["p0"]
        assert case.outcome.attempt is not None
        assert case.outcome.attempt.provider == "p1"
        assert case.upstream.open == 0


def test_after_the_first_frame_no_other_provider_is_tried() -> None:
    case = Case(Script([ROLE, HEL, OtariError(Kind.UPSTREAM, "reset", retryable=True)]), Script(WHOLE), stream=True)
    case.stream()
    assert case.error is not None
    assert len(case.upstream.calls) == 1


def test_an_error_that_another_provider_would_repeat_is_told_at_once() -> None:
    case = Case(Script(error=OtariError(Kind.INVALID, "bad parameter")), Script(WHOLE), stream=True)
    assert case.stream() == []
    assert case.error is not None
    assert case.error.status == 400
    assert case.outcome.usage_source == "none"


def test_when_all_fail_the_last_error_counts_and_nothing_is_charged() -> None:
    down = OtariError(Kind.UPSTREAM, "down", retryable=True)
    busy = OtariError(Kind.RATE_LIMITED, "busy", retryable=True, retry_after=3)
    case = Case(Script(error=down), Script(error=busy))
    with pytest.raises(OtariError) as caught:
        case.whole()
    assert caught.value.retry_after == 3
    assert case.outcome.usage_source == "none"
    assert case.outcome.status == 429


@pytest.mark.parametrize(
    "body",
    [b"<html>welcome</html>", b"[1]", b"", orjson.dumps({"error": {"message": "no"}})],
    ids=["html", "list", "empty", "error"],
)
def test_an_answer_that_is_none_is_a_bad_gateway(body: bytes) -> None:
    case = Case(Script([body], content_type="application/json"))
    with pytest.raises(OtariError) as caught:
        case.whole()
    assert caught.value.status == 502
    assert b"html" not in caught.value.message.encode()


@pytest.mark.parametrize("count", [-5, "7", 1e30, True, 10**12])
def test_unusable_numbers_are_replaced_by_a_local_count(count: object) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": count}
    case = Case(Script([orjson.dumps(ANSWER | {"usage": usage})]))
    case.whole()
    assert case.outcome.usage_source == "estimated"
    assert "usage_invalid" in case.outcome.flags
    assert 1 <= (case.outcome.usage.output or 0) <= 5


def test_an_answer_without_usage_is_counted_here() -> None:
    case = Case(Script([orjson.dumps({k: v for k, v in ANSWER.items() if k != "usage"})]))
    case.whole()
    assert case.outcome.usage_source == "estimated"
    assert (case.outcome.usage.input or 0) > 0
    assert (case.outcome.usage.output or 0) > 0


def test_a_stream_without_usage_is_counted_here() -> None:
    case = streaming(ROLE, *[HEL] * 50, STOP, DONE)
    case.stream()
    assert case.outcome.usage_source == "estimated"
    assert 40 <= (case.outcome.usage.output or 0) <= 80


def test_a_server_that_ignores_stream_is_replayed_as_a_stream() -> None:
    case = Case(Script([orjson.dumps(ANSWER)], content_type="application/json"), stream=True)
    raw = b"".join(case.stream())
    assert raw.endswith(DONE)
    assert b'"Hello"' in raw
    assert case.outcome.usage.output == 2


def test_a_refused_request_reaches_no_provider_and_settles_nothing() -> None:
    case = Case(Script(WHOLE), stream=True)
    case.control.refusal = OtariError(Kind.BUDGET, "User 'alice' has exceeded budget limit")
    assert case.stream() == []
    assert case.error is case.control.refusal
    assert case.upstream.calls == []
    assert case.control.outcomes == []


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_upstream_and_is_charged(stream: bool) -> None:
    case = Case(Script([ROLE, HEL, LO, None]), stream=stream)

    async def run() -> None:
        talk = case.begin()

        async def read() -> None:
            if stream:
                async for _ in talk.frames():
                    pass
            else:
                await talk.whole()

        task = asyncio.create_task(read())
        for _ in range(30):  # enough turns of the loop to come to the point where nothing more arrives
            await asyncio.sleep(0)
        assert case.upstream.open == 1
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(run())
    assert case.upstream.open == 0
    assert case.outcome.status == 499
    assert "client_gone" in case.outcome.flags
    assert (case.outcome.usage.input or 0) > 0
    assert (case.outcome.usage.output or 0) >= (2 if stream else 0)


def test_a_reader_that_stops_early_settles_too() -> None:
    case = streaming(ROLE, HEL, None)

    async def run() -> None:
        frames = case.begin().frames()
        await anext(frames)
        await frames.aclose()

    asyncio.run(run())
    assert case.upstream.open == 0
    assert case.outcome.status == 499
