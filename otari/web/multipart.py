"""Forms with files, read part by part as they arrive: nothing of a file is kept here, and everything has a limit.

aiohttp has a reader of its own. It is not used because it walks parts without end, follows nested forms, undoes
encodings of single parts, and tells what is malformed by assertions and warnings.
"""

import asyncio
import time
from collections.abc import AsyncIterator

from aiohttp import web

from otari.domain.errors import Kind, OtariError, invalid
from otari.web.form_parts import Malformed, PartHead, Piece, Splitter, boundary_of
from otari.web.visit import Visit, unknown_encoding

FORM = "multipart/form-data"
PARTS_MAX = 64
FIELD_MAX_BYTES = 64 * 1024
OVERHEAD_BYTES = 1024 * 1024  # of a form around its file: the fields, the headers of parts, the boundaries
_PATIENCE_S = 30.0
_MIN_BYTES_PER_S = 32 * 1024


class Part:
    """One part of a form. Read it with `chunks` or `text` before the next one is asked for; what is left is skipped."""

    def __init__(self, head: PartHead, form: "Form") -> None:
        self.name = head.name
        self.filename = head.filename  # None: a plain field
        self.media_type = head.media_type
        self._form = form
        self._whole = False

    @property
    def shown_name(self) -> str:
        """The name for an error: the client's own word, in a form that can do no harm."""
        return "".join(char if char.isprintable() else "?" for char in self.name[:100])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the part as they arrive. Raises OtariError as `Form` does."""
        while not self._whole:
            piece = await self._form.next_piece()
            if isinstance(piece, bytes):
                yield piece
            else:
                self._whole = True

    async def text(self) -> str:
        """A plain field. Raises OtariError(INVALID) for a file, for more than 64 KiB, and for what is not UTF-8."""
        if self.filename is not None:
            raise invalid(f"The field '{self.shown_name}' must be plain text, not a file", self.shown_name)
        value = bytearray()
        async for chunk in self.chunks():
            value += chunk
            if len(value) > FIELD_MAX_BYTES:
                raise invalid(f"The field '{self.shown_name}' is longer than {FIELD_MAX_BYTES} bytes", self.shown_name)
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise invalid(f"The field '{self.shown_name}' is not UTF-8 text", self.shown_name) from None


class Form:
    """The body of a request as a form: iterate it for its parts.

    Raises OtariError, when it is made or while it is read: UNSUPPORTED_MEDIA for another content type or an unknown
    encoding, TOO_LARGE for a body of more than `most` bytes (unpacked ones), REQUEST_TIMEOUT when it does not arrive,
    INVALID when it breaks off or is no form.
    """

    def __init__(self, visit: Visit, most: int) -> None:
        request = visit.request
        content_type = request.headers.get("Content-Type", "")
        if content_type.partition(";")[0].strip().lower() != FORM:
            raise OtariError(Kind.UNSUPPORTED_MEDIA, f"Send the body as a form: {FORM}", param="Content-Type")
        if request.headers.get("Content-Encoding", "identity").lower() not in ("identity", "gzip", "deflate", ""):
            raise unknown_encoding()
        self._most = most
        if (request.content_length or 0) > most:
            raise self._too_large()
        try:
            self._splitter = Splitter(boundary_of(content_type), PARTS_MAX)
        except Malformed as error:
            raise _malformed(error) from None
        self._request = request
        self._pieces: list[Piece] = []  # the next one last
        self._received = 0
        self._began = time.monotonic()
        self._last: Part | None = None

    async def __aiter__(self) -> AsyncIterator[Part]:
        while (piece := await self.next_piece()) is not None:
            if isinstance(piece, PartHead):
                part = Part(piece, self)
                yield part
                async for _ in part.chunks():
                    pass

    async def next_piece(self) -> Piece | None:
        """The next of what the splitter finds; None at the end of the form."""
        while not self._pieces:
            data = await self._receive()
            try:
                if not data:
                    self._splitter.end()
                    return None
                self._pieces = [*self._splitter.feed(data)][::-1]
            except Malformed as error:
                raise _malformed(error) from None
        return self._pieces.pop()

    async def _receive(self) -> bytes:
        """The next bytes of the body, b"" at its end. A slow sender is borne as long as bytes keep coming."""
        deadline = self._began + _PATIENCE_S + self._received / _MIN_BYTES_PER_S
        try:
            async with asyncio.timeout(min(_PATIENCE_S, deadline - time.monotonic())):
                data = await self._request.content.readany()
        except TimeoutError:
            raise OtariError(Kind.REQUEST_TIMEOUT, "The request body did not arrive in time") from None
        except (web.RequestPayloadError, ValueError):
            raise invalid("The request body could not be read: it broke off, or its encoding is damaged") from None
        self._received += len(data)
        if self._received > self._most:
            raise self._too_large()
        return data

    def _too_large(self) -> OtariError:
        return OtariError(
            Kind.TOO_LARGE, f"The request body is larger than {self._most} bytes", code="request_too_large"
        )


def _malformed(error: Malformed) -> OtariError:
    return invalid(f"The request body is not a valid form: {error}", code="invalid_form")
