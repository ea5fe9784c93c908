"""Pictures and documents that a request refers to or holds: put into a form that the model asked for can take.

A file of ours is never named to a provider: its owner is looked at, and its bytes go in its place. A document for a
model that takes none is given as text, a picture for a model that sees none is refused. Everything else stays as it is,
and a request with nothing of the kind is not looked into.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from otari.dialects import attachments as parts
from otari.dialects.attachments import Attachment
from otari.dialects.dialect import Dialect, Envelope
from otari.domain.catalog import Catalog, ModelRef
from otari.domain.chat import Doc
from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.ports import Attempt, Documents, Files
from otari.gateway.telling import Asking, Describing, Held, Sight, Teller

_OUR_ID = b'"file-'  # how the id of a file stands in a request
_OFFICE = b"officedocument"  # in the media type of every Office file
_SELECTORS_MAX = 1_000


class _Care(enum.Enum):
    """What must be looked for in a request beside files of ours: nothing, Office files, or every attachment."""

    NONE = "none"
    OFFICE = "office"
    ALWAYS = "always"


class Variant(NamedTuple):
    """The request for targets of one kind. `noted` names what was done to it."""

    doc: Doc
    noted: tuple[str, ...]
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request with attachments, ready for every model that its selector stands for."""

    sights: Mapping[ModelRef, Sight]
    variants: Mapping[Sight, Variant | OtariError]

    @property
    def envelope(self) -> Envelope:
        """That of the longest variant: admission must hold the money for any of them."""
        told = [each.envelope for each in self.variants.values() if isinstance(each, Variant)]
        return max(told, key=lambda envelope: envelope.prompt_tokens)

    def variant(self, attempt: Attempt) -> Variant:
        """What is told to one target. Raises OtariError for what it can not be told."""
        found = self.variants[self.sights[ModelRef(attempt.provider, attempt.model)]]
        if isinstance(found, OtariError):
            raise found
        return found


class Attachments:
    """Prepares requests. `files` None: none are kept. `documents` None: they are given as they are, to every model.

    `describer`, when there is one, describes pictures for selectors behind which no model sees them.
    """

    def __init__(self, catalog: Catalog, files: Files | None, documents: Documents | None, most_bytes: int) -> None:
        """A request may have at most `most_bytes`, with the files that it names in it."""
        self._catalog = catalog
        self._files = files
        self._documents = documents
        self._most_bytes = most_bytes
        self.describer: Describing | None = None
        self._cares: dict[tuple[str, str], _Care] = {}  # by the client's dialect and the selector

    def concern(self, client: Dialect, raw: bytes, selector: str) -> bool:
        """Whether a request may hold something to be prepared: asked of every one, so it costs next to nothing."""
        care = self._cares.get((client.name, selector)) or self._care(client, selector)
        return _OUR_ID in raw or care is _Care.ALWAYS or (care is _Care.OFFICE and _OFFICE in raw)

    def _care(self, client: Dialect, selector: str) -> "_Care":
        if len(self._cares) >= _SELECTORS_MAX:
            self._cares.clear()
        sights = [self._sight(client, ref, strict=False) for ref in self._targets(selector)]
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

    def _sight(self, client: Dialect, ref: ModelRef, *, strict: bool) -> Sight:
        provider = self._catalog.providers[ref.provider]
        return Sight(self._catalog.senses(ref), client.name in provider.speaks, strict or provider.strict)

    async def prepare(self, client: Dialect, doc: Doc, envelope: Envelope, asking: Asking) -> Prepared | None:
        """The request for all of its targets; None when there is nothing to prepare.

        Raises OtariError: NOT_FOUND for a file that is not the caller's, TOO_LARGE, INVALID for what no target can
        take, and whatever keeps pictures from being described.
        """
        user_id = asking.principal.user_id or asking.user
        found = list(parts.parts_of(doc))
        strict = asking.principal.strict
        sights = {ref: self._sight(client, ref, strict=strict) for ref in self._targets(envelope.model)}
        if not sights or user_id is None:  # admission will say so
            return None
        held = await self._held(doc, found, user_id)
        if not found:
            return None
        describer = None if any(sight.senses.images for sight in sights.values()) else self.describer
        variants: dict[Sight, Variant | OtariError] = {}
        for ref, sight in sights.items():
            if sight not in variants:
                teller = Teller(sight, ref, asking, self._documents, describer)
                variants[sight] = await _variant(client, doc, envelope, found, held, teller)
        refused = [each for each in variants.values() if isinstance(each, OtariError)]
        if len(refused) == len(variants):
            raise refused[-1]
        return Prepared(sights, variants)

    # ---- files of ours ----

    async def _held(self, doc: Doc, found: Sequence[tuple[Doc, Attachment]], user_id: str) -> Mapping[int, Held]:
        """The files that parts refer to, by the part's `id()`."""
        held: dict[int, Held] = {}
        known: dict[str, Held] = {}
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
        elsewhere = parts.mentions(parts.replaced(doc, dict.fromkeys(held, ())), _is_ours)
        if elsewhere is not None:
            raise invalid(
                f"The file '{elsewhere}' is one of this gateway's: it can stand in a part of a message, and not here",
                "file_id",
            )
        return held

    async def _read(self, file_id: str, user_id: str, room: int) -> Held:
        if self._files is None:
            raise _not_found(file_id)
        try:
            file = await self._files.get(user_id, file_id)
            if file.size_bytes * 4 // 3 > room:
                raise _too_large(self._most_bytes)
            return Held(file, await self._files.read(file))
        except OtariError as error:
            raise (_not_found(file_id) if error.kind is Kind.NOT_FOUND else error) from None


async def _variant(
    client: Dialect,
    doc: Doc,
    envelope: Envelope,
    found: Sequence[tuple[Doc, Attachment]],
    held: Mapping[int, Held],
    teller: Teller,
) -> Variant | OtariError:
    in_responses = client.name == "openai-responses"
    changed: dict[int, Sequence[Doc]] = {}
    try:
        for part, attachment in found:
            told = await teller.told(part, attachment, held.get(id(part)))
            if told[0] is not part:
                changed[id(part)] = [parts.for_responses(each) for each in told] if in_responses else told
    except OtariError as error:
        error.param = error.param or ("input" if in_responses else "messages")
        return error
    if not changed:
        return Variant(doc, (), envelope)
    whole = parts.replaced(doc, changed)
    return Variant(whole, tuple(teller.noted), client.read_envelope(whole, len(orjson.dumps(whole))))


def _is_ours(file_id: str) -> bool:
    return len(file_id) == 37 and file_id.startswith("file-") and set(file_id[5:]) <= set("0123456789abcdef")


def _not_found(file_id: str) -> OtariError:
    return OtariError(Kind.NOT_FOUND, f"File '{file_id}' not found", param="file_id", code="file_not_found")


def _too_large(most_bytes: int) -> OtariError:
    return OtariError(
        Kind.TOO_LARGE,
        f"With its files the request would be larger than {most_bytes} bytes",
        param="file_id",
        code="request_too_large",
    )
