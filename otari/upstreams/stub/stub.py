"""The scripted provider: an `Upstream` that answers from a script, without a key, a network, a clock or
chance.

It reads and writes real wire bytes with the dialect of the call. So everything between it and the client (framing,
watching, translating, failing over, accounting) is walked exactly as with a real provider.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson

from otari.dialects.dialect import Dialect
from otari.domain.chat import Doc, UsageSeen
from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.ports import Attempt, Call, UpstreamReply
from otari.domain.tokens import Counter
from otari.upstreams.status import refused
from otari.upstreams.stub.dice import Identity
from otari.upstreams.stub.frames import Move, Wait, at_once, failure_message, streamed
from otari.upstreams.stub.matching import Match, Miss, find
from otari.upstreams.stub.reply import Beat, Casting, beats
from otari.upstreams.stub.rules import Answer, Cut, ErrorReply, Say
from otari.upstreams.stub.scene import Scene, scene_of
from otari.upstreams.stub.script import Fallback, Script

ECHO = "echo"
EMPTY = "(empty)"
LOREM_WORDS = 40
_SURFACES = {
    "openai-chat": "chat",
    "anthropic-messages": "messages",
    "openai-responses": "responses",
    "gemini": "gemini",
}
_BREATH = 16  # chunks between two chances for others to run (and to cancel)


class StubUpstream:
    """Answers chat calls in every dialect that it is given.

    The model `echo` says the last user message back; every other model (`script` is the usual name) is
    answered by the rules of the script. `sleep` is awaited only where the script asks for a pause or a
    pace.
    """

    def __init__(
        self,
        dialects: Mapping[str, Dialect],
        counter: Counter,
        script: Script | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._dialects = dialects
        self._counter = counter
        self._script = script or Script()
        self._sleep = sleep

    @asynccontextmanager
    async def send(self, attempt: Attempt, call: Call) -> AsyncIterator[UpstreamReply]:
        """Answer `call`; see `Upstream.send`.

        Entering raises OtariError: INVALID for a call that the stub can not read, INVALID with the code
        "stub_miss" when a strict script has no answer, and what the script's own `error` stands for.
        """
        yield self._answer(attempt, call)

    def _answer(self, attempt: Attempt, call: Call) -> "StubReply":
        dialect = self._dialect(call)
        doc = _read(call.body)
        _refuse_state(dialect, doc)
        request = replace(dialect.read_request(doc), model=attempt.model, stream=call.stream)
        scene = scene_of(request, _SURFACES.get(call.dialect, call.dialect))
        match = self._match(scene)
        defaults = self._script.defaults
        identity = Identity(defaults.seed, match.rule, match.step, doc)
        cast = Casting(request, scene, match, identity, defaults)
        if match.answer.refusal is not None:
            raise _refused(match.answer.refusal, attempt.provider, cast.filled)
        played = beats(cast, self._counter)
        pace, dice = match.answer.pace or defaults.pace, identity.dice("network")
        moves: Iterable[Move]
        if call.stream:
            wants_usage = dialect.read_envelope(doc, len(call.body)).wants_usage
            tokens = next((beat.usage.input for beat in played if isinstance(beat, UsageSeen)), None)
            writer = dialect.writer(wants_usage=wants_usage, input_tokens=tokens, request_doc=doc)
            moves = streamed(played, writer, pace, dice)
        else:
            _refuse_failure(played, attempt.provider)
            moves = at_once(played, dialect, doc, pace, dice)
        return StubReply(attempt, match, moves, stream=call.stream, sleep=self._sleep)

    def _dialect(self, call: Call) -> Dialect:
        dialect = self._dialects.get(call.dialect)
        if dialect is None or call.operation != "chat":
            known = ", ".join(sorted(self._dialects))
            raise invalid(f"The stub answers chat in {known}; not {call.operation!r} in {call.dialect!r}.")
        return dialect

    def _match(self, scene: Scene) -> Match:
        if scene.model == ECHO:
            return _unscripted(ECHO, "echo", scene)
        found = find(self._script.rules, scene)
        if isinstance(found, Match):
            return found
        if self._script.defaults.strict:
            raise missed(found, scene)
        fallback = self._script.defaults.fallback
        return _unscripted(f"fallback-{fallback}", fallback, scene)


class StubReply:
    """One scripted answer under way; see `UpstreamReply`. It can be read once."""

    def __init__(
        self,
        attempt: Attempt,
        match: Match,
        moves: Iterable[Move],
        *,
        stream: bool,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._attempt = attempt
        self.status = match.answer.status
        self.content_type = "text/event-stream" if stream else "application/json"
        self.headers: Mapping[str, str] = {
            **match.answer.headers,
            "content-type": self.content_type,
            "x-stub-rule": match.rule,
        }
        self._moves = iter(moves)
        self._sleep = sleep

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in awkward pieces.

        Raises OtariError(UPSTREAM) where the script resets the connection, and OtariError(UPSTREAM_TIMEOUT) when it
        hangs for longer than the provider's silence is allowed to last.
        """
        sent = 0
        for move in self._moves:
            match move:
                case bytes():
                    yield move
                    sent += 1
                    if sent % _BREATH == 0:
                        await asyncio.sleep(0)
                case Wait(seconds):
                    await self._sleep(seconds)
                case Cut("reset"):
                    raise self._broken_off()
                case Cut("hang"):
                    await self._hang()
                case Cut():
                    return

    async def read(self) -> bytes:
        """The whole body. Raises like `chunks`."""
        return b"".join([chunk async for chunk in self.chunks()])

    def _broken_off(self) -> OtariError:
        """What a connection means that closes in the middle of an answer; as with a real provider."""
        return OtariError(
            Kind.UPSTREAM,
            f"LLM provider error (the answer of '{self._attempt.provider}' broke off)",
            code="upstream_disconnected",
            retryable=True,
            upstream_status=self.status,
            detail=f"{self._attempt.provider}: the script says cut: reset",
        )

    async def _hang(self) -> None:
        """Silence, until somebody cancels or the time is up that real providers have."""
        allowed = self._attempt.timeouts.silence_s
        try:
            async with asyncio.timeout(allowed):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            raise OtariError(
                Kind.UPSTREAM_TIMEOUT,
                f"LLM provider timeout ('{self._attempt.provider}' sent nothing for {allowed:g} s)",
                code="upstream_timeout",
                retryable=True,
                upstream_status=self.status,
                detail=f"{self._attempt.provider}: the script says cut: hang",
            ) from None


def missed(miss: Miss, scene: Scene) -> OtariError:
    """The error for a request that a strict script does not know.

    A 400 with `x-should-retry: false`, which the public OpenAI and Anthropic clients obey: a missing rule
    shows at once and not after their retries. The message holds no word of the conversation, since it may
    be logged.
    """
    if miss.rule:
        nearest = f"the nearest rule is {miss.rule!r}, where these do not hold: {', '.join(miss.failed)}"
    else:
        nearest = "it has no rules"
    facts = f"surface {scene.surface}, model {scene.model}, turn {scene.turn}, step {scene.step}"
    if scene.tools:
        facts += f", tools {', '.join(scene.tools)}"
    return OtariError(
        Kind.INVALID,
        f"The stub's script has no reply for this request; {nearest}. It came as: {facts}.",
        code="stub_miss",
        headers=(("x-should-retry", "false"),),
    )


def _unscripted(rule: str, how: Fallback, scene: Scene) -> Match:
    """An answer that no script tells; `rule` stands where the rule's id would."""
    match how:
        case "ok":
            text = "ok"
        case "echo":
            text = "${user}" if scene.texts["user"] else EMPTY
        case "lorem":
            text = f"${{lorem:{LOREM_WORDS}}}"
    return Match(rule, scene.step, Answer((Say(text),)))


def _refused(refusal: ErrorReply, provider: str, filled: Callable[[str], str] = str) -> OtariError:
    message = failure_message(refusal.status) if refusal.message is None else filled(refusal.message)
    return refused(refusal.status, message, provider=provider, retry_after=refusal.retry_after)


def _refuse_failure(played: tuple[Beat, ...], provider: str) -> None:
    """An error in the middle of an answer that is not streamed can only be an error instead of it."""
    last = played[-1]
    if isinstance(last, Cut) and last.kind == "error":
        raise _refused(ErrorReply(last.status or 500), provider)


def _refuse_state(dialect: Dialect, doc: Doc) -> None:
    """The stub keeps no answers to go on after; that it is asked to keep one does no harm."""
    field = dialect.needs_state(doc)
    if field is not None and field != "store":
        raise invalid(f"The stub keeps no earlier answers: {field} can not be honoured.", field)


def _read(body: bytes) -> Doc:
    try:
        doc = orjson.loads(body)
    except orjson.JSONDecodeError:
        doc = None
    if not isinstance(doc, dict):
        raise invalid("The body of the request is not a JSON object.")
    return doc
