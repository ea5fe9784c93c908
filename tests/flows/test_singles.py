"""Single-shot calls through the whole gateway: providers of every flavour, money, errors, clients that leave."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.flows.house import MASTER, House, play
from tests.flows.singles import KEY, Provider, post_form, providers, recording_form
from tests.operations.recordings import wav

VECTORS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25, 1.0]}],
    "model": "theirs",
    "usage": {"prompt_tokens": 7, "total_tokens": 7},
}
HI = {"input": "hi"}
RANK = {"query": "rain", "documents": ["sun", "rain"]}
DONE = b'data: {"type":"transcript.text.done","text":"Hi","usage":{"type":"duration","seconds":5}}\n\n'
DELTA = b'data: {"type":"transcript.text.delta","delta":"Hi"}\n\n'
ADMIN = {"Authorization": f"Bearer {MASTER}"}


def price(**more: float) -> dict[str, float]:
    return {"input_price_per_million": 0, "output_price_per_million": 0, **more}


# ---- where requests go, and in which words ----


@pytest.mark.parametrize(
    ("kind", "path", "body", "said", "went", "auth", "sent"),
    [
        (
            "openai",
            "/v1/embeddings",
            {**HI, "user": None, "new": 1},
            VECTORS,
            "/embeddings",
            "Authorization",
            {"model": "m", "input": "hi", "new": 1},
        ),
        (
            "mistral",
            "/v1/embeddings",
            {**HI, "dimensions": 3},
            VECTORS,
            "/embeddings",
            "Authorization",
            {"model": "m", "input": ["hi"], "output_dimension": 3},
        ),
        (
            "cohere",
            "/v1/embeddings",
            HI,
            {"embeddings": {"float": [[0.5]]}},
            "/v2/embed",
            "Authorization",
            {"model": "m", "texts": ["hi"], "input_type": "search_document", "embedding_types": ["float"]},
        ),
        (
            "gemini",
            "/v1/embeddings",
            HI,
            {"embeddings": [{"values": [0.5]}]},
            "/v1beta/models/m:batchEmbedContents",
            "x-goog-api-key",
            {"requests": [{"model": "models/m", "content": {"parts": [{"text": "hi"}]}}]},
        ),
        (
            "voyage",
            "/v1/rerank",
            {**RANK, "top_n": 1},
            {"data": [{"index": 1, "relevance_score": 0.9}]},
            "/rerank",
            "Authorization",
            {"query": "rain", "documents": ["sun", "rain"], "top_k": 1, "return_documents": False, "model": "m"},
        ),
        (
            "cohere",
            "/v1/rerank",
            RANK,
            {"results": [{"index": 1, "relevance_score": 0.9}]},
            "/v2/rerank",
            "Authorization",
            {**RANK, "model": "m"},
        ),
        (
            "jina",
            "/v2/rerank",
            RANK,
            {"results": [{"index": 1, "relevance_score": 0.9}]},
            "/rerank",
            "Authorization",
            {**RANK, "return_documents": False, "model": "m"},
        ),
        (
            "mistral",
            "/v1/moderations",
            HI,
            {"results": [{"categories": {"x": True}, "category_scores": {"x": 1}}]},
            "/moderations",
            "Authorization",
            {"model": "m", "input": "hi"},
        ),
        (
            "xai",
            "/v1/images/generations",
            {"prompt": "p", "size": "1x1"},
            {"data": [{"url": "u"}]},
            "/images/generations",
            "Authorization",
            {"prompt": "p", "model": "m"},
        ),
    ],
)
def test_every_provider_is_asked_in_its_own_words(
    tmp_path: Path, kind: str, path: str, body: Any, said: Any, went: str, auth: str, sent: Any
) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, kind)) as house:
            provider.says(said)
            for prefix in ("", "/api") if path.startswith("/v1") else ("",):
                answer = await house.post({"model": f"{kind}:m", **body}, path=prefix + path)
                assert answer.status == 200, answer.body
                assert answer.headers["Content-Type"] == "application/json"
            asked = provider.asked[0]
            assert asked.path.endswith(went)
            assert KEY in asked.headers[auth]
            expected = {key: value for key, value in sent.items() if value is not None}
            if kind == "mistral" and path == "/v1/embeddings":
                expected["input"] = "hi"
            assert asked.json == expected
            assert asked.headers["X-Request-Id"].startswith("req_")
            assert house.balanced()

    play(scene())


def test_bytes_of_an_openai_provider_pass_unchanged(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            said = (
                b'{ "object":"list", "data":[{"embedding":[1e-3,2],"index":0}],"usage":{"prompt_tokens":7},"new":null}'
            )
            provider.gives("application/json; charset=utf-8", said[:20], said[20:])
            answer = await house.post({"model": "openai:m", **HI}, path="/v1/embeddings")
            assert answer.body == said
            (row,) = house.rows()
            assert (row["endpoint"], row["provider"], row["model"]) == ("/v1/embeddings", "openai", "m")
            assert (row["input_tokens"], row["output_tokens"], row["usage_source"], row["flags"]) == (
                7,
                0,
                "provider",
                "",
            )

    play(scene())


def test_a_form_goes_on_with_its_file_name_and_everything_else(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            provider.says({"text": "Hi", "usage": {"type": "duration", "seconds": 5}})
            recording = wav(5)
            fields = (("user", ""), ("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment"))
            form = recording_form(recording, *fields, ("prompt", "Ærø\r\n--x"), name='a "b".wav')
            answer = await post_form(house, form)
            assert (answer.status, answer.json["text"]) == (200, "Hi")
            (asked,) = provider.asked
            assert asked.path.endswith("/audio/transcriptions")
            assert "Bearer" not in asked.headers["Content-Type"]
            *plain, (head, content) = asked.form()
            assert [(part.name, value.decode()) for part, value in plain] == [
                ("model", "stt"),
                ("timestamp_granularities[]", "word"),
                ("timestamp_granularities[]", "segment"),
                ("prompt", "Ærø\r\n--x"),
            ]
            assert (head.name, head.filename, head.media_type, content) == ("file", 'a "b".wav', "audio/wav", recording)

    play(scene())


def test_a_provider_that_lacks_it_is_named(tmp_path: Path) -> None:
    async def scene() -> None:
        kinds = ("anthropic", "groq", "voyage")
        async with Provider() as provider, House(tmp_path, providers=providers(provider, *kinds)) as house:
            voice = {"input": "a", "voice": "b"}
            for model, path, body, words in (
                ("anthropic:m", "/v1/embeddings", HI, "embeddings"),
                ("anthropic:m", "/v1/moderations", HI, "moderation"),
                ("groq:m", "/v1/rerank", RANK, "rerank"),
                ("groq:m", "/v1/images/generations", {"prompt": "a"}, "image generation"),
                ("voyage:m", "/v1/audio/speech", voice, "speech"),
                ("voyage:m", "/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}, "conversations"),
            ):
                answer = await house.post({"model": model, **body}, path=path)
                assert (answer.status, answer.error["code"]) == (400, "unsupported_operation"), answer.body
                name = model.partition(":")[0]
                assert answer.json["detail"] == answer.error["message"] == f"Provider {name} does not support {words}"
            answer = await post_form(house, recording_form(wav(1), model="voyage:m"))
            assert answer.json["detail"] == "Provider voyage does not support transcription"
            assert provider.asked == []
            assert {row["state"] for row in house.rows()} == {"released"}
            assert house.balanced()

    play(scene())


# ---- money ----


def test_everything_is_charged_by_its_own_unit(tmp_path: Path) -> None:
    pricing = {
        "openai:emb": price(input_price_per_million=1),
        "openai:mod": price(price_per_request=0.001),
        "openai:img": price(price_per_image=0.04),
        "openai:tts": price(price_per_character=0.000015),
        "openai:stt": price(price_per_second=0.0001),
    }

    async def scene() -> None:
        async with (
            Provider() as provider,
            House(tmp_path, providers=providers(provider, "openai"), pricing=pricing, require_pricing=True) as house,
        ):
            provider.says(VECTORS)
            await house.post({"model": "openai:emb", **HI}, path="/v1/embeddings")
            provider.says({"id": "x", "model": "m", "results": [{"flagged": False}]})
            await house.post({"model": "openai:mod", **HI}, path="/v1/moderations")
            provider.says({"created": 1, "data": [{"url": "a"}, {"url": "b"}]})
            await house.post({"model": "openai:img", "prompt": "p", "n": 3}, path="/v1/images/generations")
            provider.gives("audio/mpeg", b"abc")
            await house.post({"model": "openai:tts", "input": "Hello, Ærø", "voice": "v"}, path="/v1/audio/speech")
            provider.says({"text": "Hi", "usage": {"type": "duration", "seconds": 5}})
            await post_form(house, recording_form(wav(9)))
            provider.gives("text/plain", b"Hi")
            await post_form(house, recording_form(wav(9), ("response_format", "text")))
            rows = house.rows()
            assert [(row["endpoint"], row["cost_nano"], row["quantity"], row["flags"]) for row in rows] == [
                ("/v1/embeddings", 7_000, None, ""),
                ("/v1/moderations", 1_000_000, None, ""),
                ("/v1/images/generations", 80_000_000, 2, ""),
                ("/v1/audio/speech", 150_000, 10, ""),
                ("/v1/audio/transcriptions", 500_000, 5, ""),
                ("/v1/audio/transcriptions", 900_000, 9, "estimated"),
            ]
            assert all(row["hold_nano"] >= row["cost_nano"] for row in rows)
            assert [row["hold_nano"] for row in rows[2:5]] == [120_000_000, 150_000, 900_000]
            assert not any(row["over_hold"] for row in rows)
            assert house.balanced()

    play(scene())


def test_speech_by_tokens_is_counted_and_says_so(tmp_path: Path) -> None:
    pricing = {"openai:tts": {"input_price_per_million": 0.6, "output_price_per_million": 12}}

    async def scene() -> None:
        async with (
            Provider() as provider,
            House(tmp_path, providers=providers(provider, "openai"), pricing=pricing) as house,
        ):
            provider.gives("audio/mpeg", b"abc")
            text = "Hello there, how are you today?"
            await house.post({"model": "openai:tts", "input": text, "voice": "v"}, path="/v1/audio/speech")
            (row,) = house.rows()
            assert (row["usage_source"], row["flags"]) == ("estimated", "estimated")
            assert row["output_tokens"] == 44
            assert 0 < row["cost_nano"] < row["hold_nano"]

    play(scene())


def test_what_could_pass_the_budget_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    pricing = {"openai:img": price(price_per_image=0.04), "openai:stt": price(price_per_second=1)}

    async def scene() -> None:
        async with (
            Provider() as provider,
            House(tmp_path, providers=providers(provider, "openai"), pricing=pricing) as house,
        ):
            budget = (await house.post({"max_budget": 1}, path="/v1/budgets", headers=ADMIN)).json["budget_id"]
            user = house.query("SELECT user_id FROM users")[0]["user_id"]
            async with house.client.patch(f"{house.base}/v1/users/{user}", json={"budget_id": budget}, headers=ADMIN):
                pass
            image = {"model": "openai:img", "prompt": "p"}
            for body in ({**image, "n": 128}, {**image, "n": 26}):
                answer = await house.post(body, path="/v1/images/generations")
                assert (answer.status, answer.error["code"]) == (403, "insufficient_quota")
            assert (await house.post({**image, "n": 1_000_000}, path="/v1/images/generations")).status == 400
            assert (await post_form(house, recording_form(wav(2)))).status == 403
            assert provider.asked == []
            provider.says({"created": 1, "data": [{"url": "a"}]})
            assert (await house.post({**image, "n": 25}, path="/v1/images/generations")).status == 200
            assert house.balanced()

    play(scene())


def test_sound_and_moderations_need_no_price_and_the_others_do(tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            Provider() as provider,
            House(tmp_path, providers=providers(provider, "openai"), require_pricing=True) as house,
        ):
            for path, body in (
                ("/v1/embeddings", HI),
                ("/v1/images/generations", {"prompt": "p"}),
            ):
                answer = await house.post({"model": "openai:new", **body}, path=path)
                assert (answer.status, answer.error["code"]) == (402, "model_not_priced")
                assert answer.json["detail"].startswith("No pricing configured for model 'openai:new'")
            provider.says({"id": "x", "model": "m", "results": [{"flagged": False}]})
            assert (await house.post({"model": "openai:new", **HI}, path="/v1/moderations")).status == 200
            provider.gives("audio/mpeg", b"abc")
            speech = {"model": "openai:new", "input": "a", "voice": "v"}
            assert (await house.post(speech, path="/v1/audio/speech")).status == 200
            provider.says({"text": "Hi"})
            assert (await post_form(house, recording_form(wav(1)))).status == 200
            rows = house.rows()
            assert [(row["price_source"], row["cost_nano"], row["flags"]) for row in rows] == [("none", None, "")] * 3

    play(scene())


# ---- who asks ----


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/audio/speech"])
def test_the_master_key_names_who_pays(tmp_path: Path, path: str) -> None:
    body = {"model": "stub:x", "input": "hi", "voice": "v"}

    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post(body, path=path, headers=ADMIN)
            told = "When using master key, 'user' field is required in request body"
            assert (answer.status, answer.json["detail"]) == (400, told)
            answer = await house.post({**body, "user": "ghost"}, path=path, headers=ADMIN)
            assert (answer.status, answer.json["detail"]) == (404, "User 'ghost' not found")
            answer = await house.post({**body, "user": "ghost"}, path=path)
            told = "'user' field does not match the authenticated API key's user"
            assert (answer.status, answer.json["detail"]) == (403, told)
            assert (await house.post(body, path=path, headers={"Authorization": "Bearer gw-no"})).status == 401
            user = house.query("SELECT user_id FROM users")[0]["user_id"]
            assert (await house.post({**body, "user": user}, path=path, headers=ADMIN)).status == 200
            (row,) = house.rows()
            assert (row["user_id"], row["key_id"]) == (user, None)

    play(scene())


def test_a_form_may_name_who_pays_too(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            user = house.query("SELECT user_id FROM users")[0]["user_id"]
            form = recording_form(wav(1), ("user", user), model="stub:x")
            assert (await post_form(house, form, Authorization=f"Bearer {MASTER}")).status == 200
            assert (await post_form(house, recording_form(wav(1), model="stub:x"), **ADMIN)).status == 400
            assert (await post_form(house, recording_form(wav(1), ("user", "other"), model="stub:x"))).status == 403

    play(scene())


def test_requests_count_against_the_rate_limit(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, rate_limit_rpm=3) as house:
            speech = {"model": "stub:x", "input": "a", "voice": "v"}
            first = await house.post({"model": "stub:x", **HI}, path="/v1/embeddings")
            second = await house.post(speech, path="/v1/audio/speech")
            third = await post_form(house, recording_form(wav(1), model="stub:x"))
            assert [a.headers["X-RateLimit-Remaining"] for a in (first, second, third)] == ["2", "1", "0"]
            over = await house.post({"model": "stub:x", **HI}, path="/v1/moderations")
            assert (over.status, over.error["code"]) == (429, "rate_limit_exceeded")

    play(scene())


def test_tokens_of_embeddings_count_against_the_rate_limit(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, rate_limit_tpm=5) as house:
            body = {"model": "stub:x", "input": "one two three four five six seven"}
            assert (await house.post(body, path="/v1/embeddings")).status == 200
            assert (await house.post(body, path="/v1/embeddings")).status == 429

    play(scene())


def test_a_repeated_request_is_answered_once_more_and_charged_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            for path, body in (
                ("/v1/embeddings", HI),
                ("/v1/moderations", HI),
                ("/v1/rerank", RANK),
                ("/v1/images/generations", {"prompt": "p"}),
            ):
                key = {"Idempotency-Key": path}
                first, again = [await house.post({"model": "stub:x", **body}, path=path, headers=key) for _ in range(2)]
                assert (first.status, again.status) == (200, 200), first.body
                assert again.body == first.body
                assert again.headers["Idempotent-Replayed"] == "true"
                other = await house.post({"model": "stub:y", **body}, path=path, headers=key)
                assert (other.status, other.error["code"]) == (422, "idempotency_key_reused")
            assert len(house.rows()) == 4

    play(scene())


def test_what_can_not_be_given_again_refuses_the_key_for_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            key = {"Idempotency-Key": "k"}
            speech = {"model": "stub:x", "input": "a", "voice": "v"}
            image = {"model": "stub:x", "prompt": "p", "stream": True}
            for answer in (
                await house.post(speech, path="/v1/audio/speech", headers=key),
                await house.post(image, path="/v1/images/generations", headers=key),
                await post_form(house, recording_form(wav(1), model="stub:x"), **key),
            ):
                assert (answer.status, answer.error["param"]) == (400, "Idempotency-Key")
            assert house.rows() == []

    play(scene())


# ---- failures of providers ----


@pytest.mark.parametrize(
    ("theirs", "ours", "told"),
    [
        (400, 400, "Provider 'openai' says: bad thing"),
        (401, 502, "The provider rejected the gateway's credentials"),
        (404, 404, "Provider 'openai' says: bad thing"),
        (413, 413, "Provider 'openai' says: bad thing"),
        (422, 422, "Provider 'openai' says: bad thing"),
        (429, 429, "Provider 'openai' says: bad thing"),
        (500, 502, "LLM provider error ('openai' answered with status 500)"),
    ],
)
def test_failures_are_told_as_for_conversations(tmp_path: Path, theirs: int, ours: int, told: str) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            provider.says({"error": {"message": "bad thing"}}, theirs)
            provider.headers = {"Retry-After": "7"} if theirs == 429 else {}
            speech = {"model": "openai:m", "input": "a", "voice": "v"}
            for answer in (
                await house.post({"model": "openai:m", **HI}, path="/v1/embeddings"),
                await house.post(speech, path="/v1/audio/speech"),
                await post_form(house, recording_form(wav(30))),
            ):
                assert (answer.status, answer.json["detail"]) == (ours, told)
                assert answer.headers.get("Retry-After") == ("7" if theirs == 429 else None)
            rows = house.rows()
            assert [(row["state"], row["status"], row["http_status"]) for row in rows] == [
                ("released", "error", ours)
            ] * 3
            assert house.balanced()

    play(scene())


@pytest.mark.parametrize(
    "said",
    [
        b"<html>Please log in</html>",
        b"",
        b"{}",
        b"[]",
        b'{"data": {}}',
        b'{"error": {"message": "no"}}',
        b'{"data": [{"embedding": "!", "index": 0}]}',
    ],
)
def test_what_is_no_answer_is_a_failure_of_the_provider(tmp_path: Path, said: bytes) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            provider.gives("application/json", said)
            answer = await house.post({"model": "openai:m", **HI}, path="/v1/embeddings")
            assert (answer.status, answer.error["type"]) == (502, "upstream_error")
            provider.gives("text/html", said)
            assert (await house.post({"model": "openai:m", **HI}, path="/v1/embeddings")).status == 502
            assert (await post_form(house, recording_form(wav(1), ("response_format", "text")))).status == 502
            assert house.balanced()

    play(scene())


def test_an_alias_goes_on_to_the_next_provider(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Provider() as broken, Provider() as good:
            broken.says({"error": {"message": "down"}}, 500)
            good.says({"embeddings": {"float": [[0.5]]}, "meta": {"billed_units": {"input_tokens": 3}}})
            both = {**providers(broken, "openai"), **providers(good, "cohere"), **providers(good, "anthropic")}
            aliases = {"vec": ["openai:a", "anthropic:b", "cohere:c"]}
            async with House(tmp_path, providers=both, aliases=aliases) as house:
                answer = await house.post({"model": "vec", **HI, "encoding_format": "base64"}, path="/v1/embeddings")
                assert answer.json["data"] == [{"object": "embedding", "index": 0, "embedding": "AAAAPw=="}]
                row = next(row for row in house.rows() if row["state"] == "settled")
                assert (row["provider"], row["model"], row["input_tokens"], row["attempt_position"]) == (
                    "cohere",
                    "c",
                    3,
                    3,
                )

    play(scene())


# ---- answers that pass as they come ----


def test_sound_comes_before_the_provider_has_ended(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            provider.gives("audio/ogg", b"first", b"second")
            provider.holds = True
            speech = {"model": "openai:m", "input": "a", "voice": "v"}
            headers = {"Authorization": f"Bearer {house.key}"}
            async with house.client.post(f"{house.base}/v1/audio/speech", json=speech, headers=headers) as response:
                assert (response.status, response.headers["Content-Type"]) == (200, "audio/ogg")
                assert await response.content.readexactly(4) == b"firs"
                assert [row["state"] for row in house.rows()] == ["open"]
                provider.go.set()
                assert await response.read() == b"tsecond"
            assert [row["state"] for row in house.rows()] == ["settled"]

    play(scene())


def test_sound_that_breaks_off_does_not_look_whole(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            provider.gives("audio/mpeg", b"first", b"second")
            provider.breaks = True
            answer = await house.post({"model": "openai:m", "input": "a", "voice": "v"}, path="/v1/audio/speech")
            assert (answer.status, answer.whole) == (200, False)
            (row,) = house.rows()
            assert (row["state"], row["status"], row["quantity"], row["flags"]) == ("settled", "error", 1, "estimated")

    play(scene())


def test_a_transcription_streams(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            provider.gives("text/event-stream", DELTA, DONE)
            provider.holds = True
            form, headers = recording_form(wav(5), ("stream", "true")), {"Authorization": f"Bearer {house.key}"}
            async with house.client.post(
                f"{house.base}/v1/audio/transcriptions", data=form, headers=headers
            ) as response:
                assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
                assert await response.content.readexactly(len(DELTA)) == DELTA
                provider.go.set()
                assert await response.read() == DONE
            assert provider.asked[0].headers["Accept"] == "text/event-stream"
            (row,) = house.rows()
            assert (row["state"], row["quantity"], row["stream"]) == ("settled", 5, 1)

    play(scene())


def test_a_stream_that_breaks_off_ends_in_an_error_event(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            provider.gives("text/event-stream", DELTA)
            sent = {"Authorization": f"Bearer {house.key}"}
            received = b""
            form = recording_form(wav(5), ("stream", "true"))
            async with house.client.post(f"{house.base}/v1/audio/transcriptions", data=form, headers=sent) as response:
                with contextlib.suppress(aiohttp.ClientPayloadError):
                    async for chunk in response.content.iter_any():
                        received += chunk
                assert response.content.exception() is not None  # it did not end, it was cut
            assert received.startswith(DELTA + b'data: {"error":{"message":"The provider broke off')

    play(scene())


def test_a_sign_of_life_goes_out_while_pictures_are_made(tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            Provider() as provider,
            House(tmp_path, providers=providers(provider, "openai"), streaming_keepalive_interval_ms=20) as house,
        ):
            provider.gives("text/event-stream", b": hello\n\n", b'data: {"type":"image_generation.completed"}\n\n')
            provider.holds = True
            sent = {"Authorization": f"Bearer {house.key}"}
            body = {"model": "openai:m", "prompt": "p", "stream": True}
            async with house.client.post(f"{house.base}/v1/images/generations", json=body, headers=sent) as response:
                assert await response.content.readexactly(14) == b": keepalive\n\n:"
                provider.go.set()
                assert (await response.read()).endswith(b'data: {"type":"image_generation.completed"}\n\n')

    play(scene())


@pytest.mark.parametrize("streams", [False, True])
def test_who_leaves_stops_the_provider_within_a_second(tmp_path: Path, streams: bool) -> None:
    async def scene() -> None:
        async with Provider() as provider, House(tmp_path, providers=providers(provider, "openai")) as house:
            provider.holds = True
            if streams:
                provider.gives("audio/mpeg", b"first", b"second")
                path, body = "/v1/audio/speech", {"model": "openai:m", "input": "abc", "voice": "v"}
            else:
                provider.gives("application/json", b'{"data"', b": []}")
                path, body = "/v1/embeddings", {"model": "openai:m", **HI}
            asking = asyncio.ensure_future(house.post(body, path=path))
            await house.eventually(lambda: provider.open == 1 and len(provider.asked) == 1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            async with asyncio.timeout(1):
                await provider.idle.wait()
            await house.eventually(house.balanced)
            (row,) = house.rows()
            assert (row["state"], row["http_status"], row["flags"]) == ("settled", 499, "estimated,client_gone")
            assert row["quantity"] == (3 if streams else None)

    play(scene())


def test_the_stub_speaks_every_operation(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post({"model": "stub:any", "input": ["a", "b"]}, path="/v1/embeddings")
            assert [entry["index"] for entry in answer.json["data"]] == [0, 1]
            assert orjson.loads(answer.body)["usage"]["prompt_tokens"] == 2
            answer = await post_form(house, recording_form(wav(3), ("response_format", "vtt"), model="stub:any"))
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert answer.body.startswith(b"WEBVTT\n\n00:00:00.000 --> 00:00:03.000\n")

    play(scene())
