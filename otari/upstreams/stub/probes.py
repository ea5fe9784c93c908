"""Finding regular expressions that do not come to an end, before a request does."""

import re
from collections.abc import Iterator

from otari.upstreams.stub.patience import TooSlow, search
from otari.upstreams.stub.rules import Pattern, Rule, When
from otari.upstreams.stub.script import Script

_PROBE_S = 0.1
_LETTERS = re.compile(r"[A-Za-z0-9_ ]")


def slow_patterns(script: Script) -> Iterator[tuple[str, str]]:
    """Every rule and fault with a pattern that takes too long on a text of a few dozen letters, and the pattern."""
    conditions = [(rule.id, when) for rule in script.rules for when in _conditions(rule)]
    for name, when in (*conditions, *((fault.id, fault.when) for fault in script.faults)):
        for pattern in _in(when):
            if pattern.regex is not None and _is_slow(pattern.regex):
                yield name, pattern.text


def _is_slow(regex: re.Pattern[str]) -> bool:
    letters = {"a", "1", " ", *_LETTERS.findall(regex.pattern)}
    try:
        for letter in sorted(letters):
            search(regex, letter * 40 + "\n!", _PROBE_S)
    except TooSlow:
        return True
    return False


def _conditions(rule: Rule) -> Iterator[When]:
    yield rule.when
    yield from (answer.expect for answer in rule.answers if answer.expect)


def _in(when: When) -> Iterator[Pattern]:
    for patterns in (*when.texts.values(), *when.headers.values()):
        yield from patterns
    for place in when.body:
        if isinstance(place.wanted, Pattern):
            yield place.wanted
