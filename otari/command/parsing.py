"""Reading the words behind a noun: options that all verbs share, and words that stand for amounts and times."""

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import orjson

from otari.command.trouble import EXIT_WRONG_WORDS, wrong

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d{1,9})([smhdw])")
_EPOCH_S = re.compile(r"-?\d{1,12}(\.\d{1,6})?")
_MAX_USD = 9_000_000_000  # the ledger's columns end here
_LAST_MS = 253_402_300_799_999  # the end of the year 9999


class Parser(argparse.ArgumentParser):
    """argparse with our one-line errors."""

    def __init__(self, **more: Any) -> None:
        super().__init__(add_help=False, allow_abbrev=False, **more)

    def error(self, message: str) -> NoReturn:
        line = " ".join(message.split())
        sys.stderr.write(f"otari: {line} (see --help)\n")
        raise SystemExit(EXIT_WRONG_WORDS)

    def optional(self, flag: str, dest: str, read: Callable[[str], Any]) -> None:
        """An option that leaves no trace when it is not given: None is a value, which clears what was there."""
        self.add_argument(flag, dest=dest, type=typed(read), default=argparse.SUPPRESS)


@dataclass(frozen=True, slots=True)
class Verb:
    """What can be done with a noun. `options` adds the words that it takes; `perform` does it, given the errand."""

    perform: Callable[[Any], None]
    options: Callable[[Parser], None] = lambda parser: None


def parse(noun: str, verbs: Mapping[str, Verb], words: list[str]) -> argparse.Namespace:
    """The options, `verb` among them; without a verb it is `list`. Ends the process when they can not be read."""
    parser = Parser(prog=f"otari.pyz {noun}")
    _add_shared(parser)
    choices = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    for name, verb in verbs.items():
        sub = choices.add_parser(name)
        _add_shared(sub)
        verb.options(sub)
    given = parser.parse_args(words)
    if given.verb is None:
        given = parser.parse_args([*words, "list"])
    shared = {"config": None, "url": None, "json": False, "local": False}
    return argparse.Namespace(**{**shared, **vars(given)})


def _add_shared(parser: Parser) -> None:
    """The options of every verb; they may stand before it or behind it, so neither place has a default."""
    parser.add_argument("-c", "--config", default=argparse.SUPPRESS)
    parser.add_argument("--url", default=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    parser.add_argument("--local", action="store_true", default=argparse.SUPPRESS)


def id_argument(parser: Parser) -> None:
    """The verb takes the id of one thing."""
    parser.add_argument("id", metavar="ID")


def limit_option(parser: Parser) -> None:
    """The verb gives so many records at most; without the option all of them."""
    parser.add_argument("--limit", type=typed(count))


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the named options that were given."""
    return {name: value for name, value in vars(options).items() if name in names}


def some(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a change; Trouble when nobody has given any."""
    if not facts:
        raise wrong("nothing to change: say what (see --help)")
    return facts


# ---- words that stand for values; a ValueError's text is shown to the person who typed them ----


def typed(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """`read` as an argparse type: the text of its ValueError is the message."""

    def reading(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return reading


def number(text: str) -> Decimal:
    """A decimal number that is finite and not negative."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None
    if not amount.is_finite() or amount.is_signed() or len(text) > 40:
        raise ValueError(f"{text!r} is not a number from 0 on")
    return amount


def cap(text: str) -> Decimal | None:
    """An amount of USD that the ledger can hold exactly; `none` is no cap."""
    if text == "none":
        return None
    amount = number(text)
    if amount > _MAX_USD or amount * 10**9 != (amount * 10**9).to_integral_value():
        raise ValueError(f"{text!r} is not an amount of at most {_MAX_USD:,} USD, exact to 0.000000001")
    return amount


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def seconds(text: str) -> int | None:
    """A length of time in seconds: `3600`, `12h`, `30d`, `2w`; `none` is no length."""
    if text == "none":
        return None
    span = _SPAN.fullmatch(text)
    if span is not None:
        length = int(span[1]) * _UNITS_S[span[2]]
    else:
        length = int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0
    if length < 1:
        raise ValueError(f"{text!r} is not a length of time: write seconds, or 30m, 12h, 7d, 4w")
    return length


def yes_no(text: str) -> bool:
    """`yes` or `no`."""
    if text not in ("yes", "no"):
        raise ValueError(f"{text!r}: write yes or no")
    return text == "yes"


def translation(text: str) -> str | None:
    """`strict` or `lenient`; `none` is None (as the provider says)."""
    if text not in ("strict", "lenient", "none"):
        raise ValueError(f"{text!r}: write strict, lenient or none")
    return None if text == "none" else text


def words_or_none(text: str) -> list[str] | None:
    """Words parted by commas; `any` is None (no limit), the empty text is no word at all."""
    if text == "any":
        return None
    return [word.strip() for word in text.split(",") if word.strip()]


def metadata(text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        doc = orjson.loads(text)
    except orjson.JSONDecodeError:
        doc = None
    if not isinstance(doc, dict):
        raise ValueError('metadata is a JSON object, such as \'{"team": "search"}\'')
    return doc


def text_or_none(text: str) -> str | None:
    """A text; the empty one and `none` clear it."""
    return None if text in ("", "none") else text


def moment(text: str, now_ms: int, *, ahead: bool = False) -> int:
    """A point in time in epoch milliseconds: `2026-11-24T12:00+01:00`, a date, epoch seconds, `now`, `today`, `7d`.

    The last is a length of time: back from now, or ahead of it if `ahead`. Without an offset it is UTC. Raises Trouble.
    """
    if text == "now":
        return now_ms
    if text == "today":
        return now_ms // 86_400_000 * 86_400_000
    span = _SPAN.fullmatch(text)
    if span is not None:
        length_ms = int(span[1]) * _UNITS_S[span[2]] * 1000
        return _in_range(text, now_ms + length_ms if ahead else now_ms - length_ms)
    if _EPOCH_S.fullmatch(text):
        return _in_range(text, int(Decimal(text) * 1000))
    try:
        point = datetime.fromisoformat(text)
    except ValueError:
        raise _no_moment(text) from None
    point = point if point.tzinfo is not None else point.replace(tzinfo=UTC)
    return _in_range(text, round(point.timestamp() * 1000))


def _in_range(text: str, at_ms: int) -> int:
    if not 0 <= at_ms <= _LAST_MS:
        raise _no_moment(text)
    return at_ms


def _no_moment(text: str) -> Exception:
    return wrong(
        f"{text!r} is not a time: write 2026-11-24, 2026-11-24T12:00:00+01:00, epoch seconds, today, now, or 7d"
    )
