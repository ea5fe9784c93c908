"""Lists come in pages: how many to skip and to give at most, and from behind which entry on."""

from typing import TypeVar

from otari.domain.errors import Kind, OtariError

T = TypeVar("T")

LIMIT_MAX = 1_000
BEFORE_ALL = (-(2**62), "")  # in front of every entry that is ordered by its time and its id


def bounded(skip: int, limit: int) -> tuple[int, int]:
    """Limit and skip, in the order of SQL. Raises OtariError(UNPROCESSABLE) for a page that nobody may ask for."""
    if not 1 <= limit <= LIMIT_MAX:
        raise OtariError(Kind.UNPROCESSABLE, f"'limit' must be from 1 to {LIMIT_MAX}", param="limit")
    if not 0 <= skip < 2**63:
        raise OtariError(Kind.UNPROCESSABLE, "'skip' must not be negative or huge", param="skip")
    return limit, skip


def known_place(found: T | None) -> T:
    """The entry that `after` names. Raises OtariError(UNPROCESSABLE) when there is none: its place is not known."""
    if found is None:
        raise OtariError(Kind.UNPROCESSABLE, "'after' is not the id of an entry of this list", param="after")
    return found
