"""Whether what was asked is what was expected: counts of requests, and their order."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from otari.domain.chat import Doc
from otari.upstreams.stub.patterns import fits
from otari.upstreams.stub.rules import Expectation
from otari.upstreams.stub.sessions import Entry


class Verdict(NamedTuple):
    """An expectation, how often it was seen, and whether that is as it should be."""

    expectation: Expectation
    seen: int

    @property
    def met(self) -> bool:
        """Whether the number is within what was expected."""
        most = self.expectation.most
        return self.expectation.least <= self.seen and (most is None or self.seen <= most)

    def doc(self) -> Doc:
        """As plain values."""
        return {"expected": told(self.expectation), "seen": self.seen, "met": self.met}


def matches(expectation: Expectation, entry: Entry) -> bool:
    """Whether an entry of the journal is one of those that are expected. Raises TooSlow."""
    if entry.result == "gateway" or (entry.aside and expectation.rule != entry.rule):
        return False
    if expectation.rule and (expectation.rule != entry.rule or entry.result == "miss"):
        return False
    return (
        _any_glob(expectation.model, entry.model)
        and _any_glob(expectation.session, entry.session)
        and set(expectation.tools) <= set(entry.tools)
        and all(fits(pattern, entry.user, {}) for pattern in expectation.user)
        and all(
            entry.headers.get(name) is not None and all(fits(p, entry.headers[name], {}) for p in patterns)
            for name, patterns in expectation.headers.items()
        )
    )


def judge(expect: Iterable[Expectation], entries: Sequence[Entry], *, in_order: bool = False) -> list[Verdict]:
    """Every expectation held against the journal.

    In order, what one of them expects must come after what the one before it does; each takes as few as it needs.
    Raises TooSlow.
    """
    verdicts, begin = [], 0
    for expectation in expect:
        found = [at for at in range(begin, len(entries)) if matches(expectation, entries[at])]
        if in_order and found:
            last = found[min(max(expectation.least, 1), len(found)) - 1]
            begin = last + 1
        verdicts.append(Verdict(expectation, len(found)))
    return verdicts


def told(expectation: Expectation) -> str:
    """An expectation in a few words."""
    facts = [f"rule {expectation.rule}"] if expectation.rule else []
    facts += [f"model {' or '.join(expectation.model)}"] if expectation.model else []
    facts += [f"session {' or '.join(expectation.session)}"] if expectation.session else []
    facts += [f"user {pattern.text}" for pattern in expectation.user]
    facts += [f"tools {', '.join(expectation.tools)}"] if expectation.tools else []
    facts += [f"header {name} {p.text}" for name, patterns in expectation.headers.items() for p in patterns]
    least, most = expectation.least, expectation.most
    count = str(least) if least == most else f"at least {least}" if most is None else f"{least} to {most}"
    return f"{count} × {', '.join(facts) or 'any request'}"


def _any_glob(globs: tuple[str, ...], text: str) -> bool:
    return not globs or any(fnmatchcase(text, glob) for glob in globs)
