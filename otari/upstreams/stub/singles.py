"""What the stub answers to single-shot calls when no script says otherwise: always the same to the same request.

Near texts have near vectors, texts that speak of harm are flagged, a picture is one pixel, speech is silence, and every
recording says the same sentence.
"""

import base64
import math
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from otari.domain.chat import Doc
from otari.domain.errors import invalid
from otari.domain.ports import Body, Call
from otari.domain.tokens import Counter
from otari.operations import sound
from otari.operations.multipart import Form
from otari.operations.speech import MEDIA
from otari.operations.vectors import as_base64
from otari.upstreams.stub.rules import Wish

TRANSCRIPT = "The stub has listened and writes what it always writes."
DIMENSIONS = 256
_JSON, _EVENTS = "application/json", "text/event-stream"
_SAMPLES_PER_S, _CHARACTERS_PER_S, _LONGEST_S = 8_000, 15, 30
_PIECE_BYTES = 16 * 1024
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
_LARGEST = 4096
_WORD = re.compile(r"\w+")
HARM = {
    "harassment": ("idiot", "loser"),
    "harassment/threatening": (),
    "hate": ("hate",),
    "hate/threatening": (),
    "illicit": ("steal", "smuggle"),
    "illicit/violent": (),
    "self-harm": ("suicide",),
    "self-harm/intent": (),
    "self-harm/instructions": (),
    "sexual": ("porn",),
    "sexual/minors": (),
    "violence": ("kill", "murder", "bomb"),
    "violence/graphic": (),
}


class Single(NamedTuple):
    """An answer: its media type, and its bytes in the pieces in which they come."""

    content_type: str
    pieces: tuple[bytes, ...]


AS_USUAL = Wish()


def answered(call: Call, model: str, counter: Counter, created: int, wish: Wish = AS_USUAL) -> Single:
    """The answer to a call of the "openai" flavour. `created` is in seconds since the epoch.

    Raises OtariError(INVALID) for an operation that the stub does not know.
    """
    answer = _ANSWERS.get(call.operation)
    if call.operation == "transcriptions" and isinstance(call.body, Form):
        return _transcription(call.body, call.stream, TRANSCRIPT if wish.text is None else wish.text)
    if answer is not None and isinstance(call.body, bytes):
        return answer(orjson.loads(call.body), _Facts(model, counter, created, call.stream, wish))
    raise invalid(f"The stub does not know {call.operation!r}.")


def document(call: Call) -> Doc:
    """What a call asks, as plain values: of a form its fields. Raises OtariError(INVALID)."""
    if isinstance(call.body, Form):
        return dict(call.body.fields)
    doc = orjson.loads(call.body) if isinstance(call.body, bytes) else None
    if call.operation not in _ANSWERS or not isinstance(doc, dict):
        raise invalid(f"The stub does not know {call.operation!r}.")
    return doc


def words(operation: str, doc: Doc) -> str:
    """What the user of a call says: the text that a script looks at."""
    told = doc.get({"rerank": "query", "images": "prompt", "transcriptions": "prompt"}.get(operation, "input"))
    parts = told if isinstance(told, list) else [told]
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts)
    return "\n".join(text for text in texts if isinstance(text, str))


class _Facts(NamedTuple):
    model: str
    counter: Counter
    created: int
    stream: bool
    wish: Wish


def _json(doc: Doc) -> Single:
    return Single(_JSON, (orjson.dumps(doc),))


def _events(docs: Iterable[Doc]) -> Single:
    return Single(_EVENTS, tuple(b"data: " + orjson.dumps(doc) + b"\n\n" for doc in docs))


# ---- embeddings and rerank ----


def _embeddings(doc: Doc, facts: _Facts) -> Single:
    told = doc["input"]
    inputs = told if isinstance(told, list) and not isinstance(told[0], int) else [told]
    dimensions = doc.get("dimensions") or facts.wish.dims or DIMENSIONS
    vectors: Iterator[Any] = (vector(each, dimensions) for each in inputs)
    if doc.get("encoding_format") == "base64":
        vectors = map(as_base64, vectors)
    data = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(vectors)]
    tokens = sum(len(each) if isinstance(each, list) else facts.counter.count(each) for each in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _json({"object": "list", "data": data, "model": facts.model, "usage": usage})


def vector(told: str | list[int], dimensions: int) -> list[float]:
    """A unit vector; texts that share words, or parts of words, point in similar directions."""
    sums = [0.0] * dimensions
    for feature in _features(told):
        place = zlib.crc32(feature)
        sums[place % dimensions] += 1.0 if zlib.crc32(feature, 1) & 1 else -1.0
    length = math.sqrt(sum(value * value for value in sums))
    if not length:
        return [1.0, *sums[1:]]
    return [value / length for value in sums]


def _features(told: str | list[int]) -> Iterator[bytes]:
    if isinstance(told, list):
        for token in told:
            yield str(token).encode()
        return
    for word in _WORD.findall(told.lower()):
        yield word.encode()
        padded = f" {word} "
        for start in range(len(padded) - 2):
            yield padded[start : start + 3].encode()


def _rerank(doc: Doc, facts: _Facts) -> Single:
    scores = facts.wish.scores
    rank = _nearness(doc["query"]) if scores is None else lambda text: scores.get(text, 0.0)
    results = [{"index": index, "relevance_score": rank(text)} for index, text in enumerate(doc["documents"])]
    results.sort(key=lambda result: -result["relevance_score"])
    tokens = sum(map(facts.counter.count, [doc["query"], *doc["documents"]]))
    kept = results[: doc.get("top_n") or len(results)]
    return _json({"id": f"rerank-{_mark(doc)}", "results": kept, "usage": {"total_tokens": tokens}})


def _nearness(query: str) -> Callable[[str], float]:
    """How near a text is to `query`, from 0.0 to 1.0."""
    asked = vector(query, DIMENSIONS)
    return lambda text: round(max(0.0, _cosine(asked, vector(text, DIMENSIONS))), 6)


def _cosine(mine: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(mine, other, strict=True))


def _mark(doc: Doc) -> str:
    return f"{zlib.crc32(orjson.dumps(doc, option=orjson.OPT_SORT_KEYS)):08x}"


# ---- moderations ----


def _moderations(doc: Doc, facts: _Facts) -> Single:
    told = doc["input"]
    results = [_judged(each, facts.wish.flags) for each in (told if isinstance(told, list) else [told])]
    return _json({"id": f"modr-{_mark(doc)}", "model": facts.model, "results": results})


def _judged(part: str | Doc, flags: tuple[str, ...] | None) -> Doc:
    kind, text = ("text", part) if isinstance(part, str) else (str(part["type"]), str(part.get("text", "")))
    words = set(_WORD.findall(str(text).lower()))
    categories = {name: not words.isdisjoint(bad) for name, bad in HARM.items()}
    if flags is not None:
        categories = {name: name in flags for name in HARM}
    return {
        "flagged": any(categories.values()),
        "categories": categories,
        "category_scores": {name: 0.99 if found else 0.001 for name, found in categories.items()},
        "category_applied_input_types": {name: [kind.removesuffix("_url")] for name in categories},
    }


# ---- images ----


def _images(doc: Doc, facts: _Facts) -> Single:
    count = doc.get("n") or 1
    prompt = str(doc["prompt"])
    fill = facts.wish.fill
    drawn = [pixel(f"{prompt} {number}") if fill is None else canvas(fill, doc.get("size")) for number in range(count)]
    pictures = [base64.b64encode(picture).decode() for picture in drawn]
    tokens = facts.counter.count(prompt)
    if facts.stream:
        return _events(_shown(picture, tokens, facts.created, doc) for picture in pictures)
    data = [{"b64_json": picture} for picture in pictures]
    if doc.get("response_format") == "url":
        data = [{"url": f"data:image/png;base64,{picture}"} for picture in pictures]
    return _json({"created": facts.created, "data": data, "usage": _picture_usage(tokens, count)})


def _shown(picture: str, tokens: int, created: int, doc: Doc) -> Doc:
    look = {"background": "opaque", "output_format": "png", "quality": "low", "size": doc.get("size") or "1024x1024"}
    told = {"type": "image_generation.completed", "b64_json": picture, "created_at": created}
    return {**told, **look, "usage": _picture_usage(tokens, 1)}


def _picture_usage(tokens: int, count: int) -> Doc:
    details = {"text_tokens": tokens, "image_tokens": 0}
    total = {"input_tokens": tokens, "output_tokens": count, "total_tokens": tokens + count}
    return {**total, "input_tokens_details": details}


def pixel(prompt: str) -> bytes:
    """A PNG of one pixel, whose colour depends on the prompt."""
    colour = zlib.crc32(prompt.encode("utf-8", "replace")).to_bytes(4, "big")[:3]
    return _png((b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" + colour)))


def canvas(fill: str, size: object) -> bytes:
    """A PNG of one colour ("#336699"), as large as was asked for ("1024x1024"); a palette keeps it small."""
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    wide, high = (min(int(side), _LARGEST) for side in found.groups()) if found else (1024, 1024)
    rows = bytes((1 + (wide + 7) // 8) * high)
    head = struct.pack(">IIBBBBB", wide, high, 1, 3, 0, 0, 0)
    return _png((b"IHDR", head), (b"PLTE", bytes.fromhex(fill[1:])), (b"IDAT", zlib.compress(rows)))


def _png(*parts: tuple[bytes, bytes]) -> bytes:
    parts = (*parts, (b"IEND", b""))
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


# ---- sound ----


def _speech(doc: Doc, facts: _Facts) -> Single:
    text = str(doc["input"])
    samples = silence(text)
    if facts.stream:
        read, written = facts.counter.count(text), len(text)
        usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        spoken = base64.b64encode(_wav(samples)).decode()
        events = ({"type": "speech.audio.delta", "audio": spoken}, {"type": "speech.audio.done", "usage": usage})
        return _events(events)
    plain = doc.get("response_format") == "pcm"
    whole = samples if plain else _wav(samples)
    pieces = tuple(whole[start : start + _PIECE_BYTES] for start in range(0, len(whole), _PIECE_BYTES))
    return Single(MEDIA["pcm" if plain else "wav"], pieces)


def silence(text: str) -> bytes:
    """As long as speaking the text would take, at most half a minute: 16 bit, one channel, 8 kHz."""
    seconds = min(_LONGEST_S, max(0.1, len(text) / _CHARACTERS_PER_S))
    return bytes(2 * int(seconds * _SAMPLES_PER_S))


def _wav(samples: bytes) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, _SAMPLES_PER_S, 2 * _SAMPLES_PER_S, 2, 16)
    sizes = struct.pack("<I", 36 + len(samples)), struct.pack("<I", len(form)), struct.pack("<I", len(samples))
    return b"RIFF" + sizes[0] + b"WAVEfmt " + sizes[1] + form + b"data" + sizes[2] + samples


class _Recording:
    """A recording as the stub listens to it: its beginning, and how long it is in bytes. See `sound.Readable`."""

    def __init__(self, body: Body) -> None:
        self.size = body.size
        self._head = next(iter(body.pieces()), b"")

    def at(self, offset: int, count: int) -> bytes:
        """See `sound.Readable`; nothing but the beginning is kept."""
        return self._head[offset : offset + count]


def _transcription(form: Form, stream: bool, said: str) -> Single:
    seconds = sound.about(_Recording(form.file.body))
    if stream:
        return _events(_heard(seconds, said))
    match dict(form.fields).get("response_format"):
        case "text":
            return Single("text/plain", (f"{said}\n".encode(),))
        case "srt":
            return Single("text/plain", (f"1\n{_at(0, ',')} --> {_at(seconds, ',')}\n{said}\n\n".encode(),))
        case "vtt":
            cue = f"WEBVTT\n\n{_at(0, '.')} --> {_at(seconds, '.')}\n{said}\n\n"
            return Single("text/plain", (cue.encode(),))
        case "verbose_json":
            segments = [_segment(seconds, said)]
            return _json({"task": "transcribe", "language": "english", **_whole(seconds, said), "segments": segments})
        case "diarized_json":
            spoken = {"id": "seg_0", "type": "transcript.text.segment", "speaker": "A", "text": said}
            segments = [{**spoken, "start": 0.0, "end": float(seconds)}]
            return _json({"task": "transcribe", **_whole(seconds, said), "segments": segments})
    return _json({"text": said, "usage": {"type": "duration", "seconds": seconds}})


def _whole(seconds: int, said: str) -> Doc:
    usage = {"type": "duration", "seconds": seconds}
    return {"duration": float(seconds), "text": said, "usage": usage}


def _segment(seconds: int, said: str) -> Doc:
    sure = {"temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0}
    return {"id": 0, "seek": 0, "start": 0.0, "end": float(seconds), "text": said, "tokens": [], **sure}


def _heard(seconds: int, said: str) -> Iterator[Doc]:
    for word in re.findall(r"\s*\S+", said):
        yield {"type": "transcript.text.delta", "delta": word}
    read, written = 10 * seconds, len(said.split())
    usage = {"type": "tokens", "input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    yield {"type": "transcript.text.done", "text": said, "usage": usage}


def _at(seconds: int, point: str) -> str:
    """A time as subtitles write it."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}000"


_ANSWERS: Mapping[str, Callable[[Doc, _Facts], Single]] = {
    "embeddings": _embeddings,
    "rerank": _rerank,
    "moderations": _moderations,
    "images": _images,
    "speech": _speech,
}
