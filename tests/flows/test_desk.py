"""`/stub/…`: what tests ask a run, and tell it."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest
from yarl import URL

from tests.flows.house import MASTER, House, chat, play
from tests.flows.stage import Stage, said

RULES = """
rules:
- {id: title, aside: true, when: {system: title}, reply: A title}
- {id: hi, when: {user: hello}, reply: Hi}
- {id: never, when: {user: never}, reply: never}
faults: [{id: unlucky, when: {user: unlucky}, do: {error: 500}}]
"""
TITLE = {"messages": [{"role": "system", "content": "Make a title"}, {"role": "user", "content": "hello"}]}


def test_the_journal_tells_what_was_asked_and_no_credential(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, RULES) as stage:
            headers = {"X-Run": "7", "Cookie": "a=b", "X-My-Token": "c"}
            await stage.ask("hello", "a", headers=headers, tools=[{"type": "function", "function": {"name": "f"}}])
            await stage.ask("bye", "a", stream=True)
            journal = (await stage.get("/stub/journal?session=a")).json
            assert (journal["calls"], journal["misses"]) == (2, 1)
            first, second = journal["entries"]
            assert {name: first[name] for name in ("session", "call", "result", "rule", "status")} == {
                "session": "a",
                "call": 1,
                "result": "answered",
                "rule": "hi",
                "status": 200,
            }
            assert (first["surface"], first["model"], first["tools"], first["user"]) == (
                "chat",
                "gpt-x",
                ["f"],
                "hello",
            )
            assert first["headers"]["x-run"] == "7"
            assert not {"authorization", "cookie", "x-my-token", "host"} & set(first["headers"])
            assert first["body"]["messages"] == [{"role": "user", "content": "hello"}]
            assert (second["result"], second["nearest"], second["failed"]) == ("miss", "hi", ["user"])
            assert second["stream"] is True

    play(scene())


def test_what_the_gateway_answers_itself_is_in_the_journal_too(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, RULES) as stage:
            await stage.get("/v1/models")
            await stage.post({"model": ""})
            await stage.post({}, path="/v1/nothing")
            await stage.get("/health")
            entries = (await stage.get("/stub/journal")).json["entries"]
            assert [(e["result"], e["method"], e["path"], e["status"]) for e in entries] == [
                ("gateway", "GET", "/v1/models", 200),
                ("gateway", "POST", "/v1/chat/completions", 400),
                ("gateway", "POST", "/v1/nothing", 404),
            ]

    play(scene())


def test_what_is_answered_aside_counts_nowhere(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, RULES) as stage:
            titled = await stage.ask(**TITLE)  # type: ignore[arg-type]
            assert said(titled) == "A title"
            assert "x-stub-call" not in titled.headers
            assert (await stage.ask()).headers["x-stub-call"] == "1"
            journal = (await stage.get("/stub/journal")).json
            assert journal["calls"] == 1
            assert [(e["call"], e["aside"]) for e in journal["entries"]] == [(None, True), (1, False)]
            assert (await stage.get("/stub/unused")).json == {"rules": ["never"], "faults": ["unlucky"]}

    play(scene())


@pytest.mark.parametrize(
    ("expect", "met"),
    [
        ([{"rule": "hi", "count": 2}], True),
        ([{"rule": "hi", "count": 1}], False),
        ([{"rule": "hi", "min": 1}, {"rule": "never", "max": 0}], True),
        ([{"rule": "never"}], False),
        ([{"model": "gpt-*", "user": "/^hel+o$/"}], True),
        ([{"session": "b", "count": 1}], True),
        ([{"header": {"X-Run": "=7"}, "count": 1}], True),
        ([{"header": {"X-Run": "8"}}], False),
        ([{"tools": ["f"]}], False),
        ([{"rule": "title", "count": 1}], True),
    ],
)
def test_verify_holds_the_journal_against_what_is_expected(tmp_path: Path, expect: object, met: bool) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, RULES) as stage:
            await stage.ask(headers={"X-Run": "7"})
            await stage.ask(session="b")
            await stage.ask(**TITLE)  # type: ignore[arg-type]
            answer = await stage.post({"expect": expect}, path="/stub/verify")
            assert (answer.status, answer.json["met"]) == (200 if met else 409, met)
            if not met:
                assert answer.error["code"] == "stub_unmet"
                assert "seen" in answer.json["detail"]

    play(scene())


@pytest.mark.parametrize(("order", "met"), [(["hi", "never", "hi"], True), (["never", "hi", "hi"], False)])
def test_verify_can_ask_for_an_order(tmp_path: Path, order: list[str], met: bool) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, RULES) as stage:
            for text in ("hello", "never", "hello"):
                await stage.ask(text)
            expect = {"expect": [{"rule": rule} for rule in order], "order": True}
            assert (await stage.post(expect, path="/stub/verify")).json["met"] is met

    play(scene())


def test_wait_ends_with_the_call_that_was_waited_for(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, RULES) as stage:
            waiting = asyncio.create_task(stage.get("/stub/wait?session=a&count=2&timeout=20s"))
            await stage.ask(session="a")
            await stage.ask(session="b")
            assert not waiting.done()
            await stage.ask(session="a")
            assert (await waiting).json == {"calls": 2}
            late = await stage.get("/stub/wait?session=a&count=3&timeout=1ms")
            assert (late.status, late.error["code"]) == (408, "stub_wait")
            assert "has had 2 of 3 calls" in late.error["message"]

    play(scene())


def test_rules_and_faults_of_a_session_stand_in_front_and_end_with_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, RULES) as stage:
            mine = {"Authorization": "Bearer sk-stub-a"}
            added = await stage.post({"rules": [{"reply": "Mine"}]}, path="/stub/rules", headers=mine)
            assert added.json == {"rules": ["added rules[0]"]}
            assert said(await stage.ask(session="a")) == "Mine"
            assert said(await stage.ask(session="b")) == "Hi"
            fault = {"id": "once", "times": 1, "do": {"error": {"status": 429, "retry_after": 3}}}
            await stage.post(fault, path="/stub/faults?session=b")
            limited = await stage.ask(session="b")
            assert (limited.status, limited.headers["Retry-After"]) == (429, "3")
            assert said(await stage.ask(session="b")) == "Hi"
            for session in ("a", "b", "nobody"):
                async with stage.client.delete(f"{stage.base}/stub/sessions/{session}") as gone:
                    assert gone.status == 204
            assert said(await stage.ask(session="a")) == "Hi"
            assert (await stage.ask(session="b")).headers["x-stub-call"] == "1"

    play(scene())


@pytest.mark.parametrize("name", ["grüße", "a\tb", "n" * 255 + "1"])
def test_a_session_is_asked_for_by_the_name_that_its_client_gave(tmp_path: Path, name: str) -> None:
    neighbour = f"{name[:-1]}?"
    place = quote(name, safe="")

    async def scene() -> None:
        async with Stage(tmp_path, RULES) as stage:
            for each in (name, neighbour):
                await stage.ask("bye", path=f"/s/{quote(each, safe='')}/v1/chat/completions")
            assert (await stage.get(f"/stub/journal?session={place}")).json["misses"] == 1
            assert (await stage.get(f"/stub/wait?session={place}&timeout=1ms")).json == {"calls": 1}
            await stage.post({"rules": [{"reply": "Mine"}]}, path=f"/stub/rules?session={place}")
            assert said(await stage.ask(path=f"/s/{place}/v1/chat/completions")) == "Mine"
            async with stage.client.delete(URL(f"{stage.base}/stub/sessions/{place}", encoded=True)) as gone:
                assert gone.status == 204
            assert (await stage.get(f"/stub/journal?session={place}")).json["calls"] == 0
            assert (await stage.get(f"/stub/journal?session={quote(neighbour, safe='')}")).json["calls"] == 1

    play(scene())


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/stub/rules", {"rules": [{"reply": "a", "whn": {}}]}, "rules[0].whn: unknown key; did you mean 'when'?"),
        ("/stub/rules", {"rules": [{"reply": "a"}], "faults": []}, "rules and nothing else; not faults"),
        ("/stub/rules", 5, "must hold rules"),
        ("/stub/faults", [{"do": {}}], "faults[0].do: does nothing; give error, delay or cut"),
        ("/stub/verify", {}, "expect: is missing"),
        ("/stub/verify", {"expect": [{"rle": "a"}]}, "expect[0].rle: unknown key; did you mean 'rule'?"),
        ("/stub/verify", {"expect": [{"min": 2, "max": 1}]}, "expect[0].max: is less than min"),
        ("/stub/verify", b"{", "not valid JSON"),
    ],
)
def test_what_can_not_be_told_is_refused_by_name(tmp_path: Path, path: str, body: object, told: str) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, RULES) as stage:
            answer = await stage.post(body, path=path)
            assert answer.status == 400
            assert told in answer.error["message"]

    play(scene())


def test_a_pattern_that_takes_too_long_is_given_up_wherever_it_stands(tmp_path: Path) -> None:
    slow = "/(x+x+)+y/"

    async def scene() -> None:
        rules = f"rules: [{{id: any, reply: ok}}]\nexpect: [{{user: '{slow}'}}]"
        async with Stage(tmp_path, rules) as stage:
            assert said(await stage.ask("x" * 40)) == "ok"  # what is expected of it can not be said, but it is answered
            answer = await stage.post({"expect": [{"user": slow}]}, path="/stub/verify")
            assert (answer.status, answer.error["code"]) == (400, "stub_script")
            assert [verdict.met for verdict in stage.desk.verdicts()] == [False]
        (tmp_path / "b").mkdir()
        async with Stage(
            tmp_path / "b", f"rules: [{{reply: ok}}]\nfaults: [{{when: {{user: '{slow}'}}, do: {{error: 500}}}}]"
        ) as b:
            miss = await b.ask("x" * 40)
            assert (miss.status, miss.error["code"]) == (400, "stub_pattern_too_slow")
            assert b.desk.sessions.misses == 1

    play(scene())


@pytest.mark.parametrize("query", ["count=x", "count=-1", "timeout=1h", "timeout=6m", "timeout="])
def test_a_wait_that_makes_no_sense_is_refused(tmp_path: Path, query: str) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, RULES) as stage:
            assert (await stage.get(f"/stub/wait?{query}")).status == 400

    play(scene())


def test_an_ordinary_gateway_has_no_desk_unless_it_is_enabled(tmp_path: Path) -> None:
    (tmp_path / "on").mkdir()

    async def scene() -> None:
        async with House(tmp_path) as house:
            assert (await house.get("/stub/journal", Authorization=f"Bearer {MASTER}")).status == 404
        async with House(tmp_path / "on", enable_stub_control=True) as house:
            await house.post(chat("stub:echo"), headers={"X-Stub-Session": "mine"})
            assert (await house.get("/stub/journal")).status == 401
            journal = (await house.get("/stub/journal?session=mine", Authorization=f"Bearer {MASTER}")).json
            assert [entry["rule"] for entry in journal["entries"]] == ["echo"]

    play(scene())


def test_five_hundred_sessions_at_once_do_not_mix(tmp_path: Path) -> None:
    rules = """
    rules:
    - {id: seq, when: {user: count}, replies: ['${session} one', '${session} two', '${session} three']}
    """

    async def client(stage: Stage, name: str) -> list[str]:
        return [said(await stage.ask("count", name)) for _ in range(3)]

    async def scene() -> None:
        async with Stage(tmp_path, rules) as stage:
            names = [f"s{number}" for number in range(500)]
            told = await asyncio.gather(*(client(stage, name) for name in names))
            assert told == [[f"{name} one", f"{name} two", f"{name} three"] for name in names]
            for name in names[::50]:
                journal = (await stage.get(f"/stub/journal?session={name}")).json
                assert (journal["calls"], len(journal["entries"])) == (3, 3)
            assert stage.balanced()

    play(scene())


def test_two_runs_have_the_same_journal_byte_for_byte(tmp_path: Path) -> None:
    """Also when the requests of different sessions come in another order."""
    rules = """
    defaults: {seed: 5}
    rules: [{id: hi, when: {user: hello}, reply: {json: auto, call: {f: {x: '${lorem:3}'}}}}]
    faults: [{id: chance, p: 0.5, do: {error: 503}}]
    """

    async def run(folder: Path, sessions: list[str]) -> tuple[bytes, dict[str, list[bytes]]]:
        async with Stage(folder, rules) as stage:
            answers: dict[str, list[bytes]] = {session: [] for session in sessions}
            for _ in range(6):
                for session in sessions:
                    answers[session].append((await stage.ask(session=session, stream=True)).body)
            return (await stage.get("/stub/journal")).body, answers

    folders = (tmp_path / "first", tmp_path / "second")
    for folder in folders:
        folder.mkdir()

    async def scene() -> None:
        first = await run(folders[0], ["a", "b", "c"])
        second = await run(folders[1], ["c", "a", "b"])
        assert first == second
        results = {body[:30] for bodies in first[1].values() for body in bodies}
        assert len(results) > 2  # some were hit by chance, others had ids of their own

    play(scene())
