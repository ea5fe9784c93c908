"""`multipart/form-data` (RFC 7578), written around a file that is not in memory."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from otari.domain.ports import Body

_MEDIA = re.compile(r"[!#$&^_.+0-9A-Za-z-]{1,127}/[!#$&^_.+0-9A-Za-z-]{1,127}(?:;[\x20-\x7e]{0,256})?")
_UNKNOWN = "application/octet-stream"


class File(NamedTuple):
    """A file of a form: its field, its own name, what it is (None: not told), and its bytes."""

    field: str
    name: str
    content_type: str | None
    body: Body


class Form:
    """A form as a body: fields in their order, then one file. `boundary` must occur in none of them."""

    def __init__(self, fields: Sequence[tuple[str, str]], file: File, boundary: str) -> None:
        self.fields = tuple(fields)
        self.file = file
        self.content_type = f"multipart/form-data; boundary={boundary}"
        told = file.content_type
        kind = told if told is not None and _MEDIA.fullmatch(told) else _UNKNOWN
        parts = [f"--{boundary}\r\n{_disposition(name)}\r\n{value}\r\n" for name, value in fields]
        named = _disposition(file.field, f'; filename="{_quoted(file.name)}"')
        parts.append(f"--{boundary}\r\n{named}Content-Type: {kind}\r\n\r\n")
        self._start = "".join(parts).encode("utf-8", "replace")
        self._end = f"\r\n--{boundary}--\r\n".encode()

    @property
    def size(self) -> int:
        """See `Body`."""
        return len(self._start) + self.file.body.size + len(self._end)

    def pieces(self) -> Iterator[bytes]:
        """See `Body`."""
        yield self._start
        yield from self.file.body.pieces()
        yield self._end


def _disposition(name: str, more: str = "") -> str:
    return f'Content-Disposition: form-data; name="{_quoted(name)}"{more}\r\n'


def _quoted(text: str) -> str:
    """A name between quotes, as browsers write it (HTML, "multipart/form-data encoding algorithm")."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
