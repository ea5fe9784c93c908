"""The life of each kind of item in a written stream: from `output_item.added` over its deltas to `output_item.done`."""

from dataclasses import replace
from typing import Protocol

import orjson

from otari.dialects.openai_responses.calls import FREE_TEXT, call_kind, status_of, told_whole, write_call
from otari.dialects.openai_responses.carrier import encrypted_content
from otari.dialects.openai_responses.content import ITEM_KEYS, NAME
from otari.dialects.openai_responses.items import is_item, message_item, output_part, reasoning_item, signature_item
from otari.dialects.openai_responses.tools import Natives
from otari.dialects.tool_arguments import free_text
from otari.domain.chat import Citation, Doc, Opaque, Part, Refusal, Text, Thinking, ToolCall

ADDED, DONE = "response.output_item.added", "response.output_item.done"


class Stream(Protocol):
    """What an item needs of the stream that it stands in."""

    def frame(self, name: str, told: Doc) -> bytes: ...

    def delta(self, around: tuple[bytes, bytes], text: str) -> bytes: ...

    def open(self, kind: str) -> tuple[str, int]: ...

    def close(self, number: int, item: Doc) -> None: ...


class Life:
    """An item under way. `keys` are those of the item to come, when that is all that a part brings."""

    keys: Doc | None = None

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def begin(self, keys: Doc) -> bytes:
        """The item begins; `keys` are what it says beyond its meaning."""
        raise NotImplementedError

    def grow(self, text: str) -> bytes:
        """More of its text."""
        return b""

    def sign(self, signature: str) -> bytes:
        """The signature of its thinking."""
        return b""

    def cite(self, citation: Citation) -> bytes:
        """Where a piece of its text is taken from."""
        return b""

    def end(self) -> bytes:
        """The item is whole."""
        return b""

    def added(self, number: int, item: Doc) -> bytes:
        return self.stream.frame(ADDED, {"output_index": number, "item": item})

    def done(self, number: int, item: Doc) -> bytes:
        self.stream.close(number, item)
        return self.stream.frame(DONE, {"output_index": number, "item": item})


def _around(name: str, where: Doc, more: bytes = b"") -> tuple[bytes, bytes]:
    """The bytes of a delta event before its text, and those between its text and its number."""
    head = orjson.dumps({"type": name, **where})[:-1]
    return b"event: " + name.encode() + b"\ndata: " + head + b',"delta":', more + b',"sequence_number":'


class _Message(Life):
    """A message with one text or one refusal."""

    def __init__(self, part: Text | Refusal, stream: Stream) -> None:
        super().__init__(stream)
        self._part = part
        self._pieces = [part.text] if part.text else []
        self._citations = list(part.citations) if isinstance(part, Text) else []
        refusal = isinstance(part, Refusal)
        self._event = "response.refusal" if refusal else "response.output_text"
        self._key = "refusal" if refusal else "text"

    def begin(self, keys: Doc) -> bytes:
        self._id, self._number = self.stream.open("message")
        self._keys = keys
        self._where = {"item_id": self._id, "output_index": self._number, "content_index": 0}
        more = b"" if self._key == "refusal" else b',"logprobs":[]'
        self._delta = _around(self._event + ".delta", self._where, more)
        added = self.added(self._number, self._item([], "in_progress"))
        empty = {**self._where, "part": output_part(Text("") if self._key == "text" else Refusal(""))}
        frames = added + self.stream.frame("response.content_part.added", empty)
        return frames + (self.stream.delta(self._delta, self._part.text) if self._part.text else b"")

    def _item(self, content: list[Doc], status: str) -> Doc:
        return {"id": self._id, **message_item({}), "content": content, "status": status, **self._keys}

    def grow(self, text: str) -> bytes:
        self._pieces.append(text)
        return self.stream.delta(self._delta, text)

    def cite(self, citation: Citation) -> bytes:
        """Told at the end, when the length of the text is known."""
        self._citations.append(citation)
        return b""

    def end(self) -> bytes:
        text = "".join(self._pieces)
        told = Text(text, citations=tuple(self._citations)) if self._key == "text" else Refusal(text)
        part = output_part(told)
        logprobs: Doc = {} if self._key == "refusal" else {"logprobs": []}
        cited = (
            {**self._where, "annotation_index": number, "annotation": annotation}
            for number, annotation in enumerate(part.get("annotations", ()))
        )
        return (
            b"".join(self.stream.frame("response.output_text.annotation.added", doc) for doc in cited)
            + self.stream.frame(self._event + ".done", {**self._where, self._key: text, **logprobs})
            + self.stream.frame("response.content_part.done", {**self._where, "part": part})
            + self.done(self._number, self._item([part], "completed"))
        )


class _Reasoning(Life):
    """Thinking as a summary; what must come back with it is told with the end of the item."""

    def __init__(self, part: Thinking, stream: Stream) -> None:
        super().__init__(stream)
        self._part = part
        self._pieces: list[str] = []

    def begin(self, keys: Doc) -> bytes:
        self._id, self._number = self.stream.open("reasoning")
        self._keys = keys
        self._where = {"item_id": self._id, "output_index": self._number, "summary_index": 0}
        self._delta = _around("response.reasoning_summary_text.delta", self._where)
        added = self.added(self._number, {"id": self._id, **reasoning_item("", None)})
        return added + (self.grow(self._part.text) if self._part.text else b"")

    def grow(self, text: str) -> bytes:
        frames = b""
        if not self._pieces:
            part = {"type": "summary_text", "text": ""}
            frames = self.stream.frame("response.reasoning_summary_part.added", {**self._where, "part": part})
        self._pieces.append(text)
        return frames + self.stream.delta(self._delta, text)

    def sign(self, signature: str) -> bytes:
        self._part = replace(self._part, signature=signature)
        return b""

    def end(self) -> bytes:
        text, part = "".join(self._pieces), self._part
        frames = b""
        if text:
            told = {"type": "summary_text", "text": text}
            frames = self.stream.frame("response.reasoning_summary_text.done", {**self._where, "text": text})
            frames += self.stream.frame("response.reasoning_summary_part.done", {**self._where, "part": told})
        item = reasoning_item(text, encrypted_content(part.family, part.signature, part.redacted))
        return frames + self.done(self._number, {"id": self._id, **item, **self._keys})


class _Call(Life):
    """A call of a function."""

    def __init__(self, call: ToolCall, stream: Stream, natives: Natives) -> None:
        super().__init__(stream)
        self._call = call
        self._natives = natives
        self._kind = call_kind(call.name, natives)
        self._pieces = [call.arguments] if call.arguments else []

    def begin(self, keys: Doc) -> bytes:
        self._keys = keys
        signed = self.sign(self._call.signature) if self._call.signature is not None else b""
        return signed + self._begin()

    def _begin(self) -> bytes:
        self._id, self._number = self.stream.open(self._kind)
        self._where = {"item_id": self._id, "output_index": self._number}
        self._delta = _around("response.function_call_arguments.delta", self._where)
        item = {**self._item(self._call), "arguments": "", "status": "in_progress"}
        frames = self.added(self._number, item)
        return frames + (self.stream.delta(self._delta, self._call.arguments) if self._call.arguments else b"")

    def _item(self, call: ToolCall) -> Doc:
        return {"id": self._id, **write_call(call, self._natives), "status": status_of(call), **self._keys}

    def _whole(self) -> ToolCall:
        return replace(self._call, arguments="".join(self._pieces))

    def grow(self, text: str) -> bytes:
        self._pieces.append(text)
        return self.stream.delta(self._delta, text)

    def sign(self, signature: str) -> bytes:
        """Calls have no place for a signature: an item of reasoning carries it."""
        item_id, number = self.stream.open("reasoning")
        frames = self.added(number, {"id": item_id, **reasoning_item("", None)})
        return frames + self.done(number, {"id": item_id, **signature_item(signature, self._call.id)})

    def end(self) -> bytes:
        """A call without arguments says `{}`: clients parse what they have gathered."""
        frames = b"" if self._pieces else self.grow("{}")
        item = self._item(self._whole())
        told = {**self._where, "name": item["name"], "arguments": item["arguments"]}
        frames += self.stream.frame("response.function_call_arguments.done", told)
        return frames + self.done(self._number, item)


class _FreeCall(_Call):
    """A call of a tool that takes plain text. The text is known when the JSON around it is whole."""

    def _begin(self) -> bytes:
        self._id, self._number = self.stream.open(self._kind)
        self._where = {"item_id": self._id, "output_index": self._number}
        return self.added(self._number, {**self._item(self._call), "input": "", "status": "in_progress"})

    def grow(self, text: str) -> bytes:
        self._pieces.append(text)
        return b""

    def end(self) -> bytes:
        call = self._whole()
        text = free_text(call.arguments)
        around = _around("response.custom_tool_call_input.delta", self._where)
        frames = self.stream.delta(around, text) if text else b""
        frames += self.stream.frame("response.custom_tool_call_input.done", {**self._where, "input": text})
        return frames + self.done(self._number, self._item(call))


class _WholeCall(_Call):
    """A call whose item can only be told as a whole."""

    def _begin(self) -> bytes:
        return b""

    def grow(self, text: str) -> bytes:
        self._pieces.append(text)
        return b""

    def end(self) -> bytes:
        self._id, self._number = self.stream.open(self._kind)
        item = self._item(self._whole())
        return self.added(self._number, {**item, "status": "in_progress"}) + self.done(self._number, item)


class _Given(Life):
    """An item that came whole from a provider of this dialect."""

    def __init__(self, doc: Doc, stream: Stream) -> None:
        super().__init__(stream)
        self._doc = doc

    def begin(self, keys: Doc) -> bytes:
        fresh, number = self.stream.open(str(self._doc.get("type")))
        item = {"id": fresh, **self._doc}
        return self.added(number, item) + self.done(number, item)


class _Keys(Life):
    """Nothing but the keys of the next item."""

    def __init__(self, keys: Doc, stream: Stream) -> None:
        super().__init__(stream)
        self.keys = keys


def life_of(part: Part, stream: Stream, natives: Natives) -> Life | None:
    """How a part lives on this wire; None when it has no place."""
    match part:
        case Text() | Refusal():
            return _Message(part, stream)
        case Thinking():
            return _Reasoning(part, stream)
        case ToolCall():
            if told_whole(part.name, natives):
                return _WholeCall(part, stream, natives)
            kind = _FreeCall if call_kind(part.name, natives) == FREE_TEXT else _Call
            return kind(part, stream, natives)
        case Opaque(dialect, doc) if dialect == NAME and ITEM_KEYS in doc:
            return _Keys(doc[ITEM_KEYS], stream)
        case Opaque() if is_item(part):
            return _Given(part.doc, stream)
    return None
