"""One single-shot call: what the client gets, what providers are asked, and what is settled."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Outcome
from otari.domain.tokens import Approximate
from otari.gateway.passage import Passages
from otari.gateway.single import SingleShot, SingleShots
from otari.operations import OPERATIONS
from otari.operations.operation import Operation
from otari.operations.transcriptions import Upload
from tests.gateway.fakes import ALICE, FakeControl, FakeUpstream, Script, Step, attempt
from tests.operations.recordings import Recording, wav

JSON, EVENTS = "application/json", "text/event-stream"
VECTORS = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}], "model": "m"}
COUNTED = {**VECTORS, "usage": {"prompt_tokens": 7, "total_tokens": 7}}
PICTURES = {"created": 1, "data": [{"url": "a"}, {"url": "b"}]}
REQUESTS: dict[str, Any] = {
    "embeddings": {"model": "p:m", "input": "one two three"},
    "moderations": {"model": "p:m", "input": "hi"},
    "rerank": {"model": "p:m", "query": "q", "documents": ["a", "b"]},
    "images": {"model": "p:m", "prompt": "a lighthouse in fog", "n": 2},
    "speech": {"model": "p:m", "input": "Hello there", "voice": "alloy"},
    "transcriptions": Upload((("model", "p:m"),), "a.wav", "audio/wav", Recording(wav(7)), "b"),
}


def answer(doc: object) -> Script:
    return Script([orjson.dumps(doc)], content_type=JSON)


def sound(*pieces: Step) -> Script:
    return Script(pieces, content_type="audio/mpeg")


def event(kind: str, **more: object) -> bytes:
    return b"data: " + orjson.dumps({"type": kind, **more}) + b"\n\n"


def down(*, retryable: bool = True, kind: Kind = Kind.UPSTREAM) -> Script:
    return Script(error=OtariError(kind, "down", retryable=retryable, upstream_status=500))


class Case:
    """A call with scripted providers p0, p1, … that take `flavours` (the first one of the operation by default)."""

    def __init__(self, operation: str, *scripts: Script, flavours: Sequence[str] = (), **body: object) -> None:
        self.operation: Operation[Any] = OPERATIONS[operation]
        default = "otari" if operation == "rerank" else "openai"
        attempts = [
            replace(attempt(f"p{n}"), operations={operation: flavours[n] if flavours else default})
            for n in range(len(scripts))
        ]
        self.control = FakeControl(tuple(attempts))
        self.upstream = FakeUpstream({f"p{n}": script for n, script in enumerate(scripts)})
        request = REQUESTS[operation]
        self.request = {**request, **body} if isinstance(request, dict) else request
        self.shared = Passages(self.control, {"fake": self.upstream}, Approximate(), lambda text: text)

    def begin(self) -> SingleShot:
        return SingleShots(self.shared).begin(self.operation, "/v1/x", self.request, 30, ALICE, "req_1")

    def whole(self) -> bytes:
        return asyncio.run(self.begin().whole())

    def stream(self) -> list[bytes]:
        """All that came; an error that ends it comes back through `self.error`."""
        self.error: OtariError | None = None
        blocks: list[bytes] = []

        async def run() -> None:
            self.shot = self.begin()
            try:
                async for block in self.shot.frames():
                    blocks.append(block)
                    self.control.log.append(f"out {len(block)}")
            except OtariError as error:
                self.error = error

        asyncio.run(run())
        return blocks

    @property
    def outcome(self) -> Outcome:
        (outcome,) = self.control.outcomes
        return outcome


# ---- whole answers ----


def test_an_answer_passes_and_is_settled_with_what_it_tells() -> None:
    case = Case("embeddings", answer(COUNTED))
    assert case.whole() == orjson.dumps(COUNTED)
    ask = case.control.asks[0]
    assert (ask.selector, ask.prompt_tokens, ask.output_tokens, ask.quantity, ask.stream) == ("p:m", 30, 0, 0, False)
    outcome = case.outcome
    assert (outcome.succeeded, outcome.status, outcome.usage) == (True, 200, Usage(input=7, output=0))
    assert (outcome.usage_source, outcome.flags, outcome.quantity) == ("provider", (), 0)
    assert outcome.first_byte_s is not None
    assert case.upstream.open == 0


def test_a_provider_is_told_the_operation_and_the_types_that_it_may_answer() -> None:
    case = Case("images", answer(PICTURES))
    case.whole()
    _, call = case.upstream.calls[0]
    assert (call.operation, call.dialect, call.stream, call.content_type) == ("images", "openai", False, None)
    assert call.takes == ("text/event-stream",)
    assert isinstance(call.body, bytes)
    assert orjson.loads(call.body) == {"model": "m", "prompt": "a lighthouse in fog", "n": 2}


def test_a_form_is_sent_as_one() -> None:
    case = Case("transcriptions", answer({"text": "hi", "usage": {"type": "duration", "seconds": 9}}))
    assert orjson.loads(case.whole())["text"] == "hi"
    _, call = case.upstream.calls[0]
    assert call.content_type == "multipart/form-data; boundary=b"
    assert not isinstance(call.body, bytes)
    assert b'filename="a.wav"' in b"".join(call.body.pieces())
    assert case.control.asks[0].quantity == 7
    assert case.outcome.quantity == 9


def test_what_no_provider_tells_is_counted_and_said_to_be() -> None:
    case = Case("embeddings", answer(VECTORS))
    case.whole()
    counted = Approximate().count("one two three")
    assert case.outcome.usage == Usage(input=counted, output=0)
    assert (case.outcome.usage_source, case.outcome.flags) == ("estimated", ("estimated",))


@pytest.mark.parametrize("by_token", [False, True])
def test_where_no_price_counts_tokens_nobody_does(by_token: bool) -> None:
    case = Case("moderations", answer({"id": "x", "results": [{"flagged": False}]}))
    case.control.by_token = by_token
    case.whole()
    usage = Usage(input=Approximate().count("hi"), output=0) if by_token else Usage()
    assert case.outcome.usage == usage
    assert (case.outcome.usage_source, case.outcome.flags) == (
        ("estimated", ("estimated",)) if by_token else ("none", ())
    )


@pytest.mark.parametrize("by_unit", [False, True])
def test_seconds_are_estimated_only_where_they_cost_something(by_unit: bool) -> None:
    case = Case("transcriptions", Script([b"hi"], content_type="text/plain"))
    case.control.by_unit = by_unit
    assert case.whole() == b"hi"
    assert case.outcome.quantity == (7 if by_unit else 0)
    assert case.outcome.flags == (("estimated",) if by_unit else ())


def test_pictures_are_charged_as_many_as_came() -> None:
    case = Case("images", answer(PICTURES))
    case.whole()
    assert case.control.asks[0].quantity == 2
    assert (case.outcome.quantity, case.outcome.usage_source) == (2, "provider")


def test_numbers_that_can_not_be_are_not_charged() -> None:
    case = Case("embeddings", answer({**VECTORS, "usage": {"prompt_tokens": -5}}))
    case.whole()
    assert case.outcome.flags == ("usage_invalid", "estimated")
    assert case.outcome.usage.input == Approximate().count("one two three")


# ---- attempts ----


def test_a_failure_leads_to_the_next_provider() -> None:
    case = Case("embeddings", down(), answer({"error": {"message": "busy"}}), answer(COUNTED))
    assert case.whole() == orjson.dumps(COUNTED)
    assert [failed.attempt.provider for failed in case.outcome.failed] == ["p0", "p1"]
    assert case.control.log == ["moved on to p1", "moved on to p2", "settled"]


def test_a_mistake_of_the_request_leads_nowhere() -> None:
    case = Case("embeddings", down(retryable=False, kind=Kind.INVALID), answer(COUNTED))
    with pytest.raises(OtariError, match="down"):
        case.whole()
    assert len(case.upstream.calls) == 1
    assert (case.outcome.succeeded, case.outcome.status, case.outcome.usage_source) == (False, 400, "none")


def test_a_provider_that_can_not_do_it_is_passed_over_and_named_when_it_is_the_last() -> None:
    case = Case(
        "moderations", answer({}), answer({"id": "x", "results": [{"flagged": False}]}), flavours=["", "openai"]
    )
    case.whole()
    assert [attempt.provider for attempt, _ in case.upstream.calls] == ["p1"]
    case = Case("moderations", answer({}), flavours=["some"])
    with pytest.raises(OtariError, match=r"^Provider p0 does not support moderation$") as raised:
        case.whole()
    assert (raised.value.status, raised.value.code) == (400, "unsupported_operation")
    assert case.upstream.calls == []
    assert (case.outcome.usage_source, case.outcome.quantity, case.outcome.status) == ("none", 0, 400)


def test_a_provider_that_can_not_be_told_it_is_passed_over() -> None:
    case = Case("embeddings", answer({}), answer(COUNTED), flavours=["cohere", "openai"], input=[1, 2, 3])
    case.whole()
    assert [attempt.provider for attempt, _ in case.upstream.calls] == ["p1"]


def test_what_can_not_be_told_is_named_or_refused() -> None:
    results = {"results": [{"index": 0, "relevance_score": 1.0}, {"index": 1, "relevance_score": 0.5}]}
    case = Case("rerank", answer(results), flavours=["jina"], max_tokens_per_doc=9)
    shot = case.begin()
    asyncio.run(shot.whole())
    assert shot.headers() == {"X-Otari-Dropped": "max_tokens_per_doc"}
    assert case.outcome.dropped == ("max_tokens_per_doc",)
    strict = Case("rerank", answer(results), flavours=["jina"], max_tokens_per_doc=9)
    strict.control.attempts = (replace(strict.control.attempts[0], strict=True),)
    with pytest.raises(OtariError, match="strict") as raised:
        strict.whole()
    assert (raised.value.code, raised.value.param) == ("translation_loss", "max_tokens_per_doc")
    assert strict.upstream.calls == []


def test_a_refusal_before_anything_was_asked_is_no_settlement() -> None:
    case = Case("embeddings", answer(COUNTED))
    case.control.refusal = OtariError(Kind.BUDGET, "spent")
    with pytest.raises(OtariError, match="spent"):
        case.whole()
    assert (case.upstream.calls, case.control.outcomes) == ([], [])


def test_an_answer_that_breaks_off_is_charged_for_what_came() -> None:
    broken = OtariError(Kind.UPSTREAM, "broke", retryable=True)
    case = Case("embeddings", Script([b'{"da', broken], content_type=JSON))
    with pytest.raises(OtariError, match="broke"):
        case.whole()
    assert case.outcome.usage.input == Approximate().count("one two three")
    assert (case.outcome.usage_source, case.outcome.flags) == ("estimated", ("estimated",))


# ---- sound ----


def test_sound_passes_as_it_comes_and_is_settled_before_its_last_byte() -> None:
    case = Case("speech", sound(b"abc", b"defg", b"h"))
    blocks = case.stream()
    assert b"".join(blocks) == b"abcdefgh"
    assert blocks[0] == b"ab"  # nothing waits for more than the next piece
    assert case.control.log[-2:] == ["settled", "out 1"]
    assert case.shot.media == "audio/mpeg"
    assert (case.outcome.quantity, case.outcome.flags, case.outcome.usage) == (11, (), Usage())


def test_sound_priced_by_tokens_is_counted() -> None:
    case = Case("speech", sound(b"abc"))
    case.control.by_token = True
    case.stream()
    assert case.outcome.usage == Usage(input=Approximate().count("Hello there\n"), output=16)
    assert (case.outcome.usage_source, case.outcome.flags) == ("estimated", ("estimated",))


def test_sound_that_is_empty_or_fails_at_once_leads_to_the_next_provider() -> None:
    broken = OtariError(Kind.UPSTREAM, "broke", retryable=True)
    case = Case("speech", sound(), sound(broken), down(), sound(b"ab"))
    assert b"".join(case.stream()) == b"ab"
    assert [failed.attempt.provider for failed in case.outcome.failed] == ["p0", "p1", "p2"]


def test_sound_that_breaks_off_is_charged_and_can_not_be_told() -> None:
    broken = OtariError(Kind.UPSTREAM, "broke", retryable=True)
    case = Case("speech", sound(b"abc", broken), sound(b"no"))
    assert case.stream() == [b"ab"]
    assert case.error is broken
    assert case.shot.error_frames(broken) == b""
    assert len(case.upstream.calls) == 1
    assert (case.outcome.quantity, case.outcome.flags, case.outcome.status) == (11, ("estimated",), 502)


def test_sound_in_json_is_unpacked() -> None:
    case = Case("speech", answer({"audio_data": "YWJj"}), flavours=["mistral"], response_format="wav")
    assert case.stream() == [b"abc"]
    assert case.shot.media == "audio/wav"
    assert case.control.log == ["settled", "out 3"]


# ---- events ----

DELTA = event("transcript.text.delta", delta="Hel")
DONE = event("transcript.text.done", text="Hello", usage={"type": "tokens", "input_tokens": 9, "output_tokens": 2})


def transcribed(*steps: Step, **more: object) -> Case:
    case = Case("transcriptions", Script(steps, content_type=EVENTS))
    upload = case.request
    assert isinstance(upload, Upload)
    case.request = upload._replace(fields=(*upload.fields, ("stream", "true")))
    return case


def test_events_pass_whole_and_are_settled_before_the_last() -> None:
    stream = b": hi\n\n" + DELTA + DELTA + DONE
    case = transcribed(stream[:9], stream[9:40], stream[40:90], stream[90:])
    blocks = case.stream()
    assert b"".join(blocks) == stream
    assert all(block.endswith(b"\n\n") for block in blocks)
    assert case.control.log[-2:] == ["settled", f"out {len(blocks[-1])}"]
    assert (case.outcome.usage, case.outcome.flags) == (Usage(input=9, output=2), ())
    assert case.shot.media.startswith(EVENTS)


def test_a_last_event_may_lack_its_empty_line() -> None:
    case = transcribed(DELTA, DONE.rstrip())
    assert b"".join(case.stream()) == DELTA + DONE.rstrip()
    assert case.outcome.succeeded


@pytest.mark.parametrize("rest", [b"", b'data: {"type": "transcript.te', b"data: {}\n\n"])
def test_events_without_an_end_are_broken_off(rest: bytes) -> None:
    case = transcribed(DELTA, rest) if rest else transcribed(DELTA)
    blocks = case.stream()
    assert b"".join(blocks) in (DELTA, DELTA + b"data: {}\n\n")
    assert case.error is not None
    assert case.error.message == "The provider broke off the answer before its end"
    assert b"broke off" in case.shot.error_frames(case.error)
    assert (case.outcome.succeeded, case.outcome.status, case.outcome.flags) == (False, 502, ("estimated",))


def test_an_error_among_the_events_is_told_behind_what_came() -> None:
    failure = b'data: {"error": {"message": "overloaded"}}\n\n'
    case = transcribed(DELTA, DELTA + failure + DONE)
    assert b"".join(case.stream()) == DELTA + DELTA
    assert case.error is not None
    assert case.error.message.endswith(": overloaded")


def test_an_error_as_the_first_event_leads_to_the_next_provider() -> None:
    failing = Script([b": hi\n\n", b'data: {"error": {"message": "overloaded"}}\n\n'], content_type=EVENTS)
    case = Case("images", failing, Script([event("image_generation.completed", b64_json="A")], content_type=EVENTS))
    case.request = {**REQUESTS["images"], "n": 1, "stream": True}
    assert len(case.stream()) == 1
    assert [failed.attempt.provider for failed in case.outcome.failed] == ["p0"]
    assert case.outcome.quantity == 1


def test_a_whole_answer_is_told_as_events_where_those_were_asked_for() -> None:
    case = Case("transcriptions", answer({"text": "Hello", "usage": {"type": "duration", "seconds": 4}}))
    upload = case.request
    assert isinstance(upload, Upload)
    case.request = upload._replace(fields=(*upload.fields, ("stream", "true")))
    (block,) = case.stream()
    assert block.count(b"data: ") == 2
    assert b'"transcript.text.done"' in block
    assert case.shot.media.startswith(EVENTS)
    assert case.outcome.quantity == 4


def test_written_text_is_counted_where_tokens_cost_and_are_not_told() -> None:
    case = transcribed(DELTA, event("transcript.text.done", text="Hello"))
    case.control.by_token = True
    case.stream()
    assert case.outcome.usage == Usage(input=0, output=Approximate().count("Hel"))
    assert case.outcome.flags == ("estimated",)


# ---- clients that leave ----


def left(case: Case, *, streams: bool) -> None:
    """Ask, wait until the provider is answering, leave."""

    async def run() -> None:
        shot = case.begin()

        async def ask() -> None:
            if streams:
                async for _ in shot.frames():
                    pass
            else:
                await shot.whole()

        task = asyncio.ensure_future(ask())
        while not case.upstream.open:  # noqa: ASYNC110  (the fake opens in this loop, with nothing to wait for)
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert case.upstream.open == 0


@pytest.mark.parametrize(
    ("operation", "script", "quantity"),
    [
        ("embeddings", Script([None], content_type=JSON), 0),
        ("images", Script([None], content_type=JSON), 0),
        ("speech", sound(b"abc", None), 11),
        ("transcriptions", Script([None], content_type=JSON), 7),
    ],
)
def test_who_leaves_stops_the_provider_and_pays_for_what_was_given_to_it(
    operation: str, script: Script, quantity: int
) -> None:
    case = Case(operation, script)
    case.control.by_unit = True
    left(case, streams=operation == "speech")
    outcome = case.outcome
    assert (outcome.succeeded, outcome.status, outcome.quantity) == (False, 499, quantity)
    assert outcome.flags == ("estimated", "client_gone")
    assert outcome.usage_source == "estimated"
    assert (outcome.usage.input is not None) == (operation == "embeddings")


def test_a_gateway_that_stops_says_so() -> None:
    case = Case("embeddings", Script([None], content_type=JSON))
    case.shared.stopping = True
    left(case, streams=False)
    assert case.outcome.status == 503
    assert "client_gone" not in case.outcome.flags


def test_the_answer_is_known_to_whoever_keeps_it_before_it_is_settled() -> None:
    case = Case("embeddings", answer(COUNTED))
    shot = case.begin()
    heard: list[bytes | None] = []
    shot.on_settled = lambda outcome: heard.append(shot.answer)
    asyncio.run(shot.whole())
    assert heard == [orjson.dumps(COUNTED)]
    assert shot.repeatable
    assert len(shot.fingerprint()) == 32
