"""Which part of a body a client wants, and whether it has it already: RFC 9110, sections 13 and 14."""

import re
from typing import NamedTuple

from otari.domain.errors import Kind, OtariError

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE | re.ASCII)
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


class Span(NamedTuple):
    """`length` bytes from `start` on."""

    start: int
    length: int


def wanted_span(header: str | None, size: int) -> Span | None:
    """The one range that a `Range` header asks for of `size` bytes; None = everything.

    Several ranges, and what is no range of bytes, are answered with everything, as the RFC allows. Raises OtariError
    (UNSATISFIABLE) for a range that lies behind the end.
    """
    match = _RANGE.fullmatch((header or "").replace(" ", ""))
    if match is None or not (match[1] or match[2]):
        return None
    first, last = match[1], match[2]
    if not first:  # the last so many bytes
        count = min(int(last), size)
        span = Span(size - count, count)
    elif last and int(last) < int(first):
        return None
    else:
        start = int(first)
        span = Span(start, min(int(last) + 1 if last else size, size) - start)
    if span.length <= 0:
        raise OtariError(
            Kind.UNSATISFIABLE,
            "The Range lies behind the end of the file",
            param="Range",
            headers=(("Content-Range", f"bytes */{size}"),),
        )
    return span


def names(header: str | None, tag: str) -> bool:
    """Whether `If-None-Match` (or `If-Range`) names this entity tag; `*` names any."""
    if header is None:
        return False
    return header.strip() == "*" or tag in _TAG.findall(header)
