"""Rules that can never answer, because one before them fits whatever they fit. What is not sure is not told."""

import re
from collections.abc import Iterable, Iterator, Mapping

from otari.upstreams.stub.patience import TooSlow, search
from otari.upstreams.stub.rules import Bound, Pattern, Rule, When
from otari.upstreams.stub.script import Script


def shadowed(script: Script) -> Iterator[tuple[str, str]]:
    """Every rule that can never answer, with the one that stands in its light."""
    endless: list[tuple[str, Rule]] = []  # those that answer again and again, with a word that what they hide must have
    for rule in script.rules:
        words = "\n".join(pattern.text for pattern in _patterns(rule.when))
        before = next((other for word, other in endless if word in words and _covers(other.when, rule.when)), None)
        if before is not None:
            yield rule.id, before.id
        if not rule.stepped and rule.sequence in ("", "last", "loop"):
            word = next((pattern.text for pattern in _patterns(rule.when) if pattern.regex is None), "")
            endless.append((word, rule))


def shadow_warnings(script: Script) -> Iterator[str]:
    """A line for every rule that can never answer."""
    for rule, before in shadowed(script):
        yield f"{script.places.get(rule, rule)}: rule {rule!r} can never answer: {before!r} fits all that it fits"


def _patterns(when: When) -> Iterator[Pattern]:
    for patterns in (*when.texts.values(), *when.headers.values()):
        yield from patterns


def _covers(wide: When, narrow: When) -> bool:
    """Whether everything that fits `narrow` fits `wide`."""
    return (
        _any_of(wide.surface, narrow.surface)
        and _any_of(wide.model, narrow.model)
        and _any_of(wide.session, narrow.session)
        and _any_of(wide.key, narrow.key)
        and _texts(wide.texts, narrow.texts)
        and _texts(wide.headers, narrow.headers)
        and set(wide.tools) <= set(narrow.tools)
        and set(wide.has) <= set(narrow.has)
        and set(wide.body) <= set(narrow.body)
        and _bound(wide.turn, narrow.turn)
        and _bound(wide.step, narrow.step)
        and wide.stream in (None, narrow.stream)
        and narrow.digest.startswith(wide.digest)
    )


def _any_of(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    return not wide or "*" in wide or (bool(narrow) and set(narrow) <= set(wide))


def _texts(wide: Mapping[str, tuple[Pattern, ...]], narrow: Mapping[str, tuple[Pattern, ...]]) -> bool:
    return all(_implied(pattern, narrow.get(name, ())) for name, patterns in wide.items() for pattern in patterns)


def _implied(pattern: Pattern, known: Iterable[Pattern]) -> bool:
    """Whether a text that fits all of `known` fits `pattern`, as far as can be seen without a text."""
    for other in known:
        if (other.operator, other.text) == (pattern.operator, pattern.text):
            return True
        if pattern.operator == "contains" and other.operator != "regex" and pattern.text in other.text:
            return True
        if pattern.regex is not None and other.operator == "equals" and _is_found(pattern.regex, other.text):
            return True
    return False


def _is_found(regex: re.Pattern[str], text: str) -> bool:
    try:
        return search(regex, text) is not None
    except TooSlow:
        return False


def _bound(wide: Bound | None, narrow: Bound | None) -> bool:
    if wide is None or wide == narrow:
        return True
    if narrow is None:
        return wide.comparison == ">=" and wide.number == 0
    low, high = _range(narrow)
    least, most = _range(wide)
    return least <= low and (most is None or (high is not None and high <= most))


def _range(bound: Bound) -> tuple[int, int | None]:
    """The least and the greatest number that pass; None is any."""
    match bound.comparison:
        case "==":
            return bound.number, bound.number
        case ">=":
            return bound.number, None
        case ">":
            return bound.number + 1, None
        case "<=":
            return 0, bound.number
    return 0, bound.number - 1
