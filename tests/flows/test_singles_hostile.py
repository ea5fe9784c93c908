"""Bad input to single-shot calls: told what is wrong, in the shape of the route; nobody is asked, nothing is spent."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.flows.house import Answer, House, play
from tests.flows.singles import Provider, post_form, providers, recording_form
from tests.operations.recordings import wav

PATHS = (
    "/v1/embeddings",
    "/v1/moderations",
    "/v1/rerank",
    "/v1/images/generations",
    "/v1/audio/speech",
)
FORM = "multipart/form-data; boundary=B"
_WORK_MAX_S = 2.0  # of processor time, everything in this process counted: the gateway, its start, and the client


def part(content: bytes, disposition: str, *more: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in (f"Content-Disposition: {disposition}", *more))
    return b"--B\r\n" + lines.encode() + b"\r\n" + content + b"\r\n"


def field(name: str, value: bytes) -> bytes:
    return part(value, f'form-data; name="{name}"')


MODEL = field("model", b"openai:stt")
FILE = part(wav(1), 'form-data; name="file"; filename="a.wav"', "Content-Type: audio/wav")
END = b"--B--\r\n"


class Ground:
    """A house in front of a provider that would answer everything, and must not be asked."""

    def __init__(self, folder: Path) -> None:
        self._provider = Provider()
        self._folder = folder

    async def __aenter__(self) -> House:
        await self._provider.__aenter__()
        self._provider.says({"text": "never"})
        self._house = House(self._folder, providers=providers(self._provider, "openai"), json_max_bytes=100_000)
        self._began = time.process_time()
        return await self._house.__aenter__()

    async def __aexit__(self, *_: Any) -> None:
        try:
            assert (await self._house.get("/health/liveness")).status == 200
            assert self._provider.asked == []
            assert self._house.rows() == []
            assert self._house.balanced()
            assert time.process_time() - self._began < _WORK_MAX_S
        finally:
            await self._house.__aexit__(None, None, None)
            await self._provider.__aexit__(None, None, None)


def refused(answer: Answer, status: int, param: str | None = None) -> str:
    assert answer.status == status, answer.body
    told = answer.json
    assert set(told) == {"detail", "error"}
    if param is not None:
        assert told["error"]["param"] == param, told
    assert len(answer.body) < 1_000
    message: str = told["error"]["message"]
    return message


# ---- JSON ----


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("raw", "statuses"),
    [
        (b"[" * 500_00 + b"]" * 500_00, (400, 413, 422)),  # J01
        (b'{"a":' * 1_000 + b"1" + b"}" * 1_000, (400, 422)),  # J02
        (b'{"model":"openai:m","input":"x","dimensions":NaN}', (400, 422)),  # J05
        (b"[1,2]", (400, 422)),  # J09
        (b"", (400, 422)),
        (b"null", (400, 422)),
        (b'{"model":"openai:m"', (400, 422)),
        (b"\xff\xfe", (400, 422)),
        (b'{"model":"openai:m","input":"\\ud800","query":"\\ud800","prompt":"\\ud800"}', (400, 422)),
        (b'{"model":"openai:m","input":"x","dimensions":123456789012345678901234567890}', (400, 422)),
        (b"{" + b" " * 200_000 + b"}", (413,)),  # J10
    ],
)
def test_what_is_no_json_object(tmp_path: Path, path: str, raw: bytes, statuses: tuple[int, ...]) -> None:
    async def scene() -> None:
        async with Ground(tmp_path) as house:
            answer = await house.post(raw, path=path)
            assert answer.status in statuses
            assert answer.json["error"]["message"]

    play(scene())


def test_rerank_tells_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Ground(tmp_path) as house:
            body = {"model": 5, "documents": ["a", 7, {"title": "t"}], "top_n": 0, "return_documents": "yes"}
            answer = await house.post(body, path="/v1/rerank")
            assert answer.status == 422
            places = [each["loc"] for each in answer.json["detail"]]
            assert ["body", "query"] in places
            assert ["body", "model"] in places
            assert ["body", "top_n"] in places
            assert any(place[:2] == ["body", "documents"] for place in places)
            assert not any("yes" in str(each) for each in answer.json["detail"])  # never the value

    play(scene())


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/embeddings", {"input": "x"}, "model"),
        ("/v1/embeddings", {"model": "openai:m", "input": [[1], "x"]}, "input"),
        ("/v1/moderations?include_raw=maybe", {"model": "openai:m", "input": "x"}, "include_raw"),
        ("/v1/moderations", {"model": "openai:m", "input": [{"type": "image_url"}]}, "input[0]"),
        ("/v1/images/generations", {"model": "openai:m", "prompt": "p", "n": 1_000_000}, "n"),
        ("/v1/images/generations", {"model": "openai:m", "prompt": "p", "n": -1}, "n"),
        ("/v1/images/generations", {"model": "openai:m", "prompt": "p", "session_label": 5}, "session_label"),
        ("/v1/audio/speech", {"model": "openai:m", "input": "x"}, "voice"),
        ("/v1/audio/speech", {"model": "openai:m", "input": "x", "voice": "v", "speed": 1e308}, "speed"),
        ("/v1/embeddings", {"model": "gpt", "input": "x"}, "model"),
        ("/v1/embeddings", {"model": "zzz:m", "input": "x"}, "model"),
        ("/v1/embeddings", {"model": "openai:" + "m" * 600, "input": "x"}, "model"),
    ],
)
def test_what_is_no_request_names_its_field(tmp_path: Path, path: str, body: Any, param: str) -> None:
    async def scene() -> None:
        async with Ground(tmp_path) as house:
            refused(await house.post(body, path=path), 400, param)

    play(scene())


def test_a_key_that_stands_twice_counts_once_for_us_and_for_the_provider(tmp_path: Path) -> None:  # J03
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            provider.says({"data": [{"index": 0, "embedding": [1.0]}]})
            raw = b'{"model":"openai:cheap","model":"openai:dear","input":"x"}'
            assert (await house.post(raw, path="/v1/embeddings")).status == 200
            assert provider.asked[0].body.count(b'"model"') == 1
            assert provider.asked[0].json["model"] == house.rows()[0]["model"] == "dear"

    play(scene())


@pytest.mark.parametrize("path", PATHS)
def test_another_content_type(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        async with Ground(tmp_path) as house:
            refused(await house.post(b"{}", path=path, headers={"Content-Type": "text/plain"}), 415, "Content-Type")

    play(scene())


# ---- forms ----


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not a valid form"),
        (b"x", "not a valid form"),
        (b"--B", "not a valid form"),
        (b"--B\r\n", "not a valid form"),
        (END, "no field 'file'"),
        (MODEL + FILE, "not a valid form"),  # no end
        (MODEL + FILE[:-1000], "not a valid form"),
        (MODEL + FILE + b"--B-", "not a valid form"),
        (MODEL + b"--C\r\n" + END, "no field 'file'"),
        (MODEL + FILE + b"--B x\r\n" + END, "not a valid form"),
        (MODEL + b"--B\r\n\r\nno head\r\n" + END, "not a valid form"),
        (MODEL + part(b"x", "form-data") + END, "not a valid form"),
        (MODEL + part(b"x", 'form-data; name=""') + END, "not a valid form"),
        (MODEL + part(b"x", 'attachment; name="file"; filename="a.wav"') + END, "not a valid form"),
        (MODEL + part(b"x", 'form-data; name="file"; name="model"; filename="a.wav"') + END, "not a valid form"),
        (
            MODEL + part(b"x", 'form-data; name="file"; filename="a"', "Content-Transfer-Encoding: base64") + END,
            "not a valid",
        ),
        (MODEL + part(b"x", 'form-data; name="file"; filename="a"', "X: " + "y" * 9_000) + END, "not a valid form"),
        (MODEL + part(b"x", 'form-data; name="file"; filename="a"\x00') + END, "not a valid form"),
        (b"--B\nContent-Disposition: form-data; name=a\n\nx\n--B--\n", "not a valid form"),
        (b"x" * 50_000 + MODEL + FILE + END, "not a valid form"),
        (MODEL + FILE + END + b"x" * 50_000, "not a valid form"),
        (b"".join(field(f"a{number}", b"x") for number in range(15_000)) + END, "not a valid form"),
        (field("model", b"openai:stt") * 2 + FILE + END, "model stands 2 times"),  # F16
        (FILE + END, "model is required"),
        (field("model", b"\xff\xfe") + FILE + END, "not UTF-8"),
        (MODEL + END, "no field 'file'"),
        (MODEL + field("file", b"RIFF") + END, "must be sent as a file"),
        (MODEL + part(b"x", 'form-data; name="file"; filename=""') + END, "must be sent as a file"),
        (MODEL + part(b"x", 'form-data; name="file"; filename="../.."') + END, "must be sent as a file"),
        (MODEL + part(b"", 'form-data; name="file"; filename="a.wav"') + END, "file is empty"),
        (MODEL + FILE + FILE + END, "more than one file"),
        (MODEL + part(b"x", 'form-data; name="other"; filename="a.wav"') + FILE + END, "more than one file"),
        (MODEL + field("stream", b"perhaps") + FILE + END, "stream must be true or false"),
    ],
)
def test_a_form_that_is_none_is_refused_with_what_is_wrong(tmp_path: Path, body: bytes, told: str) -> None:
    async def scene() -> None:
        async with Ground(tmp_path) as house:
            assert told in refused(await post_form(house, body, FORM), 400)

    play(scene())


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("multipart/form-data", 400),  # F12
        ("multipart/form-data; boundary=", 400),
        ('multipart/form-data; boundary=""', 400),
        ("multipart/form-data; boundary=" + "b" * 71, 400),
        ("multipart/form-data; boundary=B; boundary=C", 400),
        ("multipart/form-data; boundary=\u00e4".encode().decode("latin-1"), 400),
        ("multipart/mixed; boundary=B", 415),
        ("application/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("audio/wav", 415),
    ],
)
def test_a_form_needs_a_type_that_says_so(tmp_path: Path, kind: str, status: int) -> None:
    async def scene() -> None:
        async with Ground(tmp_path) as house:
            refused(await post_form(house, MODEL + FILE + END, kind), status)

    play(scene())


def test_a_recording_may_have_25_mib_and_no_byte_more(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            provider.says({"text": "Hi"})
            head = wav(1)
            most = head + bytes(25 * 1024 * 1024 - len(head))
            assert (await post_form(house, recording_form(most))).status == 200
            assert len(provider.asked[0].body) > len(most)
            for data in (most + b"x", bytes(60 * 1024 * 1024)):
                answer = await post_form(house, recording_form(data))
                assert (answer.status, answer.json["detail"]) == (
                    413,
                    "Audio file exceeds maximum upload size of 25 MB",
                )
            assert len(provider.asked) == 1
            assert len(house.rows()) == 1

    play(scene())


def test_fields_have_a_limit_too(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Ground(tmp_path) as house:
            answer = await post_form(house, MODEL + field("prompt", b"x" * 9 * 1024 * 1024) + FILE + END, FORM)
            refused(answer, 413)

    play(scene())


def test_a_sender_that_goes_in_the_middle_of_a_form_leaves_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Ground(tmp_path) as house:
            head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {house.key}\r\n"
            for length in ("Content-Length: 5000000", "Transfer-Encoding: chunked"):
                _, writer = await asyncio.open_connection("127.0.0.1", house.port)
                sent = MODEL + FILE if length.startswith("Content") else b"%x\r\n%b\r\n" % (len(MODEL), MODEL)
                writer.write(f"{head}Content-Type: {FORM}\r\n{length}\r\n\r\n".encode() + sent)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
            broken = f"{head}Content-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode()
            assert b" 400 " in (await house.raw(broken)).split(b"\r\n")[0]

    play(scene())


def test_a_form_is_judged_only_for_whoever_has_a_key(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Ground(tmp_path) as house:
            answer = await post_form(house, b"x", FORM, Authorization="Bearer gw-wrong")
            assert answer.status == 401

    play(scene())


@pytest.mark.parametrize(
    ("name", "forwarded"),
    [
        ("../../etc/passwd.wav", "passwd.wav"),
        ("C:\\\\tmp\\\\a.wav", "a.wav"),
        ("a\u202eb.wav", "ab.wav"),
        ("x" * 300 + ".mp3", None),
    ],
)
def test_a_file_name_has_no_folders_and_keeps_its_ending(tmp_path: Path, name: str, forwarded: str | None) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            provider.says({"text": "Hi"})
            body = MODEL + part(wav(1), f'form-data; name="file"; filename="{name}"') + END
            assert (await post_form(house, body, FORM)).status == 200
            told = provider.asked[0].form()[-1][0].filename
            assert told is not None
            assert told == forwarded or (forwarded is None and len(told) <= 255 and told.endswith(".mp3"))

    play(scene())


def test_headers_of_a_part_can_not_reach_the_provider(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            provider.says({"text": "Hi"})
            odd = part(wav(1), 'form-data; name="file"; filename="a.wav"', "Content-Type: audio/wav\x7f", "X-Evil: 1")
            answer = await post_form(house, MODEL + odd + END, FORM)
            headers: Mapping[str, str] = answer.headers
            assert answer.status in (200, 400)
            assert "X-Evil" not in headers
            if provider.asked:
                assert b"X-Evil" not in provider.asked[0].body
                assert provider.asked[0].form()[-1][0].media_type == "application/octet-stream"

    play(scene())
