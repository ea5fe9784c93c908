"""Items that a model wrote (messages, reasoning, calls) ↔ canonical parts.

What an item says beyond its meaning (`phase`, keys that a client added) stands before its parts as an `Opaque` with
`item_keys`. Ids of items mean nothing without the provider's store and are left out, except where nothing else tells
which reasoning is meant. An item that only this dialect knows is an `Opaque` as a whole.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from otari.dialects.losses import Drop
from otari.dialects.openai_citations import write_annotation
from otari.dialects.openai_responses.calls import CALLS, read_call, status_of, write_call
from otari.dialects.openai_responses.carrier import FAMILY, Carried, encrypted_content, write_carrier
from otari.dialects.openai_responses.content import CONTENT_PART, ITEM_KEYS, NAME, PART_KEYS, own_keys, read_content
from otari.dialects.openai_responses.tools import Natives
from otari.domain.chat import Doc, Opaque, Part, Refusal, Text, Thinking, ToolCall

_KNOWN = {
    "message": ("id", "role", "content", "status"),
    "reasoning": ("id", "summary", "content", "encrypted_content", "status"),
    "function_call": ("id", "call_id", "name", "namespace", "arguments", "status"),
    "custom_tool_call": ("id", "call_id", "name", "namespace", "input", "status"),
    "local_shell_call": ("id", "call_id", "action", "status"),
    "tool_search_call": ("id", "call_id", "execution", "arguments", "status"),
}


def is_item(part: Opaque) -> bool:
    """Whether it is a whole item of this dialect, and not keys or a content part of one."""
    inner = (ITEM_KEYS, PART_KEYS, CONTENT_PART)
    return part.dialect == NAME and isinstance(part.doc.get("type"), str) and not any(key in part.doc for key in inner)


def kind_of(item: Doc) -> str:
    """The type of an item; messages need not say theirs."""
    kind = item.get("type")
    if isinstance(kind, str) and kind:
        return kind
    return "message" if "role" in item else ""


# ---- reading -------------------------------------------------------------------------------------------------------


def read_item(item: Doc, drop: Drop | None = None) -> list[Part]:
    """The parts of an item that a model wrote; in an answer, `drop` names what they have no place for."""
    kind = kind_of(item)
    parts: list[Part] = []
    if kind == "message":
        parts = read_content(item.get("content"), drop)
    elif kind == "reasoning":
        thinking = read_reasoning(item)
        parts = [] if thinking is None else [thinking]
    elif kind in CALLS and (call := read_call(item)) is not None:
        parts = [call]
    else:
        return [Opaque(NAME, item)]
    return [*keys_of(item, kind), *parts] if parts else []


def keys_of(item: Doc, kind: str) -> list[Opaque]:
    """What an item says beyond its meaning, if anything."""
    rest = own_keys(item, _KNOWN.get(kind, ()))
    return [Opaque(NAME, {"type": " ".join(rest), ITEM_KEYS: rest})] if rest else []


def read_reasoning_back(item: Doc) -> list[Part]:
    """Reasoning that a client gives back: raw texts go on as they came, and what can only be read in the provider's
    store is known by its id.
    """
    parts = read_item(item)
    encrypted = bool(item.get("encrypted_content"))
    if not parts:
        return [Opaque(NAME, item)] if isinstance(item.get("id"), str) else []
    kept: Doc = {key: item[key] for key in ("summary", "content") if item.get("content") and key in item}
    if not encrypted and isinstance(item.get("id"), str):
        kept["id"] = item["id"]
    if not kept:
        return parts
    for part in parts:
        if isinstance(part, Opaque):
            kept |= part.doc[ITEM_KEYS]
    return [Opaque(NAME, {"type": " ".join(kept), ITEM_KEYS: kept}), parts[-1]]


def read_reasoning(item: Doc) -> Thinking | None:
    """The thinking that an item holds; None when it holds neither text nor encrypted content."""
    text = "\n\n".join(reasoning_texts(item))
    encrypted = item.get("encrypted_content")
    signature = encrypted if isinstance(encrypted, str) and encrypted else None
    return Thinking(text, signature, FAMILY) if text or signature else None


def reasoning_texts(item: Doc) -> Iterator[str]:
    """The texts of an item of reasoning, the summary before the raw text."""
    for key in ("summary", "content"):
        told = item.get(key)
        for part in told if isinstance(told, list) else ():
            text = part.get("text") if isinstance(part, dict) else None
            if isinstance(text, str) and text:
                yield text


# ---- writing -------------------------------------------------------------------------------------------------------


def message_item(part: Doc) -> Doc:
    """A message of the assistant with one content part."""
    return {"type": "message", "role": "assistant", "content": [part]}


def output_part(part: Text | Refusal) -> Doc:
    """The content part of an assistant's message."""
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    annotations = [write_annotation(citation, len(part.text)) for citation in part.citations]
    return {"type": "output_text", "text": part.text, "annotations": annotations, "logprobs": []}


def reasoning_item(text: str, encrypted: str | None) -> Doc:
    """An item of reasoning, its text as the summary."""
    item: Doc = {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}] if text else []}
    if encrypted is not None:
        item["encrypted_content"] = encrypted
    return item


def thinking_item(part: Thinking) -> Doc:
    """Thinking as a client gets it: what must come back with it rides in `encrypted_content`."""
    return reasoning_item(part.text, encrypted_content(part.family, part.signature, part.redacted))


def signature_item(signature: str, call_id: str) -> Doc:
    """The item that carries the signature of a call: calls have no place for one."""
    return reasoning_item("", write_carrier(Carried("google", signature, None, call_id)))


@dataclass(slots=True)
class Items:
    """Items as they are written, with the keys of the next one waiting until it comes."""

    docs: list[Doc] = field(default_factory=list)
    waiting: Doc = field(default_factory=dict)

    def add(self, item: Doc) -> None:
        """Add an item, with the keys that were waiting for it."""
        self.docs.append(item | self.waiting)
        self.waiting = {}

    def add_opaque(self, part: Opaque, drop: Drop) -> None:
        """Add what only this dialect knows; name what only another does."""
        if part.dialect != NAME:
            drop(f"part {part.doc.get('type')}")
        elif ITEM_KEYS in part.doc:
            self.waiting = part.doc[ITEM_KEYS]
        elif PART_KEYS in part.doc:
            if self.docs and isinstance(self.docs[-1].get("content"), list):
                self.docs[-1]["content"][-1] |= part.doc[PART_KEYS]
        elif CONTENT_PART in part.doc:
            self.add(message_item(part.doc[CONTENT_PART]))
        else:
            self.docs.append(part.doc)


def write_items(parts: Iterable[Part], natives: Natives, drop: Drop) -> list[Doc]:
    """The items of an answer, without ids: one for every text, refusal, thinking, call, and signature of a call."""
    items = Items()
    for part in parts:
        match part:
            case Text() | Refusal():
                items.add(message_item(output_part(part)))
            case Thinking():
                items.add(thinking_item(part))
            case ToolCall():
                if part.signature is not None:
                    items.docs.append(signature_item(part.signature, part.id))
                items.add(write_call(part, natives) | {"status": status_of(part)})
            case Opaque():
                items.add_opaque(part, drop)
            case other:
                drop(f"part {type(other).__name__.lower()}")
    return items.docs


def said(item: Any) -> str:
    """All text in an item that a model wrote, names and arguments of calls included."""
    texts: list[str] = []
    for part in read_item(item) if isinstance(item, dict) else ():
        match part:
            case Text(text) | Refusal(text) | Thinking(text):
                texts.append(text)
            case ToolCall(_, name, arguments):
                texts.append(name + arguments)
    return "".join(texts)
