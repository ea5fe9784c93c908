"""What one request asks differently from another one that was recorded, told by the first place that differs."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from otari.domain.chat import Doc
from otari.domain.redaction import mask_shapes
from otari.upstreams.stub.normal import normalized
from otari.upstreams.stub.rules import Exact, Rule

# In which order the parts of a request are looked at; all others come behind, and these tell nothing.
_FIRST = ("system", "instructions", "messages", "input", "contents", "tools")
_NOTHING = frozenset(
    {
        *("model", "stream", "stream_options", "metadata", "user", "store", "max_tokens", "max_completion_tokens"),
        *("max_output_tokens", "prompt_cache_key", "client_metadata", "reasoning", "thinking", "service_tier"),
    }
)
_IDS = frozenset({"id", "call_id", "tool_call_id", "tool_use_id", "signature", "encrypted_content", "cache_control"})
_MISSING = object()


class Difference(NamedTuple):
    """Where two requests differ first, and what stands there."""

    place: str
    recorded: Any
    asked: Any


def closest(rules: Iterable[Rule], body: Doc, dialect: str) -> tuple[Rule, Difference] | None:
    """The recording that goes along with a request for longest, and where it leaves it; None when there is none.

    The same question to another model is the nearest of all.
    """
    best: tuple[int, Rule, Difference] | None = None
    for rule in rules:
        exact = _exact(rule, dialect)
        if exact is None:
            continue
        found = first_difference(exact.request, body)
        if found is None:
            other = _other_model(rule, body)
            if other is not None:
                return rule, other
            continue
        common = _common(exact.request, body)
        if best is None or common > best[0]:
            best = (common, rule, found)
    return None if best is None else (best[1], best[2])


def first_difference(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> Difference | None:
    """The first place that differs, or None."""
    keys = [*_FIRST, *sorted((recorded.keys() | asked.keys()) - {*_FIRST, *_NOTHING})]
    for key in keys:
        found = next(_differences(recorded.get(key, _MISSING), asked.get(key, _MISSING), key), None)
        if found is not None:
            return found
    return None


def shown(value: Any) -> str:
    """A value of a difference in a few words."""
    if value is _MISSING or value is None:
        return "nothing"
    text = value if isinstance(value, str) else f"{type(value).__name__} {value}"
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _differences(recorded: Any, asked: Any, place: str) -> Iterator[Difference]:
    match recorded, asked:
        case str(), str():
            if normalized(recorded) != normalized(mask_shapes(asked)):  # what looks like a secret was recorded masked
                yield Difference(place, recorded, asked)
        case dict(), dict():
            for key in [*recorded, *(key for key in asked if key not in recorded)]:
                if key not in _IDS:
                    yield from _differences(recorded.get(key, _MISSING), asked.get(key, _MISSING), f"{place}.{key}")
        case list(), list():
            for number in range(max(len(recorded), len(asked))):
                mine = recorded[number] if number < len(recorded) else _MISSING
                other = asked[number] if number < len(asked) else _MISSING
                yield from _differences(mine, other, f"{place}[{number}]")
        case _ if recorded != asked:
            yield Difference(place, recorded, asked)


def _other_model(rule: Rule, body: Doc) -> Difference | None:
    """The model that is asked, when it is not the recorded one."""
    asked = str(body.get("model", ""))
    if not rule.when.model or any(fnmatchcase(asked, glob) for glob in rule.when.model):
        return None
    return Difference("model", " or ".join(rule.when.model), asked)


def _common(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> int:
    """How many messages both begin with."""
    for key in ("messages", "input", "contents"):
        mine, other = recorded.get(key), asked.get(key)
        if isinstance(mine, list) and isinstance(other, list):
            pairs = zip(mine, other, strict=False)
            return sum(1 for _ in _while_equal(pairs))
    return 0


def _while_equal(pairs: Iterable[tuple[Any, Any]]) -> Iterator[None]:
    for mine, other in pairs:
        if next(_differences(mine, other, ""), None) is not None:
            return
        yield None


def _exact(rule: Rule, dialect: str) -> Exact | None:
    """The recorded bytes of a rule's first answer, if they are of this dialect."""
    exact = rule.answers[0].exact if rule.answers else None
    return exact if exact is not None and exact.dialect == dialect else None
