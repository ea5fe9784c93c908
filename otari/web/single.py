"""Single-shot calls: embeddings, moderations, rerank, images, transcriptions and speech, by `gateway/single.py`."""

import secrets

import msgspec
from aiohttp import web

from otari.domain.errors import Kind, OtariError, invalid
from otari.gateway.single import SingleShot
from otari.operations.embeddings import EMBEDDINGS
from otari.operations.images import IMAGES
from otari.operations.moderations import MODERATIONS, MODERATIONS_RAW
from otari.operations.operation import JSON_TYPE, Operation
from otari.operations.rerank import RERANK
from otari.operations.speech import SPEECH
from otari.operations.transcriptions import FILE_FIELD, TRANSCRIPTIONS, Upload
from otari.web import idempotency, problems, reply
from otari.web.fields import InvalidFields, read_query, wrong
from otari.web.file_shapes import plain_name
from otari.web.inference import enter, once
from otari.web.multipart import OVERHEAD_BYTES, Form, Part
from otari.web.reply import Shape
from otari.web.single_bodies import ModerationQuery, RerankRequest
from otari.web.spool import Spool
from otari.web.visit import Visit, read_json

RECORDING_MAX_BYTES = 25 * 1024 * 1024
_FIELDS_MAX_BYTES = 8 * 1024 * 1024  # of a form: known speakers are recordings, too
_KEEPALIVE = b": keepalive\n\n"


async def post_embeddings(visit: Visit) -> web.StreamResponse:
    """Texts as vectors, in the encoding that is asked for, whatever the provider gives."""
    return await _asked(visit, EMBEDDINGS, "/v1/embeddings", await read_json(visit))


async def post_moderations(visit: Visit) -> web.StreamResponse:
    """Whether texts or images are harmful. `include_raw=true` adds what the provider wrote to every result."""
    try:
        wants_raw = read_query(visit, ModerationQuery).include_raw
    except InvalidFields as error:  # on a route of this shape a 400
        raise invalid(error.message, error.param) from None
    operation = MODERATIONS_RAW if wants_raw else MODERATIONS
    return await _asked(visit, operation, "/v1/moderations", await read_json(visit))


async def post_rerank(visit: Visit) -> web.StreamResponse:
    """Documents in the order in which they answer a query, best first, in the shape of Cohere's rerank."""
    raw = await read_json(visit)
    _check_rerank(raw)
    return await _asked(visit, RERANK, "/v1/rerank", raw)


async def post_rerank_v2(visit: Visit) -> web.StreamResponse:
    """See `POST /v1/rerank`."""
    return await post_rerank(visit)


async def post_image_generations(visit: Visit) -> web.StreamResponse:
    """Pictures by their description, at once or as events."""
    return await _asked(visit, IMAGES, "/v1/images/generations", await read_json(visit))


async def post_speech(visit: Visit) -> web.StreamResponse:
    """A text as sound, which passes as it comes; with `stream_format: sse` as events."""
    return await _asked(visit, SPEECH, "/v1/audio/speech", await read_json(visit))


async def post_transcriptions(visit: Visit) -> web.StreamResponse:
    """What is said in a recording of at most 25 MB, in the format that is asked for; with `stream` as events."""
    with Spool() as spool:
        upload = await _read_upload(visit, spool)
        shots, endpoint = visit.house.shots, "/v1/audio/transcriptions"
        shot = shots.begin(TRANSCRIPTIONS, endpoint, upload, spool.size, visit.caller, visit.request_id)
        return await _answered(visit, shot)


async def _asked(
    visit: Visit, operation: Operation[dict[str, object]], endpoint: str, raw: bytes
) -> web.StreamResponse:
    return await _answered(
        visit, visit.house.shots.begin_json(operation, endpoint, raw, visit.caller, visit.request_id)
    )


async def _answered(visit: Visit, shot: SingleShot) -> web.StreamResponse:
    house = visit.house
    token = idempotency.token_of(visit.request.headers, stream=shot.passes)
    if token is not None and not shot.repeatable:
        raise invalid(f"A form can not be sent again: leave out {idempotency.HEADER}", idempotency.HEADER)
    limits = enter(visit, shot)
    if shot.passes:
        # Nothing may stand before sound but sound.
        keepalive_s = house.keepalive_s if shot.envelope.stream else 0
        with house.streams.running():
            return await reply.as_stream(visit.request, shot, _KEEPALIVE, keepalive_s=keepalive_s, extra=limits)
    if token is not None:
        return await once(visit, shot, token, Shape.OPENAI, limits)
    body = await shot.whole()
    extra = {**limits, **shot.headers()}
    if shot.media == JSON_TYPE:
        return reply.json_bytes(body, shot.name, extra=extra)
    return reply.as_text(body, shot.media, shot.name, extra=extra)


def _check_rerank(raw: bytes) -> None:
    """Rerank has no vendor's shape of errors: what is wrong is told field by field. Raises InvalidFields."""
    try:
        found = problems.in_body(raw, RerankRequest)
    except (msgspec.DecodeError, RecursionError):
        raise wrong("body", msg="The body is not valid JSON", kind="json_invalid") from None
    if found:
        raise InvalidFields(found)


# ---- a recording that comes ----


async def _read_upload(visit: Visit, spool: Spool) -> Upload:
    """Read the form; the file in it goes into `spool`. Raises OtariError."""
    if (visit.request.content_length or 0) > RECORDING_MAX_BYTES + _FIELDS_MAX_BYTES + OVERHEAD_BYTES:
        raise _too_large()
    fields: list[tuple[str, str]] = []
    room = _FIELDS_MAX_BYTES
    file: Part | None = None
    async for part in Form(visit, RECORDING_MAX_BYTES + _FIELDS_MAX_BYTES + OVERHEAD_BYTES):
        if part.filename is None and part.name != FILE_FIELD:
            value = await _value(part, room)
            room -= len(value)
            fields.append((part.name, _text(part, value)))
            continue
        if part.name != FILE_FIELD or file is not None:
            raise invalid(f"The form has more than one file: only '{FILE_FIELD}' is taken", part.shown_name)
        if part.filename is None or not plain_name(part.filename):
            raise invalid(f"{FILE_FIELD} must be sent as a file with a name: its format is told by it", FILE_FIELD)
        file = part
        async for chunk in part.chunks():
            spool.write(chunk)
            if spool.size > RECORDING_MAX_BYTES:
                raise _too_large()
    if file is None or file.filename is None:
        raise invalid(f"The form has no field '{FILE_FIELD}'", FILE_FIELD)
    boundary = f"otari-{secrets.token_hex(16)}"
    return Upload(tuple(fields), plain_name(file.filename), file.media_type, spool, boundary)


async def _value(part: Part, most: int) -> bytes:
    value = bytearray()
    async for chunk in part.chunks():
        value += chunk
        if len(value) > most:
            words = f"The fields of the form have more than {_FIELDS_MAX_BYTES} bytes together"
            raise OtariError(Kind.TOO_LARGE, words, param=part.shown_name, code="request_too_large")
    return bytes(value)


def _text(part: Part, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise invalid(f"The field '{part.shown_name}' is not UTF-8 text", part.shown_name) from None


def _too_large() -> OtariError:
    words = f"Audio file exceeds maximum upload size of {RECORDING_MAX_BYTES >> 20} MB"
    return OtariError(Kind.TOO_LARGE, words, param=FILE_FIELD, code="request_too_large")
