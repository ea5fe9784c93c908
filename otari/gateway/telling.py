"""How a picture or document in a request is told to one kind of model: as it stands, as data, as text, or not."""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from otari.dialects import attachments as parts
from otari.dialects import data_url
from otari.dialects.attachments import Attachment, Inline
from otari.domain.access import Principal
from otari.domain.catalog import ModelRef
from otari.domain.chat import Doc
from otari.domain.documents import LeftOut, Picture, Piece, Unreadable, kind_of, letters
from otari.domain.errors import Kind, OtariError
from otari.domain.files import StoredFile
from otari.domain.ports import Documents
from otari.domain.provider import Senses

EXTRACTED = "document extracted to text"
SHOWN = "document pages given as images"
DESCRIBED = "image described in text"
PAGES_DESCRIBED = "document pages described in text"
PAGES_LEFT_OUT = "document pages left out"
SEEN = ("image/png", "image/jpeg", "image/gif", "image/webp")
PICTURES_MAX = 20  # that are described for one request, and scanned pages that are shown
_FEW_LETTERS = 100  # for each page that is left out: what a scanner's maker writes on them
_PDF = "application/pdf"
_AT_ONCE_BYTES = 256 * 1024  # more is turned into base64, or back, beside the event loop


class Sight(NamedTuple):
    """What a model can be given. `own`: its provider speaks the client's dialect. `strict`: nothing may be lost."""

    senses: Senses
    own: bool
    strict: bool


class Held(NamedTuple):
    """A file of ours that a part refers to, with its bytes."""

    file: StoredFile
    data: bytes


class Asking(NamedTuple):
    """Whose request it is, for requests that are made on its behalf. `user` is whom it names."""

    principal: Principal
    user: str | None
    endpoint: str
    request_id: str


class Describing(Protocol):
    """Describes pictures."""

    async def text(self, picture: str, asking: Asking, *, is_page: bool = False) -> str:
        """What is to be seen in a picture, which is given by its URL (`data:` too), on behalf of a request; what is to
        be read, if it is a scanned page.

        Raises OtariError.
        """
        ...


class Teller:
    """Tells the parts of one request to one kind of model; `noted` names what was done to them.

    `documents` None: everything goes as it is. `describer` None: pictures for a model that sees none are refused.
    """

    def __init__(
        self, sight: Sight, ref: ModelRef, asking: Asking, documents: Documents | None, describer: Describing | None
    ) -> None:
        self.noted: list[str] = []
        self._sight = sight
        self._ref = ref
        self._asking = asking
        self._documents = documents
        self._describer = describer
        self._pictures = 0

    async def told(self, part: Doc, attachment: Attachment, held: Held | None) -> Sequence[Doc]:
        """What is told in the place of a part, nearly always one; the part itself when it stays as it is.

        Raises OtariError when it can not be told.
        """
        if self._documents is None:
            return [part if held is None else await _inline(part, held, held.file.media_type)]
        if attachment.kind == "image":
            return [await self._picture(part, attachment, held)]
        if held is None and self._stays(attachment):
            return [part]
        return await self._document(self._documents, part, attachment, held)

    def _stays(self, attachment: Attachment) -> bool:
        """Whether a document that is not a file of ours is told as it stands in the request."""
        senses, own, _ = self._sight
        if attachment.text is not None or attachment.file_id is not None:
            return True  # text already, or a file that only its provider knows
        if attachment.url is not None and not senses.documents:
            raise _refused(f"Model '{self._ref}' takes documents only as text, and this gateway fetches no addresses")
        return senses.documents and (own or "officedocument" not in (attachment.media_type or ""))

    async def _document(
        self, documents: Documents, part: Doc, attachment: Attachment, held: Held | None
    ) -> Sequence[Doc]:
        takes_pdf = self._sight.senses.documents
        name = _name(attachment, held)
        try:
            data = held.data if held is not None else await _decoded(attachment.data or "")
            kind = kind_of(data, held.file.media_type if held is not None else attachment.media_type)
            if kind == "image":
                raise Unreadable("is a picture: send it as one")
            if kind == "pdf" and takes_pdf:
                return [part if held is None else await _inline(part, held, _PDF)]
            if kind != "text":
                self._allow("only the text of a document")
            pieces = await documents.pieces(data, kind)
        except Unreadable as error:
            why = "" if takes_pdf else f". Model '{self._ref}' takes documents only as text"
            raise _refused(f"The file '{name}' {error}{why}") from None
        match pieces:
            case [str(text)]:
                if kind != "text":
                    self._note(EXTRACTED)
                return [parts.with_text(part, text, name, plain=kind == "text" and takes_pdf)]
        scanned = not any(isinstance(each, str) for each in pieces)
        return parts.with_pages(part, await self._pages(pieces, name), name, scanned=scanned)

    # ---- scanned pages ----

    async def _pages(self, pieces: Sequence[Piece], name: str) -> Sequence[str | Inline]:
        """A document whose pages, or some of them, are pictures."""
        given = self._sight.senses.images or self._describer is not None
        why = f"model '{self._ref}' takes no pictures"
        pieces = [LeftOut(each.page, why) if isinstance(each, Picture) and not given else each for each in pieces]
        left_out = [each for each in pieces if isinstance(each, LeftOut)]
        if len(left_out) > sum(map(_weight, pieces)):
            raise _refused(
                f"The file '{name}' consists of pictures, and page {left_out[0].page} can not be given:"
                f" {left_out[0].why}",
                code="unreadable_document" if given else "image_not_supported",
            )
        return [told for each in pieces for told in await self._piece(each)]

    async def _piece(self, piece: Piece) -> Sequence[str | Inline]:
        match piece:
            case LeftOut(page, why):
                self._note(PAGES_LEFT_OUT)
                return [f"-- Page {page} --\n[A picture that is left out: {why}]"]
            case Picture(page, media_type, data, turned):
                picture = Inline(media_type, await _encoded(data))
                head = f"-- Page {page}" + (f", turned by {turned} degrees --" if turned else " --")
                self._count()
                if self._sight.senses.images or self._describer is None:
                    self._note(SHOWN)
                    return [head, picture]
                self._note(PAGES_DESCRIBED)
                url = data_url.write(*picture)
                words = await self._describer.text(url, self._asking, is_page=True)
                return [f"{head}\n{words}\n-- End of page {page} --"]
            case text:
                self._note(EXTRACTED)
                return [text]

    # ---- pictures ----

    async def _picture(self, part: Doc, attachment: Attachment, held: Held | None) -> Doc:
        media_type = None if held is None else _seen(held)
        if self._sight.senses.images:
            return part if held is None or media_type is None else await _inline(part, held, media_type)
        if self._describer is None or (attachment.file_id is not None and held is None):
            raise _refused(
                f"Model '{self._ref}' takes no pictures: leave them out, or name a model that does",
                code="image_not_supported",
            )
        self._allow("only a description of a picture")
        self._count()
        self._note(DESCRIBED)
        if held is not None:
            url = data_url.write(media_type, await _encoded(held.data))
        else:
            url = attachment.url or _seen_url(attachment)
        return parts.with_description(part, await self._describer.text(url, self._asking))

    def _count(self) -> None:
        self._pictures += 1
        if self._pictures > PICTURES_MAX:
            raise _refused(
                f"More than {PICTURES_MAX} pictures would have to be described for model '{self._ref}', or shown in"
                " the place of pages"
            )

    def _allow(self, rest: str) -> None:
        """Something will be lost; before any work is done for it, it must be allowed."""
        if self._sight.strict:
            raise _refused(
                f"Model '{self._ref}' can be given {rest}. Nothing was sent, because translation is strict for this key"
                " or provider.",
                code="translation_loss",
            )

    def _note(self, what: str) -> None:
        if what not in self.noted:
            self.noted.append(what)


def _weight(piece: Piece) -> int:
    """How many pages that a model is told of a piece would make."""
    match piece:
        case str(text):
            return letters(text) // _FEW_LETTERS
        case Picture():
            return 1
    return 0


def _seen_url(attachment: Attachment) -> str:
    """The data URL of a picture that stands in the request, if it is one that models take."""
    shown = data_url.sniff(attachment.data or "")
    if shown not in SEEN:
        raise _refused(f"A picture in the request is none that models take ({', '.join(SEEN)})")
    return data_url.write(shown, attachment.data or "")


def _seen(held: Held) -> str:
    """The media type of a picture that models take."""
    shown = data_url.sniff(base64.b64encode(held.data[:24]).decode())
    if shown not in SEEN:
        raise _refused(f"The file '{held.file.filename}' is not a picture that models take ({', '.join(SEEN)})")
    return shown


async def _inline(part: Doc, held: Held, media_type: str) -> Doc:
    return parts.with_data(part, media_type, await _encoded(held.data), held.file.filename)


async def _encoded(data: bytes) -> str:
    if len(data) > _AT_ONCE_BYTES:
        return (await asyncio.to_thread(base64.b64encode, data)).decode()
    return base64.b64encode(data).decode()


async def _decoded(data: str) -> bytes:
    try:
        if len(data) > _AT_ONCE_BYTES:
            return await asyncio.to_thread(base64.b64decode, data, validate=True)
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("is not valid base64") from None


def _name(attachment: Attachment, held: Held | None) -> str:
    told = attachment.name or (held.file.filename if held is not None else "")
    return "".join(char for char in told if char.isprintable())[:255] or "document"


def _refused(message: str, code: str = "unreadable_document") -> OtariError:
    """Another model that the selector stands for may be told it."""
    return OtariError(Kind.INVALID, message, code=code, retryable=True)
