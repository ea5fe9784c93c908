"""What the stub answers to single-shot calls when no script says anything: plausible, and the same every time."""

import asyncio
import base64
import io
import struct
import wave
import zlib
from typing import Any

import orjson
import pytest

from otari.domain.ports import Attempt, Body, Call
from otari.operations.multipart import File, Form
from otari.operations.vectors import as_numbers
from otari.upstreams.stub.stub import StubUpstream
from tests.operations.recordings import Recording, wav
from tests.upstreams.stub.rig import DIALECTS, Words

ATTEMPT = Attempt("stub", "any", "stub", "", None, ("openai-chat",))
FLAVOURS = {"rerank": "otari"}


def came(operation: str, body: bytes | Body, *, stream: bool = False) -> tuple[str, bytes]:
    """Media type and bytes of an answer."""

    async def ask() -> tuple[str, bytes]:
        call = Call("req_1", operation, FLAVOURS.get(operation, "openai"), body, stream)
        async with StubUpstream(DIALECTS, Words()).send(ATTEMPT, call) as reply:
            assert reply.status == 200
            return reply.content_type, b"".join([chunk async for chunk in reply.chunks()])

    return asyncio.run(ask())


def told(operation: str, **body: object) -> Any:
    kind, raw = came(operation, orjson.dumps({"model": "any", **body}))
    assert kind == "application/json"
    assert came(operation, orjson.dumps({"model": "any", **body})) == (kind, raw)  # the same once more
    return orjson.loads(raw)


def vectors(*texts: str) -> list[list[float]]:
    return [entry["embedding"] for entry in told("embeddings", input=list(texts))["data"]]


def cosine(mine: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(mine, other, strict=True))


def test_near_texts_have_near_vectors_of_length_one() -> None:
    rain, rainy, report = vectors("rain in the city", "rainy days in this city", "quarterly report, final draft")
    assert all(cosine(each, each) == pytest.approx(1) for each in (rain, rainy, report))
    assert cosine(rain, rainy) > 0.4
    assert abs(cosine(rain, report)) < 0.2
    assert vectors("rain in the city")[0] == rain


def test_vectors_are_as_long_and_packed_as_is_asked_for() -> None:
    plain = told("embeddings", input="rain", dimensions=16)["data"][0]["embedding"]
    packed = told("embeddings", input="rain", dimensions=16, encoding_format="base64")["data"][0]["embedding"]
    assert len(plain) == 16
    assert as_numbers(packed) == pytest.approx(plain)
    assert told("embeddings", input="")["data"][0]["embedding"][0] == 1.0


def test_tokens_are_counted_as_they_are() -> None:
    assert told("embeddings", input=[1, 2, 3])["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    answer = told("embeddings", input=[[1, 2, 3], [4]])
    assert (len(answer["data"]), answer["usage"]["prompt_tokens"]) == (2, 4)
    assert told("embeddings", input=["a b", "c"])["usage"]["prompt_tokens"] == 3


def test_documents_are_ranked_by_their_likeness() -> None:
    documents = ["quarterly report", "rain", "a rainy city"]
    answer = told("rerank", query="rain in the city", documents=documents)
    assert {result["index"] for result in answer["results"][:2]} == {1, 2}
    scores = [result["relevance_score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert len(told("rerank", query="rain", documents=documents, top_n=1)["results"]) == 1
    assert answer["usage"] == {"total_tokens": 4 + 2 + 1 + 3}


def test_words_of_harm_are_flagged() -> None:
    answer = told(
        "moderations", input=["I like you", "I will KILL you", {"type": "image_url", "image_url": {"url": "x"}}]
    )
    fine, bad, picture = answer["results"]
    assert [result["flagged"] for result in (fine, bad, picture)] == [False, True, False]
    assert [name for name, found in bad["categories"].items() if found] == ["violence"]
    assert set(bad["categories"]) == set(bad["category_scores"])
    assert picture["category_applied_input_types"]["violence"] == ["image"]


def test_pictures_are_real() -> None:
    answer = told("images", prompt="a lighthouse", n=2)
    pictures = [base64.b64decode(entry["b64_json"]) for entry in answer["data"]]
    assert pictures[0] != pictures[1]
    for picture in pictures:
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        length, kind = struct.unpack(">I4s", picture[8:16])
        assert (length, kind) == (13, b"IHDR")
        assert struct.unpack(">I", picture[29:33])[0] == zlib.crc32(picture[12:29])
    assert told("images", prompt="p", response_format="url")["data"][0]["url"].startswith("data:image/png;base64,")


def test_speech_is_a_valid_wav_as_long_as_its_text() -> None:
    lengths = []
    for text in ("Hi", "word " * 30, "word " * 10_000):
        kind, raw = came("speech", orjson.dumps({"model": "any", "input": text, "voice": "v"}))
        assert kind == "audio/wav"
        with wave.open(io.BytesIO(raw)) as sound:
            lengths.append(sound.getnframes() / sound.getframerate())
    assert lengths[0] < lengths[1] < lengths[2] <= 30
    kind, raw = came("speech", orjson.dumps({"model": "any", "input": "Hi", "voice": "v", "response_format": "pcm"}))
    assert (kind, raw[:4]) == ("audio/L16", bytes(4))


def heard(*fields: tuple[str, str], stream: bool = False) -> tuple[str, str]:
    form = Form(fields, File("file", "a.wav", "audio/wav", Recording(wav(4))), "b")
    kind, raw = came("transcriptions", form, stream=stream)
    return kind, raw.decode()


def test_every_recording_says_the_same_in_every_format() -> None:
    text = orjson.loads(heard()[1])["text"]
    assert orjson.loads(heard(("response_format", "json"))[1])["usage"] == {"type": "duration", "seconds": 4}
    verbose = orjson.loads(heard(("response_format", "verbose_json"))[1])
    assert (verbose["text"], verbose["duration"], verbose["segments"][0]["end"]) == (text, 4, 4)
    assert heard(("response_format", "text")) == ("text/plain", f"{text}\n")
    assert heard(("response_format", "srt")) == ("text/plain", f"1\n00:00:00,000 --> 00:00:04,000\n{text}\n\n")
    assert heard(("response_format", "vtt"))[1] == f"WEBVTT\n\n00:00:00.000 --> 00:00:04.000\n{text}\n\n"
    assert orjson.loads(heard(("response_format", "diarized_json"))[1])["segments"][0]["speaker"]


def test_streams_end_as_the_client_expects() -> None:
    kind, raw = heard(stream=True)
    assert kind == "text/event-stream"
    docs = [orjson.loads(frame.removeprefix("data: ")) for frame in raw.split("\n\n")[:-1]]
    assert "".join(doc["delta"] for doc in docs[:-1]) == docs[-1]["text"]
    assert docs[-1]["type"] == "transcript.text.done"
    for operation, body, last in (
        ("images", {"prompt": "p", "n": 2}, "image_generation.completed"),
        ("speech", {"input": "Hi", "voice": "v"}, "speech.audio.done"),
    ):
        kind, events = came(operation, orjson.dumps({"model": "any", **body}), stream=True)
        assert kind == "text/event-stream"
        assert orjson.loads(events.split(b"\n\n")[-2].removeprefix(b"data: "))["type"] == last
