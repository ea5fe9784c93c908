"""`/v1/files`: what users keep here to refer to later. Everybody sees only what is the user's own."""

import contextlib
import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from aiohttp import web
from msgspec import UNSET

from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.files import StoredFile
from otari.domain.media_types import media_type_of
from otari.store.blobs import Draft
from otari.store.file_shelf import FileShelf
from otari.store.files import Listing, no_room
from otari.web import ranges, reply
from otari.web.answers.files import FileOwner, FilePage
from otari.web.fields import InvalidFields, read_query
from otari.web.file_shapes import (
    PAGE,
    anthropic_file,
    anthropic_list,
    content_type,
    disposition,
    openai_file,
    openai_list,
    plain_name,
)
from otari.web.model_pages import VERSION_HEADER
from otari.web.multipart import OVERHEAD_BYTES, Form, Part
from otari.web.owner import owner_of
from otari.web.reply import Shape
from otari.web.visit import Visit

OPENAI_LIMIT, ANTHROPIC_LIMIT = 10_000, 20  # when the client names none
_ANCHOR, _SECONDS, _IN_SECONDS = "expires_after[anchor]", "expires_after[seconds]", "expires_in_seconds"
_FIELDS = ("purpose", "user", _ANCHOR, _SECONDS, _IN_SECONDS)
_PURPOSE_MAX_CHARACTERS = 64
_LIFETIME_S = {_SECONDS: (3_600, 2_592_000), _IN_SECONDS: (3_600, 7_776_000)}  # as OpenAI and Anthropic have it
_DIGITS = re.compile("[0-9]{1,9}")
_MEBIBYTE = 1024 * 1024

Handler = Callable[[Visit], Awaitable[web.StreamResponse]]


def _in_both_shapes(handle: Handler) -> Handler:
    """The handler, with its refusals in Anthropic's shape for the clients that read that one."""

    @functools.wraps(handle)
    async def handling(visit: Visit) -> web.StreamResponse:
        try:
            return await handle(visit)
        except OtariError as error:
            if not _is_anthropics(visit):
                raise
            return reply.as_error(Shape.ANTHROPIC, error, visit.request_id)

    return handling


@_in_both_shapes
async def create_file(visit: Visit) -> web.StreamResponse:
    """Keep a file. Its bytes go to disk as they arrive; it is there when it is whole, and not before."""
    shelf = _shelf(visit)
    owner = _query(visit, FileOwner).user
    # Of the master key it is known whose file it is when the form has been read: its owner may stand at the end.
    known = None if visit.caller.is_master else owner_of(visit.caller, owner)
    most = shelf.limits.file_bytes if known is None else await shelf.room(known)
    if (visit.request.content_length or 0) > shelf.limits.file_bytes + OVERHEAD_BYTES:
        raise _too_large(shelf.limits.file_bytes)
    async with shelf.receiving() as draft:
        form = await _read(visit, shelf, draft, most)
        file = await shelf.add(
            draft,
            owner_of(visit.caller, form.fields.get("user") or owner),
            filename=form.filename,
            media_type=form.media_type,
            purpose=_purpose(form.fields),
            lifetime_ms=_lifetime_ms(form.fields),
        )
    return _as_file(visit, file)


@_in_both_shapes
async def list_files(visit: Visit) -> web.StreamResponse:
    """Files of the user, newest first, a part at a time: `after` names the last one of the part before.

    A client that sends the header `anthropic-version` gets them in Anthropic's shape, and goes on with `page`,
    `after_id` or `before_id`.
    """
    query = _query(visit, FilePage)
    shelf, owner = _shelf(visit), owner_of(visit.caller, query.user)
    if _is_anthropics(visit):
        which = _anthropic_listing(query, visit.request.query)
        files, more = await shelf.page(owner, which)
        return reply.as_json(anthropic_list(files[::-1] if which.oldest_first else files, more), visit.request_id)
    oldest_first = query.order == "asc"
    later, earlier = (query.after, None) if oldest_first else (None, query.after)
    limit = OPENAI_LIMIT if query.limit is UNSET else query.limit
    files, more = await shelf.page(owner, Listing(limit, query.purpose, later, earlier, oldest_first))
    return reply.as_json(openai_list(files, more), visit.request_id)


def _anthropic_listing(query: FilePage, told: Mapping[str, str]) -> Listing:
    for word in ("ids", "ids[]", "scope_id"):
        if word in told:
            raise invalid(f"{word} is not supported by this gateway", word)
    behind = None if query.page is None else query.page.removeprefix(PAGE)
    places = [each for each in (behind, query.after_id, query.before_id) if each is not None]
    if len(places) > 1:
        raise invalid("Name one of page, after_id and before_id.", "before_id")
    limit = ANTHROPIC_LIMIT if query.limit is UNSET else query.limit
    if query.before_id is not None:
        return Listing(limit, later_than=query.before_id, oldest_first=True)
    return Listing(limit, earlier_than=places[0] if places else None)


@_in_both_shapes
async def get_file(visit: Visit) -> web.StreamResponse:
    """What is known of a file. 404 when there is none with this id, or it is another user's."""
    return _as_file(visit, await _file(visit))


@_in_both_shapes
async def get_file_content(visit: Visit) -> web.StreamResponse:
    """The bytes of a file, or the one part that the header `Range` names."""
    file = await _file(visit)
    asked = visit.request.headers
    tag = f'"{file.digest.hex()}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes"}
    if ranges.names(asked.get("If-None-Match"), tag):
        return web.Response(status=304, headers=reply.headers(visit.request_id, extra=headers))
    span = None
    if "If-Range" not in asked or ranges.names(asked["If-Range"], tag):
        span = ranges.wanted_span(asked.get("Range"), file.size_bytes)
    headers |= {
        "Content-Type": content_type(file.media_type),
        "Content-Disposition": disposition(file.filename),
        "Content-Security-Policy": "sandbox",  # a page that somebody uploaded is no page of this gateway
    }
    if span is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.start + span.length - 1}/{file.size_bytes}"
    start, count = span or (0, file.size_bytes)
    async with contextlib.aclosing(_shelf(visit).chunks(file, start, count)) as pieces:
        return await reply.as_download(
            visit.request, visit.request_id, pieces, count, status=200 if span is None else 206, extra=headers
        )


@_in_both_shapes
async def delete_file(visit: Visit) -> web.StreamResponse:
    """Delete a file and its bytes."""
    file_id = visit.request.match_info["file_id"]
    await _shelf(visit).remove(owner_of(visit.caller, _query(visit, FileOwner).user), file_id)
    told: dict[str, Any] = {"id": file_id, "object": "file", "deleted": True}
    if _is_anthropics(visit):
        told = {"id": file_id, "type": "file_deleted"}
    return reply.as_json(told, visit.request_id)


# ---- what is asked ----


def _shelf(visit: Visit) -> FileShelf:
    if visit.house.files is None:
        raise OtariError(Kind.NOT_FOUND, "File uploads are disabled", code="files_disabled")
    return visit.house.files


async def _file(visit: Visit) -> StoredFile:
    owner = owner_of(visit.caller, _query(visit, FileOwner).user)
    return await _shelf(visit).get(owner, visit.request.match_info["file_id"])


def _query(visit: Visit, into: type[Any]) -> Any:
    """The parameters of the address. Raises OtariError(INVALID), as both vendors answer."""
    try:
        return read_query(visit, into)
    except InvalidFields as error:
        raise invalid(error.message, error.param) from None


def _is_anthropics(visit: Visit) -> bool:
    return VERSION_HEADER in visit.request.headers


def _as_file(visit: Visit, file: StoredFile) -> web.StreamResponse:
    return reply.as_json(anthropic_file(file) if _is_anthropics(visit) else openai_file(file), visit.request_id)


# ---- a file that comes ----


class _Received(NamedTuple):
    """A form that was read; the bytes of its file are in the draft."""

    filename: str
    media_type: str
    fields: dict[str, str]


async def _read(visit: Visit, shelf: FileShelf, draft: Draft, most: int) -> _Received:
    """Read the form; the file in it, of at most so many bytes, goes into the draft. Raises OtariError."""
    fields: dict[str, str] = {}
    head: Part | None = None
    async for part in Form(visit, shelf.limits.file_bytes + OVERHEAD_BYTES):
        if part.name == "file" and head is None:
            head = part
            await _take(part, shelf, draft, most)
        elif part.name in fields or part.name == "file":
            raise invalid(f"The field '{part.name}' stands more than once", part.name)
        elif part.name in _FIELDS:
            fields[part.name] = await part.text()
        else:
            raise invalid(f"The field '{part.shown_name}' is not known here", part.shown_name)
    if head is None:
        raise invalid("The form has no field 'file'", "file")
    if not draft.size_bytes:
        raise invalid("Uploaded file is empty", "file")
    filename = plain_name(head.filename or "")
    return _Received(filename, media_type_of(head.media_type, filename), fields)


async def _take(part: Part, shelf: FileShelf, draft: Draft, most: int) -> None:
    if part.filename is None or not plain_name(part.filename):
        raise invalid("The field 'file' must be a file with a name", "file")
    async for chunk in part.chunks():
        await draft.write(chunk)
        if draft.size_bytes > most:
            raise _too_large(most) if most == shelf.limits.file_bytes else no_room(shelf.limits)


def _too_large(limit: int) -> OtariError:
    size = f"{limit // _MEBIBYTE} MB" if limit >= _MEBIBYTE else f"{limit} bytes"
    return OtariError(
        Kind.TOO_LARGE, f"File exceeds maximum upload size of {size}", param="file", code="request_too_large"
    )


def _purpose(fields: dict[str, str]) -> str:
    purpose = fields.get("purpose", "user_data")
    if not (1 <= len(purpose) <= _PURPOSE_MAX_CHARACTERS and purpose.isprintable()):
        raise invalid(f"purpose must be 1 to {_PURPOSE_MAX_CHARACTERS} printable characters", "purpose")
    return purpose


def _lifetime_ms(fields: dict[str, str]) -> int | None:
    if _IN_SECONDS in fields:
        return _seconds(fields, _IN_SECONDS) * 1000
    if _SECONDS not in fields and _ANCHOR not in fields:
        return None
    if fields.get(_ANCHOR) != "created_at":
        raise invalid(f"{_ANCHOR} must be created_at", _ANCHOR)
    return _seconds(fields, _SECONDS) * 1000


def _seconds(fields: dict[str, str], name: str) -> int:
    told, (least, most) = fields.get(name, ""), _LIFETIME_S[name]
    if not _DIGITS.fullmatch(told) or not least <= int(told) <= most:
        raise invalid(f"{name} must be from {least} to {most}", name)
    return int(told)
