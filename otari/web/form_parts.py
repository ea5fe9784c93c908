"""multipart/form-data, from bytes to parts: a splitter that is fed a body in pieces, cut anywhere.

It knows RFC 2046 (5.1), RFC 7578 and how the clients of our time escape a file name. What it can not be sure about it
refuses: a form is read by one program here, and nobody shall be able to hide something from it that another would see.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

HEAD_MAX_BYTES = 8 * 1024
_AROUND_MAX_BYTES = 8 * 1024  # of what may stand before the first boundary, and behind the last
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_PARAMETER = re.compile(r'[ \t]*;[ \t]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^"; \t]*)')
_ESCAPED = re.compile(r'\\(["\\])')
_PLAIN = ("7bit", "8bit", "binary")


class Malformed(ValueError):
    """A form that can not be read; the text says why, and repeats nothing of it."""


class PartHead(NamedTuple):
    """A part begins. `filename` is None for a plain field; `media_type` as it was declared, None when it was not."""

    name: str
    filename: str | None = None
    media_type: str | None = None


class PartEnd(NamedTuple):
    """The part is whole."""


Piece = PartHead | bytes | PartEnd


def boundary_of(content_type: str) -> bytes:
    """The boundary in a `multipart/form-data` header. Raises Malformed when there is none that can be used."""
    _, semicolon, rest = content_type.partition(";")
    value = _parameters(semicolon + rest).get("boundary", "")
    if not _BOUNDARY.fullmatch(value):
        raise Malformed("the Content-Type names no usable boundary")
    return value.encode()


class Splitter:
    """Splits one body; `feed` it in order, then `end` it. Raises Malformed from both, and is of no use afterwards."""

    def __init__(self, boundary: bytes, max_parts: int) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._max_parts = max_parts
        self._parts = 0
        self._waiting = b"\r\n"  # the first boundary may stand at the very beginning
        self._state = self._preamble
        self._around = 0

    def feed(self, data: bytes) -> Iterable[Piece]:
        """What the next bytes of the body bring."""
        self._waiting = self._waiting + data if self._waiting else data
        out: list[Piece] = []
        while self._state(out):
            pass
        return out

    def end(self) -> None:
        """The body has ended."""
        if self._state != self._epilogue:
            raise Malformed("it ends before its last boundary")

    # Each state takes what it can from what is waiting, and says whether another one may go on with the rest.

    def _preamble(self, out: list[Piece]) -> bool:
        at = self._waiting.find(self._delimiter)
        if at < 0:
            self._drop_around(len(self._waiting) - len(self._delimiter) + 1)
            return False
        self._drop_around(at)
        self._waiting = self._waiting[len(self._delimiter) :]
        self._state = self._behind_delimiter
        return True

    def _body(self, out: list[Piece]) -> bool:
        at = self._waiting.find(self._delimiter)
        if at < 0:
            keep = len(self._delimiter) - 1
            if len(self._waiting) > keep:
                out.append(self._waiting[:-keep])
                self._waiting = self._waiting[-keep:]
            return False
        if at:
            out.append(self._waiting[:at])
        out.append(PartEnd())
        self._waiting = self._waiting[at + len(self._delimiter) :]
        self._state = self._behind_delimiter
        return True

    def _behind_delimiter(self, out: list[Piece]) -> bool:
        rest = self._waiting.lstrip(b" \t")
        if len(self._waiting) - len(rest) > HEAD_MAX_BYTES:
            raise Malformed("a boundary is followed by too many blanks")
        if len(rest) < 2:
            return False
        if self._waiting.startswith(b"--"):
            self._waiting = self._waiting[2:]
            self._state = self._epilogue
            return True
        if not rest.startswith(b"\r\n"):
            raise Malformed("a line begins with the boundary and goes on")
        self._waiting = rest
        self._state = self._head
        return True

    def _head(self, out: list[Piece]) -> bool:
        at = self._waiting.find(b"\r\n\r\n")
        if at > HEAD_MAX_BYTES or (at < 0 and len(self._waiting) > HEAD_MAX_BYTES):
            raise Malformed(f"the headers of a part are longer than {HEAD_MAX_BYTES} bytes")
        if at < 0:
            return False
        self._parts += 1
        if self._parts > self._max_parts:
            raise Malformed(f"it has more than {self._max_parts} parts")
        out.append(_read_head(self._waiting[2:at]))
        self._waiting = self._waiting[at + 2 :]
        self._state = self._opening
        return True

    def _opening(self, out: list[Piece]) -> bool:
        """The blank line behind the headers; in a part that has nothing else it belongs to the next boundary."""
        if len(self._waiting) < len(self._delimiter):
            return False
        if not self._waiting.startswith(self._delimiter):
            self._waiting = self._waiting[2:]
        self._state = self._body
        return True

    def _epilogue(self, out: list[Piece]) -> bool:
        self._drop_around(len(self._waiting))
        return False

    def _drop_around(self, count: int) -> None:
        if count > 0:
            self._around += count
            self._waiting = self._waiting[count:]
        if self._around > _AROUND_MAX_BYTES:
            raise Malformed("there is too much before its first boundary or behind its last")


def _read_head(lines: bytes) -> PartHead:
    headers: dict[str, str] = {}
    for line in _lines(lines):
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip() or name in headers:
            raise Malformed("a header of a part is malformed, or stands twice")
        headers[name] = value.strip(" \t")
    kind, semicolon, rest = headers.get("content-disposition", "").partition(";")
    if kind.strip().lower() != "form-data":
        raise Malformed("a part has no Content-Disposition: form-data")
    if headers.get("content-transfer-encoding", "binary").lower() not in _PLAIN:
        raise Malformed("a part has a Content-Transfer-Encoding: send it as it is")
    told = _parameters(semicolon + rest)
    if not told.get("name"):
        raise Malformed("a part has no name")
    return PartHead(told["name"], _filename(told), headers.get("content-type") or None)


def _lines(head: bytes) -> Iterator[str]:
    text = head.decode("utf-8", "replace")
    for line in text.split("\r\n") if text else ():
        if any(not char.isprintable() and char != "\t" and ord(char) < 128 for char in line):
            raise Malformed("a header of a part holds control characters")
        yield line


def _parameters(text: str) -> dict[str, str]:
    """The `; name=value` parts of a header. Raises Malformed for anything else, and for a name that stands twice."""
    told: dict[str, str] = {}
    at = 0
    while match := _PARAMETER.match(text, at):
        name, value = match[1].lower(), match[2]
        if name in told:
            raise Malformed("a parameter of a header stands twice")
        told[name] = _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value
        at = match.end()
    if text[at:].strip(" \t;"):
        raise Malformed("a header has parameters that can not be read")
    return told


def _filename(told: dict[str, str]) -> str | None:
    """The name of a file: plain, with quotes escaped as browsers do, or in the form of RFC 5987."""
    if extended := told.get("filename*"):
        charset, _, rest = extended.partition("'")
        if charset.lower() != "utf-8" or "'" not in rest:
            raise Malformed("a file name is in an encoding that is not UTF-8")
        return unquote_to_bytes(rest.partition("'")[2]).decode("utf-8", "replace")
    name = told.get("filename")
    return None if name is None else name.replace("%22", '"')
