"""What holds for all rules of a script, and how it is read."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Literal, cast

from otari.upstreams.stub.answers import read_pace
from otari.upstreams.stub.fields import Fields, word_of
from otari.upstreams.stub.normal import FORMS
from otari.upstreams.stub.rules import Pace

CLOCK = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
Fallback = Literal["ok", "echo", "lorem"]
TokenCount = Literal["approx", "o200k_base", "cl100k_base"]
SessionPlace = Literal["header", "path", "key"]
_PLACES: tuple[SessionPlace, ...] = ("header", "path", "key")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for all rules.

    `strict` makes a request that fits no rule an error; else `fallback` answers it. `clock` is the
    `created` time of every answer, in seconds since the epoch; None is the time of day. `tokens` says how tokens are
    counted. `session` says where the name of a session is looked for, in this order; `normalize` what makes no
    difference to the digest of a request.
    """

    strict: bool = True
    fallback: Fallback = "ok"
    seed: int = 0
    clock: int | None = CLOCK
    tokens: TokenCount = "approx"
    pace: Pace = field(default_factory=Pace)
    session: tuple[SessionPlace, ...] = _PLACES
    normalize: tuple[str, ...] = tuple(FORMS)


def read_defaults(fields: Fields) -> Defaults:
    """The defaults in the map `fields`, whose every key may be missing."""
    strict = fields.flag("strict")
    fallback = fields.word("fallback", ("ok", "echo", "lorem")) or "ok"
    tokens = fields.word("tokens", ("approx", "o200k_base", "cl100k_base")) or "approx"
    places = _words(fields, "session", _PLACES)
    forms = _words(fields, "normalize", FORMS)
    defaults = Defaults(
        strict=True if strict is None else strict,
        fallback=cast(Fallback, fallback),
        seed=fields.whole("seed") or 0,
        clock=_read_clock(fields),
        tokens=cast(TokenCount, tokens),
        pace=read_pace(fields, "stream"),
        session=_PLACES if places is None else cast("tuple[SessionPlace, ...]", places),
        normalize=tuple(FORMS) if forms is None else forms,
    )
    fields.done()
    return defaults


def _words(fields: Fields, name: str, known: Iterable[str]) -> tuple[str, ...] | None:
    """The words in the list under `name`, in its order; None when there is no list. It may be empty."""
    if not fields.has(name):
        fields.take(name)
        return None
    names = tuple(known)
    read = (word_of(item, names, path, fields.problems) for path, item in fields.items(name))
    return tuple(word for word in read if word is not None)


def _read_clock(fields: Fields) -> int | None:
    """A point in time: YAML gives one as a datetime or date, quoted it comes as text; `real` is the time of day.

    Without a zone it is UTC.
    """
    value = fields.take("clock")
    if value is None:
        return CLOCK
    if value == "real":
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        fields.note("clock", "must be a point in time such as 2026-01-01T00:00:00Z, or real")
        return CLOCK
    seconds = int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if seconds < 0:
        fields.note("clock", "must not be before 1970")
    return max(seconds, 0)
