"""Real providers with a recorder beside them: answers reach the client as they come, and are kept when they are whole.

What the script or a recording has an answer for never leaves the house.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Final

import orjson

from otari.dialects import sse
from otari.dialects.dialect import Dialect
from otari.domain.arrival import SESSION_KEY, Arrival, arrival
from otari.domain.chat import Doc, Failed, Reply, fold
from otari.domain.errors import OtariError
from otari.domain.ports import Attempt, Call, Upstream, UpstreamReply
from otari.domain.redaction import Redactor
from otari.domain.secret import Secret
from otari.upstreams.stub.act import CALL_HEADER, Props
from otari.upstreams.stub.cassettes import Unkept
from otari.upstreams.stub.chat_act import ChatAct
from otari.upstreams.stub.matching import Match
from otari.upstreams.stub.patience import TooSlow
from otari.upstreams.stub.recording import reply_doc, rule_doc
from otari.upstreams.stub.scene import Scene
from otari.upstreams.stub.sessions import Entry
from otari.upstreams.stub.takes import Take
from otari.upstreams.stub.under_way import RULE_HEADER

log = logging.getLogger("otari.stub")

RECORDED: Final = "recorded"  # what stands in the place of a rule while there is none
CLIENT_GONE = 499  # what the journal has for a client that left before there was an answer

# Takes the session, the rule without its reply, the reply and the take; gives the id of the rule. Raises Unkept.
Keep = Callable[[str, Doc, Doc, Take], str]


class Recorder:
    """An Upstream in front of another one, `live`. `keep` gets every whole answer of it."""

    def __init__(
        self,
        live: Upstream,
        props: Props,
        keep: Keep,
        redactor: Redactor,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.live = live
        self.props = props
        self.keep = keep
        self.redactor = redactor
        self.now = now
        self.unkept: list[str] = []  # what was not kept, and why
        self.unanswered: list[str] = []  # what had no whole answer, and why

    def send(self, attempt: Attempt, call: Call) -> AbstractAsyncContextManager[UpstreamReply]:
        """See `Upstream.send`. Calls that are not conversations pass unrecorded."""
        return _Recorded(self, attempt, call) if call.operation == "chat" else self.live.send(attempt, call)

    def learn(self, key: Secret) -> None:
        """Learn the key of a client, which must not be written down. One that only names a session may."""
        if not key.reveal().startswith(SESSION_KEY):
            self.redactor.learn(key)

    def kept(self, scene: Scene, reply: Reply, take: Take) -> None:
        """Keep an answer; what can not be kept is told."""
        session = scene.came.session
        times = [seconds for seconds, _ in take.pieces]
        try:
            made = rule_doc(scene, self.props.script.defaults.normalize)
            rule = self.keep(session, made, reply_doc(reply, take.model, times), take)
        except (Unkept, OSError) as problem:
            line = f"not recorded, session {session}: {problem}"
            self.unkept.append(line)
            log.error("%s", line)
        else:
            log.info("recorded %s in session %s", rule, session)

    def refused(self, scene: Scene, error: OtariError) -> None:
        """Tell that a provider did not answer: an error is not kept."""
        self.missed(scene, error.message)

    def missed(self, scene: Scene, why: str) -> None:
        """Tell that there is no whole answer to keep, or to hold against what is kept."""
        line = f"no answer, session {scene.came.session}: {why}"
        self.unanswered.append(line)
        log.warning("%s", line)


class _Recorded:
    """The context manager of one call: an answer of the script or of a recording, else one that is recorded."""

    def __init__(self, recorder: Recorder, attempt: Attempt, call: Call) -> None:
        self._recorder = recorder
        self._attempt = attempt
        self._call = call
        self._stack = AsyncExitStack()
        self._tap: _Tap | None = None

    async def __aenter__(self) -> UpstreamReply:
        recorder = self._recorder
        came = arrival() or Arrival()
        came.heard = True
        recorder.learn(came.key)
        act = ChatAct(recorder.props, self._attempt, self._call, came)
        if _is_known(act):
            answer, delay_s = act.play()
            if delay_s:
                await recorder.props.sleep(delay_s)
            if isinstance(answer, OtariError):
                raise answer
            return answer
        act.session.calls += 1
        came.labels[CALL_HEADER] = str(act.session.calls)
        began = recorder.now()
        status = CLIENT_GONE
        try:
            reply = await self._stack.enter_async_context(recorder.live.send(self._attempt, self._call))
            status = reply.status
        except OtariError as error:
            status = error.status
            recorder.refused(act.scene, error)
            raise
        finally:
            _note(recorder.props, act, self._call, status)
        self._tap = _Tap(reply, lambda: recorder.now() - began, came.labels)
        self._scene = act.scene
        return self._tap

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)
        if self._tap is None:
            return
        try:
            self._keep(self._tap)
        except Exception:  # whatever a provider has sent, its client has got it: recording must not spoil that
            log.exception("not recorded: an answer of '%s' that nobody foresaw", self._attempt.provider)
            self._recorder.unkept.append("an answer could not be understood")

    def _keep(self, tap: "_Tap") -> None:
        """Keep an answer that has ended, if it is whole."""
        dialect = self._recorder.props.dialects[self._call.dialect]
        stream = tap.content_type != "application/json"
        take = Take(
            self._attempt.provider,
            self._attempt.model,
            dialect.name,
            stream,
            self._scene.body,
            tuple(tap.pieces),
        )
        reply = reply_in(dialect, take)
        if reply is None:
            self._recorder.missed(self._scene, "the answer broke off before its end")
        else:
            self._recorder.kept(self._scene, reply, take)


class _Tap:
    """An answer under way that is listened to; see `UpstreamReply`."""

    def __init__(self, reply: UpstreamReply, passed: Callable[[], float], labels: dict[str, str]) -> None:
        self._reply = reply
        self._passed = passed
        self._labels = labels
        self.status = reply.status
        self.content_type = reply.content_type
        self.headers: Mapping[str, str] = reply.headers
        self.pieces: list[tuple[float, bytes]] = []

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `UpstreamReply`."""
        async for piece in self._reply.chunks():
            self.pieces.append((self._passed(), piece))
            self._labels[RULE_HEADER] = RECORDED
            yield piece

    async def read(self) -> bytes:
        """See `UpstreamReply`."""
        body = await self._reply.read()
        self.pieces.append((self._passed(), body))
        self._labels[RULE_HEADER] = RECORDED
        return body


def _is_known(act: ChatAct) -> bool:
    """Whether the script or a recording has an answer; a pattern that takes too long is one, which `play` gives."""
    try:
        return isinstance(act.find(), Match)
    except TooSlow:
        return True


def reply_in(dialect: Dialect, take: Take) -> Reply | None:
    """What an answer says; None when it is not whole."""
    try:
        if not take.stream:
            doc = orjson.loads(take.body)
            return dialect.read_reply(doc) if isinstance(doc, dict) else None
        framer, reader = sse.Framer(), dialect.reader()
        frames = [*sse.split(framer.feed(take.body)), framer.rest()]
        events = [event for frame in frames if frame for event in reader.read(frame)]
        told = fold([*events, *reader.end()])
    except (orjson.JSONDecodeError, OtariError, ValueError):
        return None
    return None if isinstance(told, Failed) else told


def _note(props: Props, act: ChatAct, call: Call, status: int) -> None:
    """The call in the journal: what a provider answers does not belong there."""
    scene, came = act.scene, act.scene.came
    props.sessions.note(
        Entry(
            session=act.session.name,
            number=act.session.calls,
            result=RECORDED,
            rule="",
            status=status,
            method=came.method,
            path=came.path,
            surface=scene.surface,
            model=scene.model,
            stream=scene.stream,
            turn=scene.turn,
            step=scene.step,
            user=scene.texts["user"],
            tools=scene.tools,
            headers=came.headers,
            body=call.body if isinstance(call.body, bytes) else b"",
        )
    )
