"""A single-shot call being answered: embeddings, rerank, moderations, images, speech, transcriptions.

Rules that name the surface decide; where the script has none for it, `singles` answers as it does by itself.
"""

from collections.abc import Iterable

from otari.domain.arrival import Arrival
from otari.domain.chat import ChatRequest
from otari.domain.ports import Attempt, Call
from otari.upstreams.stub import singles
from otari.upstreams.stub.act import Act, Props
from otari.upstreams.stub.chat_act import ChatAct
from otari.upstreams.stub.dice import Identity
from otari.upstreams.stub.frames import GARBAGE_BODY, Move, nothing
from otari.upstreams.stub.matching import Match, Miss
from otari.upstreams.stub.reply import values_of
from otari.upstreams.stub.rules import Answer, Wish
from otari.upstreams.stub.scene import Scene
from otari.upstreams.stub.templates import fill

_SURFACES = {"transcriptions": "transcription"}  # where a script calls the operation something else


class SingleAct(Act):
    """A single-shot call."""

    def __init__(self, props: Props, attempt: Attempt, call: Call, came: Arrival) -> None:
        """Raises OtariError(INVALID) for an operation that the stub does not know."""
        doc = singles.document(call)
        said = singles.words(call.operation, doc)
        scene = Scene(
            surface=_SURFACES.get(call.operation, call.operation),
            model=attempt.model,
            texts={"user": said, "system": "", "last": said, "tool_result": "", "thought": ""},
            tools=(),
            turn=0,
            step=0,
            stream=call.stream,
            features=frozenset(),
            came=came,
            body=doc,
            request=ChatRequest(attempt.model, (), extras=doc),
        )
        super().__init__(props, attempt, call, scene, call.body if isinstance(call.body, bytes) else b"")

    def find(self) -> Match | Miss:
        surface = self.scene.surface
        rules = [rule for rule in self.props.script.rules if surface in rule.when.surface]
        own = [rule for rule in self.session.rules if surface in rule.when.surface]
        if rules or own:
            found = self.found_in(rules)
            if isinstance(found, Match) or self.props.script.defaults.strict:
                return found
        return Match(f"any-{self.call.operation}", 0, Answer())

    def filled(self, text: str, found: Match, identity: Identity) -> str:
        return fill(text, values_of(self.scene, found), self.props.script.defaults.seed, self.scene.body)

    def moves(self, found: Match, identity: Identity) -> tuple[str, Iterable[Move]]:
        wish = found.answer.wish or singles.AS_USUAL
        if wish.text is not None:
            wish = Wish(text=self.filled(wish.text, found, identity))
        single = singles.answered(self.call, self.attempt.model, self.props.counter, self.props.created(), wish)
        if self.cut is None:
            return single.content_type, single.pieces
        if self.after == 0:
            return single.content_type, nothing(self.cut, stream=False)
        body = b"".join(single.pieces)
        half = GARBAGE_BODY if self.cut.kind == "garbage" else body[: int(len(body) * self.after)]
        return single.content_type, (half, self.cut)


def act_of(props: Props, attempt: Attempt, call: Call, came: Arrival) -> Act:
    """A request being answered, whatever it asks for. Raises OtariError(INVALID) for what the stub can not read."""
    return (ChatAct if call.operation == "chat" else SingleAct)(props, attempt, call, came)
