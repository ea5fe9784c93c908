"""Recording real providers, and giving the recordings again."""

import asyncio
import base64
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from otari.config import ConfigError
from otari.dialects import DIALECTS, sse
from otari.domain.chat import Event, Finish, PartDelta, Reply, Text, Thinking, ToolCall, Usage, fold, unfold
from tests.flows.house import Answer, play
from tests.flows.taped import MODEL, SAID, SPEAKS, Taped, given
from tests.scripted import ScriptedProvider
from tests.scripted.given import Given
from tests.upstreams.stub.rig import script

NAMES = {word: name for name, word in SPEAKS.items()}


def told(answer: Answer, surface: str, *, stream: bool) -> Reply:
    """What an answer says to a client of this surface."""
    assert answer.status == 200, answer.body
    dialect = DIALECTS[NAMES[surface]]
    if not stream:
        return dialect.read_reply(answer.json)
    framer, reader = sse.Framer(), dialect.reader()
    frames = [*sse.split(framer.feed(answer.body)), framer.rest()]
    reply = fold([*(event for frame in frames if frame for event in reader.read(frame)), *reader.end()])
    assert isinstance(reply, Reply)
    return reply


def meaning(reply: Reply) -> tuple[Any, ...]:
    """What does not depend on the wire: texts, calls, why it ended, how much it was."""
    parts: list[object] = []
    for part in reply.parts:
        match part:
            case Text(text):
                parts.append(text)
            case Thinking(text):
                parts.append(("thinks", text))
            case ToolCall():
                parts.append((part.name, orjson.loads(part.arguments)))
    return (*parts, reply.finish, reply.usage.input, reply.usage.output, reply.usage.cache_read)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", SPEAKS)
def test_a_recording_gives_the_same_bytes_again(tmp_path: Path, dialect: str, stream: bool) -> None:
    surface = SPEAKS[dialect]

    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given(dialect, stream=stream)
            async with Taped(tmp_path / "first", provider, dialect=dialect) as taped:
                first = await taped.ask(surface=surface, stream=stream)
                assert first.headers["x-stub-rule"] == "recorded"
                assert taped.tape.end() == (0, [])
        async with Taped(tmp_path / "second", None, "replay") as taped:
            again = await taped.ask(surface=surface, stream=stream)
            assert again.headers["x-stub-rule"] == "001-oslo"
            assert again.body == first.body
            assert len(provider.requests) == 1

    play(scene())


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", SPEAKS)
def test_a_recording_of_one_dialect_is_given_again_in_all(tmp_path: Path, dialect: str, stream: bool) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given(dialect, stream=stream)
            async with Taped(tmp_path / "first", provider, dialect=dialect) as taped:
                await taped.ask(surface=SPEAKS[dialect], stream=stream)
        async with Taped(tmp_path / "second", None, "replay") as taped:
            for surface in SPEAKS.values():
                for streamed in (True, False):
                    wanted = {"include_usage": True} if surface == "chat" and streamed else None
                    again = await taped.ask(surface=surface, stream=streamed, stream_options=wanted)
                    assert meaning(told(again, surface, stream=streamed)) == meaning(SAID)

    play(scene())


def test_the_file_reads_well_and_leaves_out_what_is_different_in_every_run(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given("openai-chat", stream=False)
            async with Taped(tmp_path / "first", provider) as taped:
                await taped.ask("Plan a trip to Oslo, please")
                text = taped.files()["one.yaml"].decode()
                assert "answer-1" not in text
                assert "call_12345678" not in text
                head, _, rest = text.partition("rules:\n")
                assert head.startswith("stub: 1\nrecorded: {at: ")
                assert rest.startswith("- id: 001-plan-a-trip-to-oslo-please\n  when: {model: far:given, hash: ")
                assert (
                    "    - think: The user wants Oslo.\n    - say: |2-\n        Let me see.\n\n        - Oslo: $${"
                    in rest
                )
                assert "    - call: {search: {q: Oslo," in rest

    play(scene())


def test_what_is_recorded_is_not_asked_again_and_sessions_have_files_of_their_own(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given("openai-chat", stream=False)
            for run in ("first", "second"):
                async with Taped(tmp_path / run, provider) as taped:
                    for session in ("tests/test_a.py::test_b[1]", "one", "one"):
                        await taped.ask(session=session)
                    assert len(provider.requests) == 3
                    names = sorted(name for name in taped.files() if name.endswith(".yaml"))
                    assert names[0] == "one.yaml"
                    assert names[1].startswith("tests-test_a.py-test_b-1-")

    play(scene())


def test_the_same_question_gets_its_answers_in_the_order_in_which_they_were_recorded(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Taped(tmp_path / "first", provider) as taped:
            for text in ("one", "two"):
                said = replace(SAID, parts=(Text(text),), finish=Finish.END)
                provider.given[MODEL] = given("openai-chat", said, stream=False)
                await taped.ask()
        async with Taped(tmp_path / "second", None, "replay") as taped:
            texts = [(await taped.ask()).json["choices"][0]["message"]["content"] for _ in range(3)]
            assert texts == ["one", "two", "two"]

    play(scene())


def test_a_stream_reaches_the_client_while_it_is_recorded(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Taped(tmp_path / "first", provider) as taped:
            body = {"model": "far:stall_after_2", "messages": [{"role": "user", "content": "x"}], "stream": True}
            async with taped.client.post(f"{taped.base}/v1/chat/completions", json=body) as response:
                seen = b""
                while seen.count(b"data:") < 3:  # the provider says nothing more, and has not ended
                    seen += await response.content.readany()
            await provider.idle()
            assert taped.files() == {}

    play(scene())


def test_a_client_that_leaves_at_the_end_mark_is_recorded_all_the_same(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Taped(tmp_path / "first", provider) as taped:
            body = {"model": "far:ok", "messages": [{"role": "user", "content": "x"}], "stream": True}
            async with taped.client.post(f"{taped.base}/v1/chat/completions", json=body) as response:
                seen = b""
                while b"[DONE]" not in seen:
                    seen += await response.content.readany()
                response.close()
            await taped.eventually(lambda: "default.yaml" in taped.files())

    play(scene())


@pytest.mark.parametrize(
    "model",
    ["cut_mid_event", "cut_body", "eof_without_done", "error_event_in_200", "status-429", "status-500", "html_200"],
)
@pytest.mark.parametrize("stream", [True, False])
def test_what_is_not_a_whole_answer_is_not_recorded(tmp_path: Path, model: str, stream: bool) -> None:
    if (model, stream) in (("cut_body", True), ("cut_mid_event", False), ("eof_without_done", False)):
        return  # there it is a whole answer
    if (model, stream) == ("error_event_in_200", False):
        return

    async def scene() -> None:
        async with ScriptedProvider() as provider, Taped(tmp_path / "first", provider) as taped:
            answer = await taped.ask(model=f"far:{model}", stream=stream)
            await provider.idle()
            assert taped.files() == {}
            assert (answer.headers.get("x-stub-rule") == "recorded") == (answer.status == 200)
            assert taped.tape.end() == (0, ["1 requests had no whole answer of their provider"])
            (entry,) = (await taped.get("/stub/journal?session=one", Authorization="Bearer x")).json["entries"]
            provider_said = 200 if model == "cut_body" else answer.status
            assert (entry["result"], entry["status"]) == ("recorded", provider_said)

    play(scene())


def test_verify_tells_what_it_could_not_check(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given("openai-chat", stream=False)
            async with Taped(tmp_path / "first", provider) as taped:
                await taped.ask()
        async with Taped(tmp_path / "second", provider, "verify") as taped:  # nobody listens any more
            assert (await taped.ask()).status == 502
            assert taped.tape.end() == (0, ["1 requests had no whole answer of their provider"])

    play(scene())


# ---- secrets -------------------------------------------------------------------------------------------------------


def planted() -> list[str]:
    """Fifty keys that a gateway may know. None has twelve characters in a row with another one."""
    dice = random.Random(50)
    letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789+/-_.~"
    return ["".join(dice.choices(letters, k=28)) + "+/=="[: dice.randrange(5)] for _ in range(50)]


def in_base64(text: str) -> str:
    return base64.b64encode(f"user:{text}".encode()).decode()


# How a key may be spelled, and where in an answer it may stand.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "base64": in_base64,
    "base64 for addresses": lambda key: base64.urlsafe_b64encode(f"k{key}".encode()).decode(),
    "percent": lambda key: f"https://x/?k={quote(key, safe='')}",
    "percent in small and large letters": lambda key: quote(key, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
}
PLACES: dict[str, Callable[[str], tuple[Text | Thinking | ToolCall, ...]]] = {
    "text": lambda key: (Text(f"It is {key}, I think"),),
    "thinking": lambda key: (Thinking(f"hm {key}"), Text("done")),
    "arguments": lambda key: (ToolCall("c", "save", orjson.dumps({"deep": [{"k": key}]}).decode()),),
    "name of an argument": lambda key: (ToolCall("c", "save", orjson.dumps({key: 1}).decode()),),
}


def in_small_pieces(reply: Reply) -> Given:
    """A stream in which no delta has more than three characters."""
    writer = DIALECTS["openai-chat"].writer(wants_usage=True, input_tokens=1, request_doc={})
    events: list[Event] = []
    for event in unfold(reply):
        if isinstance(event, PartDelta):
            events += [PartDelta(event.index, event.text[at : at + 3]) for at in range(0, len(event.text), 3)]
        else:
            events.append(event)
    return Given(tuple(frame for event in events if (frame := writer.write(event))))


def in_a_field_of_its_own(key: str, *, stream: bool) -> Given:
    """An answer with a key where nobody looks, and not one character of it as it is."""
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in key).encode()
    told = given("openai-chat", replace(SAID, parts=(Text("ok"),), finish=Finish.END), stream=stream)
    first = told.pieces[0].replace(b'"model":', b'"debug":{"trace":["' + escaped + b'"]},"model":', 1)
    assert escaped in first
    return replace(told, pieces=(first, *told.pieces[1:]))


def traces(key: str) -> Iterator[bytes]:
    """Every twelve characters of a key, as they are and in base64 from each of the three places."""
    shifted = [base64.b64encode(b"\0" * shift + key.encode()).decode() for shift in range(3)]
    for form in (key, quote(key, safe=""), *(form[4 : len(form) - 4] for form in shifted)):
        yield from (form[at : at + 12].encode() for at in range(len(form) - 11))


def test_no_key_that_the_gateway_knows_is_ever_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty of them, in every spelling and place: those of clients, of providers, and of the environment alone."""
    keys = planted()
    monkeypatch.setenv("GROQ_API_KEY", keys[0])
    monkeypatch.setenv("ANTHROPIC_API_KEY", keys[1])
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", keys[2])
    monkeypatch.setenv("OTARI_AI_TOKEN", keys[3])
    ways = [(spelling, place) for spelling in SPELLINGS for place in PLACES]

    async def scene() -> None:
        async with ScriptedProvider() as provider, Taped(tmp_path / "first", provider) as taped:
            for number, key in enumerate(keys):
                spelling, place = ways[number % len(ways)]
                reply = replace(SAID, parts=PLACES[place](SPELLINGS[spelling](key)), finish=Finish.END)
                stream = number % 2 == 0
                provider.given[MODEL] = given("openai-chat", reply, stream=stream)
                if number % 4 == 0:
                    provider.given[MODEL] = in_small_pieces(reply)
                if number % 10 == 9:
                    provider.given[MODEL] = in_a_field_of_its_own(key, stream=stream)
                headers = {"X-Stub-Session": f"s{number}"}
                if number > 1:
                    headers["Authorization"] = f"Bearer {key}"  # a client's own key
                answer = await taped.ask(f"question {number}", stream=stream, headers=headers)
                assert answer.status == 200
            code, lines = taped.tape.end()
            assert (code, lines) == (5, ["50 answers were not recorded"])
            assert taped.files() == {}
            written = taped.written()
            assert [key for key in keys if any(trace in written for trace in traces(key))] == []

    play(scene())


ASKED: dict[str, Callable[[str], dict[str, Any]]] = {
    "question": lambda key: {"text": f"my key is {key}"},
    "long question": lambda key: {"text": "x " * 95 + key},
    "system": lambda key: {"messages": [{"role": "system", "content": key}, {"role": "user", "content": "hi"}]},
    "tool": lambda key: {
        "tools": [{"type": "function", "function": {"name": "f", "description": key, "parameters": {}}}]
    },
    "header of a field": lambda key: {"metadata": {key: "1"}},
    "session": lambda key: {"session": key},
}


@pytest.mark.parametrize("place", ASKED)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_in_a_request_is_not_written_either(tmp_path: Path, spelling: str, place: str) -> None:
    key = "sk-live-0123456789abcdef"  # of the provider
    sent = ASKED[place](SPELLINGS[spelling](key))

    async def scene() -> None:
        async with ScriptedProvider() as provider, Taped(tmp_path / "first", provider) as taped:
            provider.given[MODEL] = given("openai-chat", stream=False)
            assert (await taped.ask(**sent)).status == 200
            assert taped.files() == {}
            assert taped.tape.end()[0] == 5

    play(scene())


def test_what_looks_like_a_secret_is_masked_and_its_bytes_are_not_kept(tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9

    async def scene() -> None:
        async with ScriptedProvider() as provider:
            reply = replace(SAID, parts=(Text(f"use {token} now"),), finish=Finish.END)
            provider.given[MODEL] = given("openai-chat", reply, stream=True)
            async with Taped(tmp_path / "first", provider) as taped:
                assert token in (await taped.ask(stream=True)).body.decode()
                assert token.encode() not in b"".join(taped.files().values())
                assert list(taped.files()) == ["one.yaml"]
        async with Taped(tmp_path / "second", None, "replay") as taped:
            assert told(await taped.ask(stream=True), "chat", stream=True).parts == (Text("use *** now"),)

    play(scene())


def test_a_question_with_what_looks_like_a_secret_is_answered_byte_for_byte_all_the_same(tmp_path: Path) -> None:
    """Only the question is masked; so a miss can still tell where another one differs."""
    text = "mention plugin://<name>@<market> and {}"

    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given("openai-chat", stream=True)
            async with Taped(tmp_path / "first", provider) as taped:
                first = await taped.ask(text.format("one"), stream=True)
                assert b"<name>" not in b"".join(taped.files().values())
        async with Taped(tmp_path / "second", None, "replay") as taped:
            assert (await taped.ask(text.format("one"), stream=True)).body == first.body
            miss = await taped.ask(text.format("two"))
            assert "differs first at messages[0].content" in miss.error["message"]

    play(scene())


def test_what_makes_no_difference_to_the_script_makes_none_to_a_recording(tmp_path: Path) -> None:
    rules = script("defaults: {normalize: [space]}")

    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given("openai-chat", stream=False)
            async with Taped(tmp_path / "first", provider, script=rules) as taped:
                await taped.ask("on 2026-01-02")
        async with Taped(tmp_path / "second", None, "replay", script=rules) as taped:
            asked = [await taped.ask(text) for text in ("on  2026-01-02", "on 2026-01-03")]
            assert [answer.status for answer in asked] == [200, 400]

    play(scene())


@pytest.mark.parametrize("before", ["", "use ", "please use the following " * 8])
def test_what_looks_like_a_secret_in_a_question_leaves_no_piece_of_it(tmp_path: Path, before: str) -> None:
    """Neither in the name of the rule, nor where the text is cut short."""
    token = "ghp_" + "a1B2c3D4e5F6" * 3

    async def scene() -> None:
        async with ScriptedProvider() as provider, Taped(tmp_path / "first", provider) as taped:
            provider.given[MODEL] = given("openai-chat", stream=False)
            await taped.ask(f"{before}{token} now")
            assert list(taped.files()) == ["one.jsonl", "one.yaml"]
            written = b"".join(taped.files().values()).lower()
            assert b"a1b2c3" not in written
            assert b"*** now" in written

    play(scene())


def test_a_pattern_that_takes_too_long_is_told_while_recording(tmp_path: Path) -> None:
    async def scene() -> None:
        rules = script('rules: [{id: slow, when: {user: "/(x+x+)+y/"}, reply: y}]')
        async with ScriptedProvider() as provider, Taped(tmp_path / "first", provider, script=rules) as taped:
            answer = await taped.ask("x" * 40)
            assert (answer.status, answer.error["code"]) == (400, "stub_pattern_too_slow")
            assert provider.requests == []

    play(scene())


# ---- once more -----------------------------------------------------------------------------------------------------


def test_recording_anew_what_has_not_changed_changes_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given("openai-chat", stream=True)
            async with Taped(tmp_path / "first", provider) as taped:
                await taped.ask(stream=True)
                before = taped.files()
            provider.given[MODEL] = given("openai-chat", replace(SAID, id="other", created=1), stream=True)
            async with Taped(tmp_path / "second", provider, "rerecord") as taped:
                await taped.ask(stream=True)
                assert len(provider.requests) == 2
                taped.tape.end()
                assert taped.files() == before

    play(scene())


def test_recording_anew_replaces_what_changed_and_drops_what_is_not_asked_any_more(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given("openai-chat", stream=False)
            async with Taped(tmp_path / "first", provider) as taped:
                for text in ("kept", "dropped", "changed"):
                    await taped.ask(text)
                before = taped.files()
            async with Taped(tmp_path / "second", provider, "rerecord") as taped:
                await taped.ask("kept")
                other = replace(
                    SAID, parts=(Text("Something else"),), finish=Finish.END, usage=Usage(input=1, output=2)
                )
                provider.given[MODEL] = given("openai-chat", other, stream=False)
                await taped.ask("changed")
                assert taped.files() == before  # until the run has come to its end
                taped.tape.end()
                after = taped.files()["one.yaml"].decode()
                assert "001-kept" in after
                assert "Something else" in after
                assert "dropped" not in after
                assert b"dropped" not in taped.files()["one.jsonl"]

    play(scene())


def test_what_people_edit_counts_and_what_they_wrote_stays(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            said = replace(SAID, parts=(Text("Recorded"),), finish=Finish.END)
            provider.given[MODEL] = given("openai-chat", said, stream=False)
            async with Taped(tmp_path / "first", provider) as taped:
                await taped.ask()
            file = tmp_path / "tapes" / "one.yaml"
            file.write_text("# Mind the gap.\n" + file.read_text().replace("say: Recorded", "say: Edited"))
            async with Taped(tmp_path / "second", provider) as taped:
                assert (await taped.ask()).json["choices"][0]["message"]["content"] == "Edited"
                await taped.ask("more")
                text = file.read_text()
                assert text.startswith("# Mind the gap.\nstub: 1\n")
                assert "002-more" in text
        async with Taped(tmp_path / "third", None, "replay") as taped:
            assert [(await taped.ask(text)).status for text in ("Oslo?", "more", "else")] == [200, 200, 400]

    play(scene())


def test_a_miss_names_the_nearest_recording_and_where_it_differs_first(tmp_path: Path) -> None:
    history = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]

    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given("openai-chat", stream=False)
            async with Taped(tmp_path / "first", provider) as taped:
                await taped.ask("else")
                await taped.ask(messages=[*history, {"role": "user", "content": "three"}])
        async with Taped(tmp_path / "second", None, "replay") as taped:
            miss = await taped.ask(messages=[*history, {"role": "user", "content": "four"}])
            assert (miss.status, miss.error["code"]) == (400, "stub_miss")
            assert "the nearest is '002-three', which differs first at messages[2].content" in miss.error["message"]
            assert "recorded 'three', asked 'four'" in miss.error["message"]
            other = await taped.ask(model="openai:other", messages=[*history, {"role": "user", "content": "three"}])
            assert "the nearest is '002-three', which differs first at model" in other.error["message"]

    play(scene())


def test_a_script_stands_beside_recordings(tmp_path: Path) -> None:
    rules = script("rules: [{id: title, aside: true, when: {user: title}, reply: T}]")

    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given("openai-chat", stream=False)
            async with Taped(tmp_path / "first", provider, script=rules) as taped:
                assert (await taped.ask("title")).headers["x-stub-rule"] == "title"
                await taped.ask()
                assert len(provider.requests) == 1
        async with Taped(tmp_path / "second", None, "replay", script=rules) as taped:
            rules_told = [(await taped.ask(text)).headers["x-stub-rule"] for text in ("title", "Oslo?")]
            assert rules_told == ["title", "001-oslo"]

    play(scene())


# ---- drift ---------------------------------------------------------------------------------------------------------


def test_verify_tells_when_answers_have_another_shape(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given("openai-chat", stream=False)
            async with Taped(tmp_path / "first", provider) as taped:
                await taped.ask()
                before = taped.files()
            provider.given[MODEL] = given(
                "openai-chat", replace(SAID, parts=(Text("other"), *SAID.parts[1:])), stream=False
            )
            async with Taped(tmp_path / "same", provider, "verify") as taped:
                await taped.ask()
                assert taped.tape.end()[1] == ["one: 001-oslo: removed: choices[].message.reasoning_content (text)"]
            doc = orjson.loads(given("openai-chat", stream=False).pieces[0])
            doc["usage"]["prompt_tokens"], doc["new"] = "12", {"deep": [1]}
            provider.given[MODEL] = replace(given("openai-chat", stream=False), pieces=(orjson.dumps(doc),))
            async with Taped(tmp_path / "second", provider, "verify") as taped:
                assert (await taped.ask()).json["new"] == {"deep": [1]}
                await taped.ask("new")
                code, lines = taped.tape.end()
                assert code == 4
                assert lines == [
                    "one: 001-oslo: added: new.deep (list)",
                    "one: 001-oslo: added: new.deep[] (number)",
                    "one: 001-oslo: changed: usage.prompt_tokens (number → text)",
                    "one: no recording of new",
                ]
                assert taped.files() == before

    play(scene())


def test_the_same_shape_is_no_drift_whatever_is_said(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            provider.given[MODEL] = given("openai-responses", stream=True)
            async with Taped(tmp_path / "first", provider, dialect="openai-responses") as taped:
                await taped.ask(surface="responses", stream=True)
            other = replace(SAID, id="x", parts=(Thinking("Hm"), Text("a b c"), ToolCall("c", "f", "{}")))
            provider.given[MODEL] = given("openai-responses", other, stream=True)
            async with Taped(tmp_path / "second", provider, "verify", dialect="openai-responses") as taped:
                await taped.ask(surface="responses", stream=True)
                assert taped.tape.end() == (0, [])

    play(scene())


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["record", "rerecord"])
def test_a_job_does_not_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(ConfigError, match="CI is set, and a job must not record"):
        Taped(tmp_path / "first", None, way)
    Taped(tmp_path / "second", None, "replay")


def test_a_second_recorder_on_one_folder_is_refused(tmp_path: Path) -> None:
    first = Taped(tmp_path / "first", None, "record")
    with pytest.raises(ConfigError, match="somebody else is recording into this folder"):
        Taped(tmp_path / "second", None, "rerecord")
    assert first.tape.end() == (0, [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stub: 2\nrules: []\n", "one.yaml, line 1: stub: version 2 is not known"),
        ("stub: 1\nrules: [{reply: a, sen: {}}]\n", "unknown key; did you mean 'seen'?"),
        ("stub: 1\nfaults: []\n", "one.yaml: a recording has no faults"),
        ("rules: [", "not valid YAML"),
        ("stub: 1\nrules: []\n\x00", "one.yaml"),
    ],
)
def test_what_is_no_recording_is_told_at_the_start(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "tapes").mkdir()
    (tmp_path / "tapes" / "one.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        Taped(tmp_path / "first", None, "replay")
    assert told in str(caught.value)


def test_bytes_that_can_not_be_read_are_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "tapes").mkdir()
    (tmp_path / "tapes" / "one.yaml").write_text("stub: 1\nrules: []\n")
    (tmp_path / "tapes" / "one.jsonl").write_text('{"rule": 1}\n')
    with pytest.raises(ConfigError, match="line 1 is not a recorded answer"):
        Taped(tmp_path / "first", None, "replay")


def test_a_disk_that_takes_nothing_is_told_and_leaves_no_half_file(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Taped(tmp_path / "first", provider) as taped:
            provider.given[MODEL] = given("openai-chat", stream=False)
            (taped.tapes / "one.yaml").mkdir()  # nothing can be put in its place
            assert (await taped.ask()).status == 200
            assert taped.tape.end()[0] == 5
            assert sorted(path.name for path in taped.tapes.iterdir()) == ["one.yaml"]

    play(scene())


def test_two_sessions_at_once_do_not_mix_their_recordings(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Taped(tmp_path / "first", provider) as taped:
            await asyncio.gather(
                *(taped.ask(f"q{n}", f"s{n % 4}", model=f"far:ok-n{n + 1}", stream=bool(n % 2)) for n in range(16))
            )
            for session in range(4):
                text = taped.files()[f"s{session}.yaml"].decode()
                assert [n for n in range(16) if f"-q{n}\n" in text] == [n for n in range(16) if n % 4 == session]

    play(scene())


def test_the_moments_of_a_stream_are_kept(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            async with Taped(tmp_path / "first", provider) as taped:
                await taped.ask(model="far:ok-n3-i30", stream=True)
            takes = [orjson.loads(line) for line in taped.files()["one.jsonl"].splitlines()]
            moments = [moment for moment, _ in takes[0]["pieces"]]
            assert moments == sorted(moments)
            assert moments[-1] - moments[0] >= 50
            assert "timing: [" in taped.files()["one.yaml"].decode()

    play(scene())
