"""A chat request being answered, in the dialect that it is asked in."""

from collections.abc import Iterable

import orjson

from otari.dialects.dialect import Dialect
from otari.domain.arrival import Arrival
from otari.domain.chat import Doc, Usage, UsageSeen
from otari.domain.errors import invalid
from otari.domain.ports import Attempt, Call
from otari.upstreams.stub import faults
from otari.upstreams.stub.act import Act, Props, refusal_of
from otari.upstreams.stub.defaults import Fallback
from otari.upstreams.stub.dice import Identity
from otari.upstreams.stub.frames import Move, as_it_came, at_once, nothing, streamed
from otari.upstreams.stub.matching import Match, Miss
from otari.upstreams.stub.reply import Beat, Casting, beats, plain_reply
from otari.upstreams.stub.rules import Answer, Cut, ErrorReply, Say
from otari.upstreams.stub.scene import Scene, scene_of

ECHO = "echo"
EMPTY = "(empty)"
LOREM_WORDS = 40
_JSON, _EVENTS = "application/json", "text/event-stream"
_SURFACES = {
    "openai-chat": "chat",
    "anthropic-messages": "messages",
    "openai-responses": "responses",
    "gemini": "gemini",
}


class ChatAct(Act):
    """A chat request."""

    def __init__(self, props: Props, attempt: Attempt, call: Call, came: Arrival) -> None:
        """Raises OtariError(INVALID) for a call that can not be read."""
        dialect, body = _dialect(props, call)
        doc = _read(body)
        _refuse_state(dialect, doc)
        surface = _SURFACES.get(call.dialect, call.dialect)
        scene = scene_of(dialect.read_request(doc), surface, came, doc, attempt.model, call.stream)
        super().__init__(props, attempt, call, scene, body)
        self._dialect = dialect
        self._size = len(body)

    def find(self) -> Match | Miss:
        if self.scene.model == ECHO:
            return _unscripted(ECHO, "echo", self.scene)
        defaults = self.props.script.defaults
        found = self.found_in(self.props.script.rules)
        if isinstance(found, Match) or defaults.strict:
            return found
        return _unscripted(f"fallback-{defaults.fallback}", defaults.fallback, self.scene)

    def filled(self, text: str, found: Match, identity: Identity) -> str:
        return self._cast(found, identity).filled(text)

    def moves(self, found: Match, identity: Identity) -> tuple[str, Iterable[Move]]:
        scene, cut = self.scene, self.cut
        content_type = _EVENTS if scene.stream else _JSON
        cast = self._cast(found, identity)
        if not (scene.stream or cut or found.answer.pace or found.answer.exact or self._is_paced):
            reply = plain_reply(cast, self.props.counter)
            if reply is not None:
                self._count_tokens(reply.usage)
                return content_type, (orjson.dumps(self._dialect.write_reply(reply, request_doc=scene.body)),)
        played = beats(cast, self.props.counter)
        usage = next((beat.usage for beat in played if isinstance(beat, UsageSeen)), None)
        self._count_tokens(usage or Usage())
        if cut is not None:
            if self.after == 0:
                return content_type, nothing(cut, stream=scene.stream)
            played = faults.torn(played, cut, self.after)
        exact = found.answer.exact
        if exact is not None and cut is None and (exact.dialect, exact.stream) == (self.call.dialect, scene.stream):
            return content_type, as_it_came(exact)
        pace, dice = found.answer.pace or self.props.script.defaults.pace, identity.dice("network")
        if not scene.stream:
            self._refuse_failure(played)
            return content_type, at_once(played, self._dialect, scene.body, pace, dice)
        wants_usage = self._dialect.read_envelope(scene.body, self._size).wants_usage
        tokens = None if usage is None else usage.input
        writer = self._dialect.writer(wants_usage=wants_usage, input_tokens=tokens, request_doc=scene.body)
        return content_type, streamed(played, writer, pace, dice)

    def _cast(self, found: Match, identity: Identity) -> Casting:
        defaults, created = self.props.script.defaults, self.props.created()
        return Casting(self.scene.request, self.scene, found, identity, defaults, created)

    @property
    def _is_paced(self) -> bool:
        pace = self.props.script.defaults.pace
        return bool(pace.ttft_s or pace.tps)

    def _count_tokens(self, usage: Usage) -> None:
        if self.props.meter is not None:
            self.props.meter.spent(self.scene, (usage.input or 0) + (usage.output or 0))

    def _refuse_failure(self, played: tuple[Beat, ...]) -> None:
        """An error in the middle of an answer that is not streamed can only be an error instead of it."""
        last = played[-1]
        if isinstance(last, Cut) and last.kind == "error":
            raise refusal_of(ErrorReply(last.status or 500), self.attempt.provider, None)


def _dialect(props: Props, call: Call) -> tuple[Dialect, bytes]:
    """The dialect of a call, and its body."""
    dialect = props.dialects.get(call.dialect)
    if dialect is None or not isinstance(call.body, bytes):
        known = ", ".join(sorted(props.dialects))
        raise invalid(f"The stub answers chat in {known}; not in {call.dialect!r}.")
    return dialect, call.body


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
