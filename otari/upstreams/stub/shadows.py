"""Rules that can never answer, because one before them fits whatever they fit. What is not sure is not told."""

from collections.abc import Iterable, Iterator, Mapping

from otari.upstreams.stub.rules import Bound, Pattern, Rule, When
from otari.upstreams.stub.script import Script


def shadowed(script: Script) -> Iterator[tuple[str, str]]:
    """Every rule that can never answer, with the one that stands in its light."""
    for number, rule in enumerate(script.rules):
        before = next((other for other in script.rules[:number] if _hides(other, rule)), None)
        if before is not None:
            yield rule.id, before.id


def _hides(first: Rule, second: Rule) -> bool:
    """Whether `first` answers every request that fits `second`. Rules with an end to their answers do not."""
    endless = not first.stepped and first.sequence in ("", "last", "loop")
    return endless and _covers(first.when, second.when)


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
        if pattern.regex is not None and other.operator == "equals" and pattern.regex.search(other.text):
            return True
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
