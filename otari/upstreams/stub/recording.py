"""Real answers as a script says them: what is kept of a request and its answer, in the words of the format.

Ids of answers and calls are left out: the stub makes its own, so that recording an unchanged prompt again changes
nothing.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import orjson

from otari.domain.chat import (
    Doc,
    Finish,
    Refusal,
    Reply,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from otari.domain.redaction import mask_shapes
from otari.upstreams.stub.digest import asked_of
from otari.upstreams.stub.normal import FORMS
from otari.upstreams.stub.scene import Scene

_FINISHES = {
    Finish.END: "end",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "length",
    Finish.TOOLS: "tools",
    Finish.FILTER: "filter",
}
_NO_SLUG = re.compile(r"[^a-z0-9]+")
_SLUG_CHARACTERS = 32
_SEEN_CHARACTERS = 200


def rule_doc(scene: Scene, forms: tuple[str, ...] = tuple(FORMS)) -> Doc:
    """A rule for the request of `scene` and no other one; its id is still without a number, and it has no reply yet.

    `forms` is what makes no difference.
    """
    return {
        "id": _slug(mask_shapes(scene.words or scene.texts["last"])),
        "when": {"model": _literal(scene.came.selector or scene.model), "hash": scene.digest(forms)},
        "seen": _seen(scene, forms),
    }


def reply_doc(reply: Reply, model: str, times_s: Sequence[float]) -> Doc:
    """An answer as the script says it. `model` was asked for; `times_s` are the moments when its pieces came."""
    doc: Doc = {"blocks": list(_blocks(reply))}
    usage = _usage(reply.usage)
    if usage:
        doc["usage"] = usage
    doc["finish"] = _FINISHES[reply.finish]
    if reply.model and reply.model != model:
        doc["model"] = reply.model
    if times_s:
        gaps = [later - earlier for earlier, later in pairwise(times_s)]
        doc["timing"] = [_ms(times_s[0]), _ms(sorted(gaps)[len(gaps) // 2] if gaps else 0.0)]
    return doc


def fingerprint(reply: Doc) -> str:
    """What a recorded reply says, as a short word: it changes when somebody edits the reply."""
    said = {key: value for key, value in reply.items() if key not in ("exact", "timing")}
    return hashlib.blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=6).hexdigest()


def same_answer(mine: Doc, other: Doc) -> bool:
    """Whether two recorded replies say the same, whatever the time they took."""
    return fingerprint(mine) == fingerprint(other)


def short_hash(value: Any) -> str:
    """A value as a short word, for people to see that something changed."""
    return hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=4).hexdigest()


def _seen(scene: Scene, forms: tuple[str, ...]) -> Doc:
    """What people, and the search for drift, want to know of the request. It is never matched."""
    asked = asked_of(scene.request, forms)
    seen: Doc = {"surface": scene.surface, "user": mask_shapes(scene.words)[:_SEEN_CHARACTERS]}
    seen |= {"turn": scene.turn, "step": scene.step, "system_sha": short_hash(asked["system"])}
    if scene.tools:
        seen |= {"tools_sha": short_hash(asked["tools"]), "tools": list(scene.tools)}
    return seen


def _blocks(reply: Reply) -> Iterator[Doc]:
    for part in reply.parts:
        match part:
            case Thinking(text) if text:
                yield {"think": plain(text)}
            case Text(text) | Refusal(text) if text:
                yield {"say": plain(text)}
            case ToolCall():
                yield {"call": {part.name: _arguments(part.arguments)}}


def _arguments(text: str) -> Any:
    """The arguments of a call as a map; as they stand when they are none."""
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        found = None
    return plain_all(found) if isinstance(found, dict) else plain(text)


def plain(text: str) -> str:
    """A text in which nothing is a template."""
    return text.replace("${", "$${")


def plain_all(value: Any) -> Any:
    """A JSON value in which nothing is a template."""
    match value:
        case str():
            return plain(value)
        case list():
            return [plain_all(item) for item in value]
        case dict():
            return {key: plain_all(item) for key, item in value.items()}
    return value


def _usage(usage: Usage) -> Doc:
    """The numbers that can be true: a part is not larger than its whole."""
    read, written, cached, reasoning = map(_count, (usage.input, usage.output, usage.cache_read, usage.reasoning))
    told = {"input": read, "output": written}
    if cached is not None and cached <= (read or 0):
        told["cached"] = cached
    if reasoning is not None and reasoning <= (written or 0):
        told["reasoning"] = reasoning
    return {name: count for name, count in told.items() if count is not None}


def _count(told: object) -> int | None:
    """A number of tokens; None when a provider has told something else."""
    return told if isinstance(told, int) and not isinstance(told, bool) and 0 <= told <= 2**53 else None


def _ms(seconds: float) -> str:
    return f"{max(0, round(seconds * 1000))}ms"


def _literal(model: str) -> str:
    """A model's name as a glob that fits nothing else."""
    return re.sub(r"([*?\[])", r"[\1]", model)


def _slug(text: str) -> str:
    words = _NO_SLUG.sub("-", text.lower()).strip("-")
    return words[:_SLUG_CHARACTERS].rstrip("-") or "request"
