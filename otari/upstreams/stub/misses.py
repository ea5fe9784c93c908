"""What is said of a request that no rule has an answer for: which rule came nearest, what differs, what to add."""

from collections.abc import Iterable, Iterator

import orjson

from otari.domain.errors import Kind, OtariError
from otari.upstreams.stub.differs import Difference
from otari.upstreams.stub.differs import shown as shown_value
from otari.upstreams.stub.matching import Miss
from otari.upstreams.stub.places import look, read_place, shown
from otari.upstreams.stub.rules import Pattern, Rule, When
from otari.upstreams.stub.scene import Scene

NO_RETRY = ("x-should-retry", "false")  # the public OpenAI and Anthropic clients obey it
_SHOWN = 60  # characters of a text that are shown
_MOST_TOOLS = 8


def missed(miss: Miss, scene: Scene) -> OtariError:
    """The error for a request that a strict script does not know: a 400, so that a missing rule shows at once.

    The client is told what differs and a rule to add. `detail`, which goes into logs and the ledger, holds no word of
    the conversation.
    """
    facts = f"surface {scene.surface}, model {scene.model}, turn {scene.turn}, step {scene.step}"
    if scene.tools:
        more = len(scene.tools) - _MOST_TOOLS
        facts += f", tools {', '.join(scene.tools[:_MOST_TOOLS])}" + (f" and {more} more" if more > 0 else "")
    told = "The stub's script has no reply for this request;"
    nearest = "it has no rules"
    if miss.rule:
        nearest = f"the nearest rule is {miss.rule!r}, where these do not hold: {', '.join(miss.failed)}"
    differs = f" ({difference(miss, scene)})" if miss.rule else ""
    return OtariError(
        Kind.INVALID,
        f"{told} {nearest}{differs}. It came as: {facts}. A rule that answers it:\n{suggestion(miss, scene)}",
        code="stub_miss",
        detail=f"{told} {nearest}. It came as: {facts}.",
        headers=(NO_RETRY,),
    )


def unrecorded(rule: str, where: Difference, scene: Scene) -> OtariError:
    """The error for a request that was not recorded: the nearest recording, and where it differs first."""
    told = f"No recording of this request; the nearest is {rule!r}, which differs first at {where.place}"
    return OtariError(
        Kind.INVALID,
        f"{told}: recorded {shown_value(where.recorded)}, asked {shown_value(where.asked)}. Record again, or take"
        f" `hash` out of that rule and say with `user` and `step` what it is for.",
        code="stub_miss",
        detail=f"{told}. It came as: surface {scene.surface}, model {scene.model}, step {scene.step}.",
        headers=(NO_RETRY,),
    )


def too_slow(pattern: str) -> OtariError:
    """The error for a script with a regular expression that does not come to an end on this request."""
    return OtariError(
        Kind.INVALID,
        f"The stub's script can not be used for this request: a pattern in it takes too long: /{pattern}/",
        code="stub_pattern_too_slow",
        headers=(NO_RETRY,),
    )


def difference(miss: Miss, scene: Scene) -> str:
    """The first condition that did not hold: what was wanted, and what came."""
    name = miss.failed[0]
    if name in ("steps", "replies"):
        count = len(miss.nearest.answers) if miss.nearest else 0
        return f"all {count} {name} of it have been given"
    when, last = _when_of(miss.nearest, name), name.rpartition("expect.")[2]
    wanted = "" if when is None else " and ".join(_wanted(when, last))
    return f"{last}: wanted {wanted or 'something else'}, got {_got(last, scene)}"


def suggestion(miss: Miss, scene: Scene) -> str:
    """A rule in YAML that would answer the request: to paste into the script and make better."""
    nearest = miss.nearest
    if nearest is not None and nearest.stepped and miss.failed == ("steps",):
        return f"# one more step for rule {miss.rule}\n  - say: ok"
    conditions = []
    whole, user = scene.texts["user"].strip(), scene.words
    if user:
        begins = user.splitlines()[0][:_SHOWN]
        conditions.append(f"user: {_quoted(f'={user}' if begins == whole else begins)}")
    elif whole:
        conditions.append(f"user: {_quoted(whole.splitlines()[0][:_SHOWN])}")
    else:
        conditions.append("user: '='")
    if scene.turn:
        conditions.append(f"turn: {scene.turn}")
    if scene.step:
        conditions.append(f"step: {scene.step}")
    return f"- when: {{{', '.join(conditions)}}}\n  reply: ok"


def _when_of(rule: Rule | None, name: str) -> When | None:
    """The conditions that a failed name belongs to: those of the rule, or of one of its answers."""
    if rule is None or ".expect." not in name:
        return None if rule is None else rule.when
    return rule.answers[int(name[name.index("[") + 1 : name.index("]")])].expect


def _wanted(when: When, name: str) -> Iterator[str]:
    kind, _, rest = name.partition(".")
    if kind == "header":
        yield from _patterns(when.headers.get(rest, ()))
    elif kind == "body":
        for place in when.body:
            if place.path == rest:
                yield from _patterns([place.wanted]) if isinstance(place.wanted, Pattern) else [repr(place.wanted)]
    elif kind in when.texts:
        yield from _patterns(when.texts[kind])
    elif kind in ("turn", "step"):
        bound = when.turn if kind == "turn" else when.step
        if bound is not None:
            yield f"{bound.comparison} {bound.number}"
    elif kind == "hash":
        yield when.digest
    elif kind == "stream":
        yield str(when.stream).lower()
    else:
        yield ", ".join(getattr(when, kind, ()))


def _patterns(patterns: Iterable[Pattern]) -> Iterator[str]:
    for pattern in patterns:
        yield pattern.text if pattern.operator == "regex" else f"{pattern.operator} {_quoted(pattern.text)}"


def _got(name: str, scene: Scene) -> str:
    kind, _, rest = name.partition(".")
    match kind:
        case "header":
            value = scene.came.headers.get(rest)
            return "none" if value is None else _quoted(value)
        case "body":
            return _quoted(shown(look(scene.body, read_place(rest) or ())))
        case "tools":
            return ", ".join(scene.tools) or "none"
        case "has":
            return ", ".join(sorted(scene.features)) or "none"
        case "session":
            return scene.came.session
        case "key":
            return "another key"
        case "hash":
            return "another request"
        case "stream":
            return str(scene.stream).lower()
        case "surface" | "model" | "turn" | "step":
            return str(getattr(scene, kind))
        case "user":
            return _quoted(scene.words or scene.texts["user"])
    return _quoted(scene.texts.get(kind, ""))


def _quoted(text: str) -> str:
    """A text as JSON, which is YAML too, cut to a readable length."""
    return orjson.dumps(text if len(text) <= _SHOWN else text[:_SHOWN] + "…").decode()
