"""`/v1/batches`: many requests that are carried out when there is time. Everybody sees only what is the user's own.

A batch comes in one of two ways: with its requests, which is Otari's own, or with the id of a file that has them, which
is OpenAI's. What is wrong with the former is told field by field (422), with the latter as OpenAI does (400).
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
from aiohttp import web

from otari.domain import batch as records
from otari.domain.batch import Batch
from otari.domain.errors import Kind, OtariError, invalid
from otari.store.batch_shelf import BatchShelf
from otari.store.batches import BatchListing
from otari.web import problems, reply, values
from otari.web.answers.batches import BatchOwner, BatchPage, Lifetime, NewBatch, NewFileBatch, RawBatch
from otari.web.batch_shapes import batch_doc, batch_list, result_doc
from otari.web.fields import InvalidFields, read_query, wrong
from otari.web.owner import owner_of
from otari.web.visit import Visit, read_json

CHAT = "/v1/chat/completions"


async def create_batch(visit: Visit) -> web.StreamResponse:
    """Begin a batch: chat requests that come with it, or a file of requests for one endpoint, as OpenAI has it.

    It is carried out within 24 hours, under the limits and budgets of the user, and ends with a file of answers and
    a file of failures. A provider that has batches of its own gets it as one, at its price for batches.
    """
    shelf = _shelf(visit)
    raw = await read_json(visit)
    doc = _document(raw)
    batch = await (_from_file(visit, shelf, raw) if "input_file_id" in doc else _from_requests(visit, shelf, raw))
    return _as_batch(visit, batch)


async def _from_requests(visit: Visit, shelf: BatchShelf, raw: bytes) -> Batch:
    new = _read_requests(raw)
    owner = await _let_in(visit, shelf, new.user)
    ref = await visit.house.control.recognise(visit.caller, new.model)
    record = records.NewBatch(
        user_id=owner,
        key_id=visit.caller.key_id,
        endpoint=CHAT,
        selector=new.model,
        provider=ref.provider,
        input_file_id=None,
        metadata=orjson.dumps(new.metadata or {}).decode(),
        total=len(new.requests),
        output_lifetime_s=_lifetime_s(new.output_expires_after),
    )
    return await shelf.add(record, _lines(new))


async def _from_file(visit: Visit, shelf: BatchShelf, raw: bytes) -> Batch:
    found = problems.in_body(raw, NewFileBatch)
    if found:
        _, *path = found[0]["loc"]
        raise invalid(InvalidFields(found).message, ".".join(map(str, path)))
    new = msgspec.json.decode(raw, type=NewFileBatch, strict=False)  # of other types than it wants, only 60.0 is left
    owner = await _let_in(visit, shelf, new.user)
    file = await shelf.files.get(owner, new.input_file_id)
    record = records.NewBatch(
        user_id=owner,
        key_id=visit.caller.key_id,
        endpoint=new.endpoint,
        selector="",
        provider="",
        input_file_id=file.file_id,
        metadata=orjson.dumps(new.metadata or {}).decode(),
        output_lifetime_s=_lifetime_s(new.output_expires_after),
    )
    return await shelf.add_from(file, record)


async def list_batches(visit: Visit) -> web.StreamResponse:
    """Batches of the user, newest first, a part at a time: `after` names the last one of the part before."""
    query = read_query(visit, BatchPage)
    which = BatchListing(query.limit, query.after, _provider(visit, query))
    found, more = await _shelf(visit).page(owner_of(visit.caller, query.user), which)
    return reply.as_json(batch_list(found, more), visit.request_id)


async def get_batch(visit: Visit) -> web.StreamResponse:
    """How a batch stands. 404 when there is none with this id, or it is another user's."""
    return _as_batch(visit, await _shelf(visit).asked(await _batch(visit)))


async def cancel_batch(visit: Visit) -> web.StreamResponse:
    """End a batch early. What is under way comes to its end, and what is done keeps its results."""
    query = read_query(visit, BatchOwner)
    owner, provider = owner_of(visit.caller, query.user), _provider(visit, query)
    return _as_batch(visit, await _shelf(visit).cancel(owner, visit.request.match_info["batch_id"], provider))


async def get_batch_results(visit: Visit) -> web.StreamResponse:
    """What became of every request of a batch that has ended; 409 while it has not."""
    batch = await _batch(visit)
    if not batch.has_ended:
        raise _not_yet(batch)
    async with contextlib.aclosing(result_doc(_shelf(visit).answers(batch))) as pieces:
        extra = {"Content-Type": "application/json"}
        return await reply.as_download(visit.request, visit.request_id, pieces, None, status=200, extra=extra)


# ---- what is asked ----


def _shelf(visit: Visit) -> BatchShelf:
    if visit.house.batches is None:
        raise OtariError(Kind.NOT_FOUND, "Batches need files, and files are disabled", code="files_disabled")
    return visit.house.batches


async def _batch(visit: Visit) -> Batch:
    query = read_query(visit, BatchOwner)
    owner, provider = owner_of(visit.caller, query.user), _provider(visit, query)
    return await _shelf(visit).get_of(owner, visit.request.match_info["batch_id"], provider)


def _provider(visit: Visit, query: BatchOwner) -> str | None:
    """The provider that is named, if one is. Raises OtariError(INVALID) for one that is not configured."""
    providers = visit.house.catalog.providers
    if query.provider is None or query.provider in providers:
        return query.provider
    names = ", ".join(sorted(providers)) or "none"
    raise invalid(f"{query.provider!r} is not a supported provider. Supported providers: {names}", "provider")


async def _let_in(visit: Visit, shelf: BatchShelf, named: str | None) -> str:
    """Whose batch it will be. Raises OtariError, also for what its owner may not do now."""
    owner = owner_of(visit.caller, named)
    if visit.house.limits is not None:
        visit.house.limits.enter(owner, visit.caller.key_id)
    await shelf.check_room(owner)
    return owner


def _lifetime_s(told: Lifetime | None) -> int | None:
    return None if told is None else told.seconds


def _not_yet(batch: Batch) -> OtariError:
    which = f"?provider={batch.provider}" if batch.provider else ""
    return OtariError(
        Kind.CONFLICT,
        f"Batch '{batch.batch_id}' is not yet complete (status: {batch.state}). Call GET"
        f" /v1/batches/{batch.batch_id}{which} to check the current status.",
        param="batch_id",
        code="batch_not_complete",
    )


def _as_batch(visit: Visit, batch: Batch) -> web.StreamResponse:
    return reply.as_json(batch_doc(batch), visit.request_id)


# ---- a body ----


def _document(raw: bytes) -> dict[str, Any]:
    """The names of the body's fields. Raises InvalidFields for what is no JSON object."""
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        raise wrong("body", msg="The body must be a JSON object", kind="model_attributes_type") from None
    except (msgspec.DecodeError, RecursionError):
        raise wrong("body", msg="The body is not valid JSON", kind="json_invalid") from None


def _read_requests(raw: bytes) -> RawBatch:
    """The body, its requests not looked into but for their names. Raises InvalidFields."""
    try:
        new = msgspec.json.decode(raw, type=RawBatch)
        fine = all(bytes(request.body).startswith(b"{") for request in new.requests)
        values.batch_metadata(new.metadata or {})
    except (msgspec.DecodeError, values.Unfit, RecursionError):
        fine = False
    if not fine:  # now it is worth looking closer
        found = problems.in_body(raw, NewBatch)
        if found:
            raise InvalidFields(found)
        new = msgspec.json.decode(raw, type=RawBatch, strict=False)  # of other types than it wants, only 60.0 is left
    seen = set[str]()
    for index, request in enumerate(new.requests):
        if request.custom_id in seen:
            told = "This custom_id stands on an earlier request, too: it must be unique"
            raise wrong("body", "requests", index, "custom_id", msg=told)
        seen.add(request.custom_id)
    return new


def _lines(new: RawBatch) -> Iterator[bytes]:
    """The requests as OpenAI's file has them."""
    for request in new.requests:
        body = orjson.Fragment(bytes(request.body).replace(b"\r", b" ").replace(b"\n", b" "))
        yield orjson.dumps({"custom_id": request.custom_id, "method": "POST", "url": CHAT, "body": body})
