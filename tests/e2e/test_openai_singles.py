"""The openai package's own methods for everything beside conversations, unchanged, against the built gateway."""

import array
import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.e2e.gateway import Gateway, stub
from tests.operations.recordings import wav

MODEL = "stub:scripted"
SECONDS = 3
LARGEST = 25 * 1024 * 1024
MOST_KIB = 32 * 1024  # that memory may grow by, whatever passes
PRICES = {
    "embeddings": {"input_price_per_million": 1, "output_price_per_million": 0},
    "images": {"input_price_per_million": 0, "output_price_per_million": 0, "price_per_image": 0.04},
    "speech": {"input_price_per_million": 0, "output_price_per_million": 0, "price_per_character": 0.000015},
    "transcriptions": {"input_price_per_million": 0, "output_price_per_million": 0, "price_per_second": 0.0001},
}


@pytest.fixture(scope="module")
def gateway(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("singles")
    config = {
        "providers": {**stub({"defaults": {"strict": False}}, folder), "anthropic": {"api_key": "sk-never-asked"}},
        "pricing": {f"stub:{name}": price for name, price in PRICES.items()},
    }
    with Gateway(pyz, folder / "gateway", config) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=20) as client:
        yield client


def row(gateway: Gateway) -> dict[str, Any]:
    """The newest row of the ledger."""
    found: dict[str, Any] = dict(gateway.wait_quiet().usage()[-1])
    assert (found["state"], found["status"]) == ("settled", "success")
    return found


def recording() -> tuple[str, io.BytesIO, str]:
    return ("talk.wav", io.BytesIO(wav(SECONDS)), "audio/wav")


# ---- embeddings ----


def test_embeddings_are_the_same_packed_and_plain(gateway: Gateway, client: OpenAI) -> None:
    model, texts = "stub:embeddings", ["rain in the city", "a rainy city", "quarterly report"]
    usual = client.embeddings.create(model=model, input=texts)  # the package asks for base64 and unpacks it
    plain = client.embeddings.create(model=model, input=texts, encoding_format="float")
    packed = client.embeddings.create(model=model, input=texts, encoding_format="base64")
    assert [each.index for each in usual.data] == [0, 1, 2]
    for one, two, three in zip(usual.data, plain.data, packed.data, strict=True):
        assert one.embedding == pytest.approx(two.embedding, rel=1e-6)
        text: Any = three.embedding  # the package's types know only the usual form
        assert array.array("f", base64.b64decode(text)).tolist() == one.embedding
    near, far = (_cosine(usual.data[0].embedding, usual.data[n].embedding) for n in (1, 2))
    assert near > 0.4 > far
    assert usual.usage.prompt_tokens == usual.usage.total_tokens > 0
    assert row(gateway)["cost_nano"] == usual.usage.prompt_tokens * 1_000


def _cosine(mine: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(mine, other, strict=True))


def test_embeddings_of_one_text_of_tokens_and_of_a_wanted_length(client: OpenAI) -> None:
    assert len(client.embeddings.create(model=MODEL, input="rain", dimensions=64).data[0].embedding) == 64
    tokens = client.embeddings.create(model=MODEL, input=[[1, 2, 3], [4]])
    assert (len(tokens.data), tokens.usage.prompt_tokens) == (2, 4)
    assert client.embeddings.create(model=MODEL, input=[1, 2, 3]).usage.prompt_tokens == 3


# ---- moderations ----


def test_moderations(client: OpenAI) -> None:
    verdict = client.moderations.create(model=MODEL, input=["I like you.", "I will kill you."])
    assert [result.flagged for result in verdict.results] == [False, True]
    assert verdict.results[1].categories.violence
    assert not verdict.results[1].categories.harassment_threatening
    assert verdict.results[1].category_scores.violence > 0.9
    assert verdict.id


def test_moderations_of_pictures(client: OpenAI) -> None:
    parts: list[Any] = [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    assert not any(result.flagged for result in client.moderations.create(model=MODEL, input=parts).results)


def test_a_provider_without_moderations_is_named(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="Provider anthropic does not support moderation") as raised:
        client.moderations.create(model="anthropic:claude", input="hi")
    assert raised.value.code == "unsupported_operation"


# ---- images ----


def test_images(gateway: Gateway, client: OpenAI) -> None:
    answer = client.images.generate(model="stub:images", prompt="a lighthouse", n=3)
    assert answer.data is not None
    pictures = [base64.b64decode(picture.b64_json or "") for picture in answer.data]
    assert len(pictures) == 3
    assert all(picture.startswith(b"\x89PNG\r\n\x1a\n") for picture in pictures)
    assert (row(gateway)["quantity"], row(gateway)["cost_nano"]) == (3, 120_000_000)
    url = client.images.generate(model=MODEL, prompt="a lighthouse", response_format="url").data
    assert url is not None
    assert (url[0].url or "").startswith("data:image/png;base64,")


def test_images_as_events(client: OpenAI) -> None:
    with client.images.generate(model=MODEL, prompt="a lighthouse", stream=True) as stream:
        events = list(stream)
    assert events[-1].type == "image_generation.completed"
    assert base64.b64decode(events[-1].b64_json).startswith(b"\x89PNG")


def test_too_many_images_are_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.images.generate(model=MODEL, prompt="a lighthouse", n=1_000_000)
    assert raised.value.param == "n"


# ---- transcriptions ----


def test_transcriptions_in_five_formats(gateway: Gateway, client: OpenAI) -> None:
    model = "stub:transcriptions"
    create = client.audio.transcriptions.create
    plain = create(model=model, file=recording())
    assert plain.text
    assert (row(gateway)["quantity"], row(gateway)["cost_nano"]) == (SECONDS, SECONDS * 100_000)
    verbose = create(
        model=model, file=recording(), response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert (verbose.text, verbose.duration) == (plain.text, SECONDS)
    assert verbose.segments is not None
    assert verbose.segments[0].text == plain.text
    assert create(model=model, file=recording(), response_format="text") == f"{plain.text}\n"
    srt = create(model=model, file=recording(), response_format="srt")
    assert srt == f"1\n00:00:00,000 --> 00:00:0{SECONDS},000\n{plain.text}\n\n"
    vtt = create(model=model, file=recording(), response_format="vtt")
    assert vtt.startswith(f"WEBVTT\n\n00:00:00.000 --> 00:00:0{SECONDS}.000\n{plain.text}")
    last = row(gateway)
    assert (last["quantity"], last["flags"]) == (SECONDS, "estimated")  # the head of the file tells it


def test_transcriptions_as_events(client: OpenAI) -> None:
    whole = client.audio.transcriptions.create(model=MODEL, file=recording()).text
    with client.audio.transcriptions.create(model=MODEL, file=recording(), stream=True) as stream:
        events = list(stream)
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == whole
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == whole


def test_a_recording_that_is_too_large_is_refused(client: OpenAI) -> None:
    large = ("talk.wav", io.BytesIO(bytes(26 * 1024 * 1024)), "audio/wav")
    with pytest.raises(openai.APIStatusError, match="Audio file exceeds maximum upload size of 25 MB") as raised:
        client.audio.transcriptions.create(model=MODEL, file=large)
    assert raised.value.status_code == 413


def resident_kib(gateway: Gateway) -> int:
    status = Path(f"/proc/{gateway.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def test_recordings_go_through_two_gateways_and_stay_in_no_memory(pyz: Path, gateway: Gateway, tmp_path: Path) -> None:
    behind = {"type": "otari", "api_base": f"{gateway.url}/v1", "api_key": gateway.key}
    head = wav(1)
    large = head + bytes(LARGEST - len(head))

    def ask(client: OpenAI) -> None:
        create = client.audio.transcriptions.create
        assert create(model="behind:stub:any", file=("a.wav", io.BytesIO(large), "audio/wav")).text

    with (
        Gateway(pyz, tmp_path, {"providers": {"behind": behind}}, name="front") as front,
        OpenAI(base_url=f"{front.url}/v1", api_key=front.key, max_retries=0, timeout=60) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        ask(client)
        before = [resident_kib(each) for each in (front, gateway)]
        for _ in pool.map(lambda _: ask(client), range(24)):
            pass
        after = [resident_kib(each) for each in (front, gateway)]
        assert all(late - early < MOST_KIB for early, late in zip(before, after, strict=True)), (before, after)
        assert len(front.wait_quiet().usage()) == 25


# ---- speech ----


@pytest.mark.parametrize("format_", ["mp3", "wav", "pcm"])
def test_speech_is_streamed_to_disk(gateway: Gateway, client: OpenAI, tmp_path: Path, format_: Any) -> None:
    text = "Hello there, Ærøskøbing. " * 20
    target = tmp_path / "speech"
    create = client.audio.speech.with_streaming_response.create
    with create(model="stub:speech", voice="alloy", input=text, response_format=format_) as response:
        assert response.headers["content-type"] == ("audio/L16" if format_ == "pcm" else "audio/wav")
        response.stream_to_file(target)
    sound = target.read_bytes()
    assert len(sound) > 100_000
    assert sound.startswith(b"RIFF") == (format_ != "pcm")
    assert (row(gateway)["quantity"], row(gateway)["cost_nano"]) == (len(text), len(text) * 15_000)


def test_speech_at_once(client: OpenAI) -> None:
    assert client.audio.speech.create(model=MODEL, voice="alloy", input="Hi").content.startswith(b"RIFF")


def test_speech_as_events(client: OpenAI) -> None:
    create = client.audio.speech.with_streaming_response.create
    with create(model=MODEL, voice="alloy", input="Hi", stream_format="sse") as response:
        lines = [line for line in response.iter_lines() if line]
    assert '"speech.audio.delta"' in lines[0]
    assert '"speech.audio.done"' in lines[-1]
