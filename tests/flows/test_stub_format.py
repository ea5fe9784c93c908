"""The whole format at work: one script with everything in it, asked through the gateway on every surface."""

import asyncio
import base64
import io
import struct
import time
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from otari.dialects import DIALECTS
from otari.stage import read_stub_scripts
from otari.upstreams.stub.digest import digest_of
from otari.upstreams.stub.script import Script
from tests.flows.batches_client import Batches
from tests.flows.house import Answer, play
from tests.flows.stage import Stage, said
from tests.upstreams.stub.rig import asks, tool
from tests.upstreams.stub.rig import script as script_of

FORMAT = Path(__file__).parent / "stub_format"


def written(name: str) -> Script:
    return read_stub_scripts([str(FORMAT / f"{name}.yaml")])


@pytest.fixture
def script() -> Script:
    """The script without its faults and limits, which have tests of their own."""
    return replace(written("script"), faults=(), limits=None)


SYSTEM = {"role": "system", "content": "You are a travel agent"}


@pytest.mark.parametrize(
    "result",
    [
        {"role": "tool", "tool_call_id": "ID", "content": "7 degrees"},
        {"role": "tool", "tool_call_id": "ID", "content": "no idea"},
    ],
)
def test_a_tool_loop(tmp_path: Path, script: Script, result: dict[str, str]) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, script) as stage:
            messages: list[Any] = [SYSTEM, {"role": "user", "content": "The weather in Oslo, please"}]
            first = (await stage.ask(messages=messages, tools=[tool("get_weather")])).json["choices"][0]
            assert first["finish_reason"] == "tool_calls"
            (call,) = first["message"]["tool_calls"]
            assert (call["function"]["name"], call["function"]["arguments"]) == ("get_weather", '{"city":"Oslo"}')
            messages += [first["message"], {**result, "tool_call_id": call["id"]}]
            second = await stage.ask(messages=messages, tools=[tool("get_weather")])
            if "degrees" in result["content"]:
                assert said(second) == "In Oslo: 7 degrees."
                usage = second.json["usage"]
                assert (usage["prompt_tokens"], usage["completion_tokens"]) == (120, 9)
                assert usage["prompt_tokens_details"]["cached_tokens"] == 64
            else:
                assert second.status == 400
                assert "steps[1].expect.tool_result" in second.error["message"]

    play(scene())


def test_a_flaky_provider(tmp_path: Path, script: Script) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, script) as stage:
            told = [await stage.ask("flaky", session) for session in ("a", "b", "a", "a", "a")]
            assert [answer.status for answer in told] == [429, 429, 503, 200, 200]
            assert told[0].headers["Retry-After"] == "1"
            assert said(told[4]) == "third time lucky"

    play(scene())


def test_half_sent_arguments_and_a_reset(tmp_path: Path, script: Script) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, script) as stage:
            torn = await stage.ask("torn", stream=True)
            assert not torn.whole
            deltas = [
                orjson.loads(line[6:])["choices"][0]["delta"]
                for line in torn.body.splitlines()
                if line.startswith(b"data: {") and b'"delta"' in line
            ]
            assert "".join(delta.get("content") or "" for delta in deltas) == "The answer is "
            calls = [call["function"] for delta in deltas for call in delta.get("tool_calls", ())]
            assert calls[0]["name"] == "edit"
            assert (
                "".join(call.get("arguments", "") for call in calls) == '{"path":"a.py"'
            )  # half of it, and no more of it

    play(scene())


def test_json_of_the_requested_schema(tmp_path: Path, script: Script) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    shape = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}

    async def scene() -> None:
        async with Stage(tmp_path, script) as stage:
            made = orjson.loads(said(await stage.ask(response_format=shape)))
            assert isinstance(made["n"], int)

    play(scene())


def test_titles_are_answered_aside(tmp_path: Path, script: Script) -> None:
    messages = [{"role": "system", "content": "Make a Title"}, {"role": "user", "content": "hello"}]

    async def scene() -> None:
        async with Stage(tmp_path, script) as stage:
            assert said(await stage.ask(messages=messages)) == "A title"
            assert (await stage.get("/stub/journal")).json["calls"] == 0

    play(scene())


async def single(stage: Stage, path: str, **body: object) -> Answer:
    return await stage.post({"model": "m", **body}, path=f"/v1/{path}", headers={"Authorization": "Bearer sk-stub-x"})


def test_embeddings_keep_near_texts_near(tmp_path: Path, script: Script) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, script) as stage:
            texts = ["the cat sat on the mat", "a cat sat on a mat", "quarterly revenue grew"]
            answer = await single(stage, "embeddings", input=texts, encoding_format="float")
            first, near, far = (each["embedding"] for each in answer.json["data"])
            assert len(first) == 256
            assert sum(a * a for a in first) == pytest.approx(1)
            assert _product(first, near) > 0.5 > 0.2 > _product(first, far)
            again = await single(stage, "embeddings", input=texts, encoding_format="float")
            assert again.json["data"] == answer.json["data"]
            assert answer.headers["x-stub-rule"] == "vec"

    play(scene())


def _product(mine: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(mine, other, strict=True))


def test_rerank_by_overlap(tmp_path: Path, script: Script) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, script) as stage:
            answer = await single(stage, "rerank", query="cat on a mat", documents=["tax law", "a cat on a mat"])
            assert [result["index"] for result in answer.json["results"]] == [1, 0]

    play(scene())


def test_moderations_flag_what_the_script_says(tmp_path: Path, script: Script) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, script) as stage:
            (flagged,) = (await single(stage, "moderations", input="a bomb")).json["results"]
            assert [name for name, found in flagged["categories"].items() if found] == ["violence"]
            miss = await single(stage, "moderations", input="a flower")
            assert (miss.status, miss.error["code"]) == (400, "stub_miss")

    play(scene())


def test_images_have_the_size_and_the_colour(tmp_path: Path, script: Script) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, script) as stage:
            answer = await single(stage, "images/generations", prompt="sky", size="512x256")
            picture = base64.b64decode(answer.json["data"][0]["b64_json"])
            assert picture.startswith(b"\x89PNG\r\n\x1a\n")
            assert struct.unpack(">II", picture[16:24]) == (512, 256)
            assert bytes.fromhex("336699") in picture
            assert len(picture) < 1000

    play(scene())


def test_speech_is_a_valid_recording_of_silence(tmp_path: Path, script: Script) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, script) as stage:
            answer = await single(stage, "audio/speech", input="Hello there, this takes a while", voice="alloy")
            with wave.open(io.BytesIO(answer.body)) as sound:
                assert sound.getnframes() / sound.getframerate() > 1
                assert not any(sound.readframes(sound.getnframes()))

    play(scene())


def test_single_shots_have_errors_faults_sequences_and_scores(tmp_path: Path) -> None:
    rules = """
    rules:
    - {id: seq, when: {surface: embeddings}, replies: [{error: 429}], after: miss}
    - {id: vec, when: {surface: embeddings}, embed: {dims: 3}}
    - {id: rank, when: {surface: rerank}, rank: {b: 0.9}}
    - {id: none, when: {surface: moderations}, flag: []}
    - {id: talk, reply: never to be heard here}
    faults: [{id: bad, when: {surface: images}, do: {cut: eof}}]
    """

    async def scene() -> None:
        async with Stage(tmp_path, rules) as stage:
            assert (await single(stage, "embeddings", input="x")).status == 429
            vectors = await single(stage, "embeddings", input="x", encoding_format="float")
            assert len(vectors.json["data"][0]["embedding"]) == 3
            ranked = await single(stage, "rerank", query="q", documents=["a", "b"])
            assert [(r["index"], r["relevance_score"]) for r in ranked.json["results"]] == [(1, 0.9), (0, 0.0)]
            (judged,) = (await single(stage, "moderations", input="a bomb")).json["results"]
            assert judged["flagged"] is False
            assert (await single(stage, "images/generations", prompt="x")).status == 502
            spoken = await single(stage, "audio/speech", input="x", voice="v")
            assert (spoken.status, spoken.headers["x-stub-rule"]) == (200, "any-speech")
            entries = (await stage.get("/stub/journal")).json["entries"]
            assert [(e["surface"], e["rule"], e["fault"]) for e in entries] == [
                ("embeddings", "seq", None),
                ("embeddings", "vec", None),
                ("rerank", "rank", None),
                ("moderations", "none", None),
                ("images", "any-images", "bad"),
                ("speech", "any-speech", None),
            ]

    play(scene())


def test_transcriptions_say_what_the_script_says(tmp_path: Path, script: Script) -> None:
    boundary = "xxx"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n',
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n',
        f"--{boundary}--\r\n",
    ]
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Authorization": "Bearer sk-stub-x"}

    async def scene() -> None:
        async with Stage(tmp_path, script) as stage:
            answer = await stage.post("".join(parts).encode(), path="/v1/audio/transcriptions", headers=headers)
            assert answer.json["text"] == "hello", answer.body

    play(scene())


def test_faults_and_limits(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, written("script")) as stage:
            hit = [await stage.ask("flaky") for _ in range(2)]
            assert [answer.headers.get("x-stub-rule") for answer in hit] == ["first2", "first2"]
            assert [(answer.status, answer.headers["Retry-After"]) for answer in hit] == [(429, "1")] * 2
            began = time.monotonic()
            hit.append(await stage.ask("flaky"))  # the third of the session, and the first that the rule hears of
            assert time.monotonic() - began >= 2
            assert (hit[2].headers["x-stub-rule"], hit[2].status) == ("flaky", 429)
            left = [int(answer.headers["x-ratelimit-remaining-requests"]) for answer in hit]
            assert left == [59, 58, 57]
            assert {answer.headers["x-ratelimit-limit-tokens"] for answer in hit} == {"10000"}
            other = await stage.ask("flaky", "other")
            assert (other.headers["x-stub-rule"], other.headers["x-ratelimit-remaining-requests"]) == ("first2", "59")

    play(scene())


def test_one_request_too_many_is_refused_as_the_vendor_does(tmp_path: Path) -> None:
    limited = replace(written("script"), faults=())
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "flaky"}]}

    async def scene() -> None:
        async with Stage(tmp_path, limited) as stage:
            answers = await asyncio.gather(*(stage.ask("flaky", "a") for _ in range(61)))
            refused = [answer for answer in answers if "on requests per minute" in answer.body.decode()]
            assert [answer.status for answer in refused] == [429]
            assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
            assert refused[0].headers["x-ratelimit-remaining-requests"] == "0"
            theirs = await stage.post(
                body, path="/v1/messages", headers={"x-api-key": "sk-stub-b", "Authorization": ""}
            )
            assert theirs.headers["anthropic-ratelimit-requests-remaining"] == "59"
            assert "x-ratelimit-limit-requests" not in theirs.headers

    play(scene())


def test_chance_at_the_client_breaks_the_same_answers_in_every_run(tmp_path: Path) -> None:
    """The gateway has answered and accounted; the client gets nothing that looks whole."""
    torn = replace(written("script"), limits=None, rules=script_of("rules: [{reply: a whole answer}]").rules)

    async def broken(stage: Stage) -> list[int]:
        hit = []
        for number in range(60):
            try:
                answer = await stage.ask("x", f"s{number}", model="m", stream=True)
            except aiohttp.ClientError:
                hit.append(number)
            else:
                hit += [] if answer.whole else [number]
        return hit

    async def scene() -> None:
        runs = []
        for run in ("first", "second"):
            (tmp_path / run).mkdir()
            async with Stage(tmp_path / run, torn) as stage:
                runs.append(await broken(stage))
                assert {row["status"] for row in stage.rows()} == {"success"}
        assert runs[0] == runs[1]
        assert 1 <= len(runs[0]) <= 10

    play(scene())


# The shorthands and the options of a reply, as the reference of the format lists them.
SHORT = """
rules:
- {id: text, when: {user: a text}, reply: text}
- {id: map, when: {user: a map}, reply: {think: t, say: s, call: {f: {x: 1}}}}
- {id: json, when: {user: some json}, reply: {json: {a: [1, "${user}"]}}}
- {id: error, when: {user: an error}, reply: {error: 429}}
- id: options
  when: {user: "/the (?P<which>[a-z]+) options/"}
  reply:
    say: "${user}|${model}|${session}|${turn}|${call}|${tool_result}|${body.metadata.run}|${which}|${lorem:4}"
    usage: {input: 7, output: 5}
    finish: length
    id: chatcmpl-mine
    model: another-name
    headers: {x-mine: "1"}
    stream: {ttft: 1ms, tps: 5000, jitter: 0.5, chunk: token}
    status: 201
"""


def test_shorthands_options_and_templates(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, SHORT) as stage:
            assert said(await stage.ask("a text")) == "text"
            message = (await stage.ask("a map")).json["choices"][0]["message"]
            assert (message["reasoning_content"], message["content"]) == ("t", "s")
            assert [call["function"]["name"] for call in message["tool_calls"]] == ["f"]
            assert orjson.loads(said(await stage.ask("some json"))) == {"a": [1, "some json"]}
            assert (await stage.ask("an error")).status == 429
            answer = await stage.ask("the seven options", "mine", metadata={"run": "r1"})
            told = answer.json
            assert (told["id"], told["model"]) == ("chatcmpl-mine", "another-name")
            assert (told["usage"]["prompt_tokens"], told["usage"]["completion_tokens"]) == (7, 5)
            assert (told["choices"][0]["finish_reason"], answer.headers["x-mine"]) == ("length", "1")
            fields = told["choices"][0]["message"]["content"].split("|")
            assert fields[:-1] == ["the seven options", "gpt-x", "mine", "0", "", "", "r1", "seven"]
            assert len(fields[-1].split()) == 4

    play(scene())


def test_a_recording_answers_the_request_that_was_recorded(tmp_path: Path) -> None:
    recording = written("recording")
    (rule,) = recording.rules
    doc = asks("plan a trip", model="gpt-5.2", tools=[tool("search")])
    digest = digest_of(DIALECTS["openai-chat"].read_request(doc))
    found = replace(recording, rules=(replace(rule, when=replace(rule.when, digest=digest)),))
    answer = replace(rule.answers[0], pace=None)
    found = replace(found, rules=(replace(found.rules[0], answers=(answer,)),))

    async def scene() -> None:
        async with Stage(tmp_path, found) as stage:
            told = await stage.post(doc, headers={"Authorization": "Bearer sk-stub-x"})
            choice = told.json["choices"][0]
            assert (choice["finish_reason"], told.json["usage"]["prompt_tokens"]) == ("tool_calls", 812)
            assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"q":"Oslo"}'
            assert (await stage.post({**doc, "model": "other"})).status == 400

    play(scene())


def test_a_batch(tmp_path: Path, script: Script) -> None:
    """Done at the second look; the third line fails, the others are answered by the other rules."""

    async def scene() -> None:
        async with Stage(tmp_path, script) as stage:
            stage.key = "sk-stub-batches"
            batches = Batches(stage)
            sent = await batches.send(["flaky", "nobody says this", "flaky", "flaky", "flaky"], model="gpt-x")
            assert sent.status == 200, sent.body
            sent_off = "SELECT batch_id FROM batches WHERE remote_state = 'sent'"
            await stage.eventually(lambda: stage.query(sent_off) != [])
            looks = [(await batches.get(sent.json["id"]))["status"] for _ in range(2)]
            assert looks == ["in_progress", "completed"]
            results = await batches.results(sent.json["id"])
            errors = [results[f"r{number}"]["error"] for number in range(5)]
            codes = [None if error is None else error["code"] for error in errors]
            assert codes == ["rate_limit_exceeded", "stub_miss", "invalid_request_error", "upstream_overloaded", None]
            assert results["r4"]["result"]["choices"][0]["message"]["content"] == "third time lucky"

    play(scene())
