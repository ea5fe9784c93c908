"""Pictures and documents that a request refers to or holds: put into a form that the model asked for can take.

A file of ours is never named to a provider: its owner is looked at, and its bytes go in its place. A document for a
model that takes none is given as text, a picture for a model that sees none is refused. Everything else stays as it is,
and a request with nothing of the kind is not looked into.
"""

import asyncio
import base64
import binascii
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from otari.dialects import attachments as parts
from otari.dialects import data_url
from otari.dialects.attachments import Attachment
from otari.dialects.dialect import Dialect, Envelope
from otari.domain.catalog import Catalog, ModelRef, Senses
from otari.domain.chat import Doc
from otari.domain.documents import Unreadable, kind_of
from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.files import StoredFile
from otari.domain.ports import Attempt, Documents, Files

EXTRACTED = "document extracted to text"
SEEN = ("image/png", "image/jpeg", "image/gif", "image/webp")
_OUR_ID = b'"file-'  # how the id of a file stands in a request
_OFFICE = b"officedocument"  # in the media type of every Office file
_PDF = "application/pdf"
_SELECTORS_MAX = 1_000
_AT_ONCE_BYTES = 256 * 1024  # more is turned into base64, or back, beside the event loop


class _Care(enum.Enum):
    """What must be looked for in a request beside files of ours: nothing, Office files, or every attachment."""

    NONE = "none"
    OFFICE = "office"
    ALWAYS = "always"


class _Sight(NamedTuple):
    """What a target can be given. `own`: its provider speaks the client's dialect."""

    senses: Senses
    own: bool


class Variant(NamedTuple):
    """The request for targets of one kind. `noted` names what was done to it."""

    doc: Doc
    noted: tuple[str, ...]
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request with attachments, ready for every model that its selector stands for."""

    client: Dialect
    catalog: Catalog
    variants: Mapping[_Sight, Variant | OtariError]

    @property
    def envelope(self) -> Envelope:
        """That of the longest variant: admission must hold the money for any of them."""
        told = [each.envelope for each in self.variants.values() if isinstance(each, Variant)]
        return max(told, key=lambda envelope: envelope.prompt_tokens)

    def variant(self, attempt: Attempt) -> Variant:
        """What is told to one target. Raises OtariError for what it can not be told."""
        found = self.variants[_sight(self.client, self.catalog, ModelRef(attempt.provider, attempt.model))]
        if isinstance(found, OtariError):
            raise found
        return found


class _Held(NamedTuple):
    """A file of ours that a part refers to, with its bytes."""

    file: StoredFile
    data: bytes


class Attachments:
    """Prepares requests. `files` None: none are kept. `documents` None: they are given as they are, to every model."""

    def __init__(self, catalog: Catalog, files: Files | None, documents: Documents | None, most_bytes: int) -> None:
        """A request may have at most `most_bytes`, with the files that it names in it."""
        self._catalog = catalog
        self._files = files
        self._documents = documents
        self._most_bytes = most_bytes
        self._cares: dict[tuple[str, str], _Care] = {}  # by the client's dialect and the selector

    def concern(self, client: Dialect, raw: bytes, selector: str) -> bool:
        """Whether a request may hold something to be prepared: asked of every one, so it costs next to nothing."""
        care = self._cares.get((client.name, selector)) or self._care(client, selector)
        return _OUR_ID in raw or care is _Care.ALWAYS or (care is _Care.OFFICE and _OFFICE in raw)

    def _care(self, client: Dialect, selector: str) -> "_Care":
        if len(self._cares) >= _SELECTORS_MAX:
            self._cares.clear()
        sights = [_sight(client, self._catalog, ref) for ref in self._targets(selector)]
        care = _Care.NONE
        if not all(all(sight.senses) for sight in sights):
            care = _Care.ALWAYS
        elif not all(sight.own for sight in sights):
            care = _Care.OFFICE
        self._cares[client.name, selector] = care
        return care

    def _targets(self, selector: str) -> Sequence[ModelRef]:
        try:
            return self._catalog.targets(selector)
        except OtariError:  # admission will say so
            return ()

    async def prepare(self, client: Dialect, doc: Doc, envelope: Envelope, user_id: str | None) -> Prepared | None:
        """The request of a user for all of its targets; None when there is nothing to prepare.

        Raises OtariError: NOT_FOUND for a file that is not the user's, TOO_LARGE, INVALID for what no target can take.
        """
        targets = self._targets(envelope.model)
        found = list(parts.parts_of(doc))
        if not targets or user_id is None:  # admission will say so
            return None
        held = await self._held(doc, found, user_id)
        if not found:
            return None
        variants: dict[_Sight, Variant | OtariError] = {}
        for ref in targets:
            sight = _sight(client, self._catalog, ref)
            if sight not in variants:
                variants[sight] = await self._variant(client, doc, envelope, found, held, sight, ref)
        refused = [each for each in variants.values() if isinstance(each, OtariError)]
        if len(refused) == len(variants):
            raise refused[-1]
        return Prepared(client, self._catalog, variants)

    # ---- files of ours ----

    async def _held(self, doc: Doc, found: Sequence[tuple[Doc, Attachment]], user_id: str) -> Mapping[int, _Held]:
        """The files that parts refer to, by the part's `id()`."""
        held: dict[int, _Held] = {}
        known: dict[str, _Held] = {}
        room = self._most_bytes
        for part, attachment in found:
            file_id = attachment.file_id
            if file_id is None or not _is_ours(file_id):
                continue
            if file_id not in known:
                known[file_id] = await self._read(file_id, user_id, room)
            room -= len(known[file_id].data) * 4 // 3
            if room < 0:
                raise _too_large(self._most_bytes)
            held[id(part)] = known[file_id]
        elsewhere = parts.mentions(parts.replaced(doc, {place: {} for place in held}), _is_ours)
        if elsewhere is not None:
            raise invalid(
                f"The file '{elsewhere}' is one of this gateway's: it can stand in a part of a message, and not here",
                "file_id",
            )
        return held

    async def _read(self, file_id: str, user_id: str, room: int) -> _Held:
        if self._files is None:
            raise _not_found(file_id)
        try:
            file = await self._files.get(user_id, file_id)
            if file.size_bytes * 4 // 3 > room:
                raise _too_large(self._most_bytes)
            return _Held(file, await self._files.read(file))
        except OtariError as error:
            raise (_not_found(file_id) if error.kind is Kind.NOT_FOUND else error) from None

    # ---- variants ----

    async def _variant(
        self,
        client: Dialect,
        doc: Doc,
        envelope: Envelope,
        found: Sequence[tuple[Doc, Attachment]],
        held: Mapping[int, _Held],
        sight: _Sight,
        ref: ModelRef,
    ) -> Variant | OtariError:
        in_responses = client.name == "openai-responses"
        changed: dict[int, Doc] = {}
        noted: list[str] = []
        try:
            for part, attachment in found:
                told = await self._told(part, attachment, held.get(id(part)), sight, ref, noted)
                if told is not part:
                    changed[id(part)] = parts.for_responses(told) if in_responses else told
        except OtariError as error:
            error.param = error.param or ("input" if in_responses else "messages")
            return error
        if not changed:
            return Variant(doc, (), envelope)
        whole = parts.replaced(doc, changed)
        return Variant(whole, tuple(dict.fromkeys(noted)), client.read_envelope(whole, len(orjson.dumps(whole))))

    async def _told(
        self, part: Doc, attachment: Attachment, held: _Held | None, sight: _Sight, ref: ModelRef, noted: list[str]
    ) -> Doc:
        """The part as the target is told it; the part itself when it stays as it is."""
        if self._documents is None:
            return part if held is None else await _inline(part, held, held.file.media_type)
        if attachment.kind == "image":
            return await _told_image(part, held, sight, ref)
        if held is None and _stays(attachment, sight, ref):
            return part
        name = _name(attachment, held)
        try:
            data = held.data if held is not None else await _decoded(attachment.data or "")
            kind = kind_of(data, held.file.media_type if held is not None else attachment.media_type)
            if kind == "image":
                raise Unreadable("is a picture: send it as one")
            if kind == "pdf" and sight.senses.documents:
                return part if held is None else await _inline(part, held, _PDF)
            text = await self._documents.text(data, kind)
        except Unreadable as error:
            why = "" if sight.senses.documents else f". Model '{ref}' takes documents only as text"
            raise _refused(f"The file '{name}' {error}{why}") from None
        if kind != "text":
            noted.append(EXTRACTED)
        return parts.with_text(part, text, name, plain=kind == "text" and sight.senses.documents)


def refuse_loss(variant: Variant, attempt: Attempt) -> None:
    """Raise OtariError(INVALID) when something was done to the request that strict translation does not allow."""
    if variant.noted:
        raise _refused(
            f"Model '{attempt.provider}:{attempt.model}' can be given only the text of a document. Nothing was sent,"
            " because translation is strict for this key or provider.",
            code="translation_loss",
        )


def _stays(attachment: Attachment, sight: _Sight, ref: ModelRef) -> bool:
    """Whether a document that is not a file of ours is told as it stands in the request. Raises OtariError."""
    if attachment.text is not None or attachment.file_id is not None:
        return True  # text already, or a file that only its provider knows
    if attachment.url is not None and not sight.senses.documents:
        raise _refused(f"Model '{ref}' takes documents only as text, and this gateway fetches no addresses")
    return sight.senses.documents and (sight.own or "officedocument" not in (attachment.media_type or ""))


async def _told_image(part: Doc, held: _Held | None, sight: _Sight, ref: ModelRef) -> Doc:
    if not sight.senses.images:
        raise _refused(
            f"Model '{ref}' takes no pictures: leave them out, or name a model that does", code="image_not_supported"
        )
    if held is None:
        return part
    shown = data_url.sniff(base64.b64encode(held.data[:24]).decode())
    if shown not in SEEN:
        raise _refused(f"The file '{held.file.filename}' is not a picture that models take ({', '.join(SEEN)})")
    return await _inline(part, held, shown)


async def _inline(part: Doc, held: _Held, media_type: str) -> Doc:
    if len(held.data) > _AT_ONCE_BYTES:
        data = await asyncio.to_thread(base64.b64encode, held.data)
    else:
        data = base64.b64encode(held.data)
    return parts.with_data(part, media_type, data.decode(), held.file.filename)


async def _decoded(data: str) -> bytes:
    try:
        if len(data) > _AT_ONCE_BYTES:
            return await asyncio.to_thread(base64.b64decode, data, validate=True)
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("is not valid base64") from None


def _sight(client: Dialect, catalog: Catalog, ref: ModelRef) -> _Sight:
    return _Sight(catalog.senses(ref), client.name in catalog.providers[ref.provider].speaks)


def _name(attachment: Attachment, held: _Held | None) -> str:
    told = attachment.name or (held.file.filename if held is not None else "")
    return "".join(char for char in told if char.isprintable())[:255] or "document"


def _is_ours(file_id: str) -> bool:
    return len(file_id) == 37 and file_id.startswith("file-") and set(file_id[5:]) <= set("0123456789abcdef")


def _refused(message: str, code: str = "unreadable_document") -> OtariError:
    """Another model that the selector stands for may be told it."""
    return OtariError(Kind.INVALID, message, code=code, retryable=True)


def _not_found(file_id: str) -> OtariError:
    return OtariError(Kind.NOT_FOUND, f"File '{file_id}' not found", param="file_id", code="file_not_found")


def _too_large(most_bytes: int) -> OtariError:
    return OtariError(
        Kind.TOO_LARGE,
        f"With its files the request would be larger than {most_bytes} bytes",
        param="file_id",
        code="request_too_large",
    )
