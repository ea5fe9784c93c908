"""The three ways to test a text (contains, equals, regex), tests of numbers, and how a script writes both."""

import operator
import re
from collections.abc import Callable, Mapping

from otari.upstreams.stub.fields import Problems, text_of
from otari.upstreams.stub.normal import squeezed
from otari.upstreams.stub.patience import search
from otari.upstreams.stub.rules import Bound, Comparison, Pattern

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_NO_REGEX = (
    "a pattern that begins with / is a regular expression and ends with / and flags out of i, m, s, x; "
    'to find a text that begins with / write it as "/\\/…/"'
)
_BOUND = re.compile(r"(?P<comparison>>=|<=|==|>|<)\s*(?P<number>\d+)")
_COMPARE: Mapping[Comparison, Callable[[int, int], bool]] = {
    "==": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


def read_pattern(value: object, path: str, problems: Problems) -> Pattern | None:
    """`text` contains, `=text` equals, `/re/flags` is a regular expression (flags i, m, s, x)."""
    text = text_of(value, path, problems)
    if text is None:
        return None
    if not text:
        problems.note(path, 'is empty and would fit every text; leave it out, or write "=" for "no text"')
        return None
    if text.startswith("="):
        return Pattern("equals", text[1:])
    if text.startswith("/"):
        return _regex(text, path, problems)
    return Pattern("contains", text)


def _regex(text: str, path: str, problems: Problems) -> Pattern | None:
    end = text.rfind("/")
    flags = text[end + 1 :]
    if end == 0 or not set(flags) <= set(_FLAGS):
        problems.note(path, _NO_REGEX)
        return None
    number = 0
    for flag in flags:
        number |= _FLAGS[flag]
    try:
        regex = re.compile(text[1:end], number)
    except (re.error, OverflowError, RecursionError) as error:
        problems.note(path, f"is not a regular expression: {error}")
        return None
    return Pattern("regex", text, regex)


def fits(pattern: Pattern, text: str, groups: dict[str, str]) -> bool:
    """Whether `text` passes. In plain texts, any run of white space is as good as another.

    What named groups caught is added to `groups` (a group that took no part is ""). Raises TooSlow for a regular
    expression that does not come to an end.
    """
    match pattern.operator:
        case "contains":
            return pattern.text in text or (pattern.spaced and squeezed(pattern.text) in squeezed(text))
        case "equals":
            return pattern.text == text or squeezed(pattern.text).strip() == squeezed(text).strip()
        case "regex":
            assert pattern.regex is not None
            found = search(pattern.regex, text)
            if found is None:
                return False
            groups.update({name: value or "" for name, value in found.groupdict().items()})
            return True


def read_bound(value: object, path: str, problems: Problems) -> Bound | None:
    """A whole number, or text such as ">=2"."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Bound("==", value)
    found = _BOUND.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        problems.note(path, 'must be a whole number from 0 on, or a comparison such as ">=2"')
        return None
    for comparison in _COMPARE:
        if comparison == found["comparison"]:
            return Bound(comparison, int(found["number"]))
    raise AssertionError(f"no comparison for {value!r}")


def holds(bound: Bound, number: int) -> bool:
    """Whether `number` passes."""
    return _COMPARE[bound.comparison](number, bound.number)
