"""The roll of a batch: whatever a provider's results hold, every line is answered once and none without a word."""

import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import NamedTuple

from otari.domain.batches import BatchAnswer, BatchLook, BatchState
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt
from otari.upstreams.status import refused

# What is said of a line that the provider left out, by the end of its batch: status, code and words.
EXPIRED = (504, "batch_expired", "The time of the batch was over before this line was answered.")
CANCELLED = (409, "batch_cancelled", "The batch was cancelled before this line was answered.")
FAILED = (502, "batch_failed", "The provider refused the batch as a whole.")
MISSING = (502, "batch_line_missing", "The provider's results hold no answer to this line.")
_LEFT_OUT: dict[BatchState, tuple[int, str, str]] = {"expired": EXPIRED, "cancelled": CANCELLED, "failed": FAILED}
_SPARE_LINES = 1_000  # that results may hold beside those that were asked for

log = logging.getLogger("otari.upstreams")


class Found(NamedTuple):
    """A line of results: what it says of which line of the batch it answers, and the answer.

    `answer` has no number yet.
    """

    name: object
    answer: BatchAnswer


UNREADABLE = Found(None, BatchAnswer(0, 502, None, *MISSING[1:]))


@contextmanager
def while_kept() -> Iterator[None]:
    """Around reading results. Providers keep them for some weeks: what is gone will not come back, and ends quietly.

    Its lines are told as missing.
    """
    try:
        yield
    except OtariError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise


def good(body: bytes) -> BatchAnswer:
    """The answer to a line that went well."""
    return BatchAnswer(0, 200, body, None, None)


def ended(how: tuple[int, str, str]) -> BatchAnswer:
    """The answer to a line that the provider says was not done."""
    status, code, message = how
    return BatchAnswer(0, status, None, code, message)


def refusal(attempt: Attempt, status: int, words: str, code: str | None = None) -> BatchAnswer:
    """The answer to a line that was refused as a request may be; `words` hold no known secret any more.

    What a client may see is what it would have seen had it asked for the line alone. `code` is the provider's word.
    """
    error = refused(status if 300 <= status <= 599 else 500, words, provider=attempt.provider)
    return BatchAnswer(0, error.status, None, error.code or code or error.kind.value, error.message)


async def each_once(
    attempt: Attempt, found: AsyncGenerator[Found, None], look: BatchLook, lines: int
) -> AsyncGenerator[BatchAnswer, None]:
    """One answer for every line from 1 to `lines`: the first that was found, or at the end why there is none.

    Raises OtariError(UPSTREAM) when there are far more results than lines.
    """
    answered = bytearray(lines + 1)
    strays = 0
    async with aclosing(found):
        async for name, answer in found:
            number = _number(name, lines)
            if number is None or answered[number]:
                strays += 1
                if strays > lines + _SPARE_LINES:
                    raise _too_many(attempt)
                continue
            answered[number] = 1
            yield answer._replace(number=number)
    missing = lines - sum(answered)
    if strays or missing:
        log.warning(
            "batch %s of %s: %d results belong to no line, %d of %d lines have none",
            *(look.remote_id, attempt.provider, strays, missing, lines),
        )
    for answer in _left_out(answered, look):
        yield answer


def _left_out(answered: bytearray, look: BatchLook) -> Iterator[BatchAnswer]:
    status, code, message = _LEFT_OUT.get(look.state, MISSING)
    words = look.error or message
    for number in range(1, len(answered)):
        if not answered[number]:
            yield BatchAnswer(number, status, None, code, words)


def _number(name: object, lines: int) -> int | None:
    """The line that a result names, when there is such a line."""
    if not isinstance(name, str) or not (name.isascii() and name.isdigit()) or len(name) > 9:
        return None
    number = int(name)
    return number if 1 <= number <= lines and str(number) == name else None


def _too_many(attempt: Attempt) -> OtariError:
    return OtariError(
        Kind.UPSTREAM,
        f"LLM provider error ('{attempt.provider}' gave results that belong to no line of the batch)",
        code="upstream_format",
        retryable=True,
        detail=f"{attempt.provider}: far more results than lines in the batch",
    )
