"""The stub as an upstream: what a gateway gets from it, byte for byte and error for error."""

import asyncio
import hashlib
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import yaml

from otari.dialects import DIALECTS as ALL_DIALECTS
from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.dialects.dialect import Dialect
from otari.dialects.gemini import GEMINI
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.dialects.openai_responses import OPENAI_RESPONSES
from otari.domain.chat import Doc, Failed, Finish, Reply, Text, Thinking, ToolCall
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt, Call, Upstream
from otari.domain.provider import Timeouts
from otari.domain.tokens import Approximate
from otari.upstreams.status import CREDENTIALS
from otari.upstreams.status import refused as live_refusal
from otari.upstreams.stub.frames import GARBAGE_BODY, GARBAGE_FRAME
from otari.upstreams.stub.script import Script, read_script
from otari.upstreams.stub.stub import StubUpstream
from tests.upstreams.stub.rig import DIALECTS, Heard, Words, ask, asks, attempt, call, hear, refused, script, tool

ROOT = Path(__file__).parent.parent.parent.parent
UPSTREAM: Upstream = StubUpstream(ALL_DIALECTS, Approximate())  # the type checker compares the two
OPEN = "defaults: {strict: false, fallback: echo}"


def said(heard: Heard) -> str:
    """All text of the answer."""
    reply = heard.reply()
    assert isinstance(reply, Reply), reply
    return "".join(part.text for part in reply.parts if isinstance(part, Text))


# ---- which answer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_echo_says_the_last_user_message_without_any_script(stream: bool) -> None:
    history = (asks("one")["messages"][0], {"role": "assistant", "content": "x"})
    heard = ask(Script(), {**asks(*history, "two, ${user} {}"), "model": "echo", "stream": stream})
    assert said(heard) == "two, ${user} {}"
    assert heard.headers["x-stub-rule"] == "echo"


def test_echo_of_nothing_says_so() -> None:
    assert said(ask(Script(), {**asks(""), "model": "echo"})) == "(empty)"


@pytest.mark.parametrize(("fallback", "text"), [("ok", "ok"), ("echo", "hello"), ("lorem", "lorem ipsum dolor")])
def test_a_script_that_is_not_strict_falls_back(fallback: str, text: str) -> None:
    heard = ask(f"defaults: {{strict: false, fallback: {fallback}}}", asks("hello"))
    assert said(heard).startswith(text)
    assert heard.headers["x-stub-rule"] == f"fallback-{fallback}"


def test_the_first_rule_that_fits_answers_and_names_itself() -> None:
    rules = "rules: [{id: a, when: {model: 'claude-*'}, reply: a}, {id: b, reply: b}, {id: c, reply: c}]"
    heard = ask(rules, asks("hello"))
    assert (said(heard), heard.headers["x-stub-rule"]) == ("b", "b")
    assert said(ask(rules, {**asks("hello"), "model": "claude-1"})) == "a"


def test_the_model_of_the_attempt_counts() -> None:
    rules = script("rules: [{when: {model: right}, reply: '${model}'}]")
    heard = Heard()

    async def run() -> None:
        async with StubUpstream(DIALECTS, Words(), rules).send(attempt("right"), call(asks("x"))) as reply:
            heard.content_type = reply.content_type
            heard.chunks.append(await reply.read())

    asyncio.run(run())
    assert said(heard) == "right"


def test_a_tool_loop_of_three_steps() -> None:
    rules = """
    rules:
    - when: {user: go, tools: [read, write]}
      steps:
      - call: {read: {path: a}}
      - {expect: {tool_result: alpha}, call: {write: {path: b, text: "${tool_result}"}}}
      - {expect: {tool_result: written}, say: done}
    """
    messages = asks("go")["messages"]
    told = []
    for result in ("alpha", "written", None):
        reply = ask(rules, asks(*messages, tools=[tool("read"), tool("write")], stream=True)).reply()
        assert isinstance(reply, Reply)
        told.append((reply.finish, [p.arguments if isinstance(p, ToolCall) else p for p in reply.parts]))
        if result is None:
            break
        (made,) = reply.parts
        assert isinstance(made, ToolCall)
        function = {"name": made.name, "arguments": made.arguments}
        messages = [
            *messages,
            {"role": "assistant", "tool_calls": [{"id": made.id, "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": made.id, "content": result},
        ]
    assert told == [
        (Finish.TOOLS, ['{"path":"a"}']),
        (Finish.TOOLS, ['{"path":"b","text":"alpha"}']),
        (Finish.END, [Text("done")]),
    ]


# ---- misses --------------------------------------------------------------------------------------------------------


def test_a_miss_names_the_nearest_rule_and_what_failed_and_forbids_retries() -> None:
    rules = """
    rules:
    - {id: far, when: {user: other, model: m, stream: true}, reply: a}
    - {id: near, when: {user: hello, tools: [search], turn: ">=1"}, reply: b}
    """
    error = refused(rules, asks("hello secret words"))
    assert (error.kind, error.code) == (Kind.INVALID, "stub_miss")
    assert "'near', where these do not hold: tools, turn" in error.message
    assert "surface chat, model gpt-x, turn 0, step 0" in error.message
    assert "(tools: wanted search, got none)" in error.message
    assert error.message.endswith('- when: {user: "=hello secret words"}\n  reply: ok')
    assert error.detail is not None  # what is logged and written down holds no word of the conversation
    assert "'near'" in error.detail
    assert "secret words" not in error.detail
    assert error.headers == (("x-should-retry", "false"),)
    assert not error.retryable


REMINDERS = "<system-reminder>\nToday is Monday\n</system-reminder>"


@pytest.mark.parametrize(
    ("content", "shown", "rule"),
    [
        (f"{REMINDERS}\nFix it{REMINDERS}", '"Fix it"', '- when: {user: "Fix it"}'),
        (f"{REMINDERS}{REMINDERS}Fix it\nnow", r'"Fix it\nnow"', '- when: {user: "Fix it"}'),
        ("Fix it", '"Fix it"', '- when: {user: "=Fix it"}'),
        (REMINDERS, '"<system-reminder>', '- when: {user: "<system-reminder>"}'),
        ("Fix <system-reminder>", '"Fix <system-reminder>"', '- when: {user: "=Fix <system-reminder>"}'),
    ],
)
def test_a_miss_shows_what_the_user_said_and_not_what_the_client_put_around_it(
    content: str, shown: str, rule: str
) -> None:
    asked = asks(content)
    told = refused("rules: [{id: hi, when: {user: hello}, reply: Hi}]", asked).message
    assert f"got {shown}" in told
    assert told.partition("answers it:\n")[2].startswith(rule)
    pasted = told.partition("answers it:\n")[2].replace("ok", "found")
    reply = ask("rules:\n" + pasted, asked).reply()  # it answers that request
    assert isinstance(reply, Reply)
    assert reply.parts == (Text("found"),)


def test_a_miss_without_rules_says_so() -> None:
    assert "it has no rules" in refused(Script(), asks("hello")).message


def test_an_expectation_that_is_not_met_is_a_miss_even_if_later_rules_fit() -> None:
    rules = "rules: [{id: a, steps: [{expect: {last: bye}, say: b}]}, {id: c, reply: c}]"
    assert "'a', where these do not hold: steps[0].expect.last" in refused(rules, asks("hello")).message


def test_past_the_last_step_later_rules_are_tried() -> None:
    messages = ("go", {"role": "assistant", "content": "x"}, {"role": "assistant", "content": "y"})
    rules = "rules: [{id: a, steps: [b, c]}]"
    told = refused(rules, asks(*messages)).message
    assert "'a', where these do not hold: steps (all 2 steps of it have been given)" in told
    assert said(ask(rules[:-1] + ", {reply: d}]", asks(*messages))) == "d"


# ---- same request, same bytes --------------------------------------------------------------------------------------

DETERMINED = """
defaults: {seed: 3}
rules:
- reply: {think: hm, say: "日本 ${lorem:30}", json: auto, call: {f: {a: 1}, g: {}}}
"""


def test_the_same_request_gives_the_same_chunks() -> None:
    doc = asks("hello", stream=True)
    first, second = ask(DETERMINED, doc), ask(DETERMINED, doc)
    assert first.chunks == second.chunks
    assert len(first.chunks) > 5


def test_another_process_gives_the_same_chunks() -> None:
    doc = asks("hello", stream=True)
    program = (
        "import sys, orjson, hashlib\n"
        "from tests.upstreams.stub.rig import ask\n"
        "from tests.upstreams.stub.test_stub import DETERMINED, told\n"
        "print(told(ask(DETERMINED, orjson.loads(sys.argv[1]))))\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", program, orjson.dumps(doc).decode()], cwd=ROOT, capture_output=True, check=True
    )
    assert other.stdout.decode().strip() == told(ask(DETERMINED, doc))


def told(heard: Heard) -> str:
    """A print of all chunks and where they were cut."""
    return hashlib.sha256(b"|".join(heard.chunks)).hexdigest()


def ids(heard: Heard) -> list[str]:
    reply = heard.reply()
    assert isinstance(reply, Reply)
    return [reply.id, *(part.id for part in reply.parts if isinstance(part, ToolCall))]


def test_ids_differ_between_requests_rules_steps_and_seeds_and_inside_an_answer() -> None:
    rules = "defaults: {seed: %d}\nrules: [{id: %s, reply: {call: {f: {}, g: {}}}}]"
    answers = [
        ids(ask(rules % (1, "a"), asks("hello"))),
        ids(ask(rules % (1, "a"), asks("hello!"))),
        ids(ask(rules % (2, "a"), asks("hello"))),
        ids(ask(rules % (1, "b"), asks("hello"))),
    ]
    every = [one for answer in answers for one in answer]
    assert len(set(every)) == len(every) == 12


def test_streamed_and_whole_are_the_same_answer() -> None:
    streamed = ask(DETERMINED, asks("hello", stream=True, stream_options={"include_usage": True})).reply()
    assert streamed == ask(DETERMINED, asks("hello")).reply()


def test_ids_do_not_depend_on_the_order_of_keys() -> None:
    doc = asks("hello")
    assert ids(ask(DETERMINED, doc)) == ids(ask(DETERMINED, dict(reversed(doc.items()))))


# ---- the wire ------------------------------------------------------------------------------------------------------


def test_usage_goes_into_the_stream_only_when_it_was_asked_for() -> None:
    rules = "rules: [{reply: {say: a, usage: {input: 120, output: 9, cached: 64}}}]"
    plain = ask(rules, asks("x", stream=True))
    assert b'"usage"' not in plain.body
    wanted = ask(rules, asks("x", stream=True, stream_options={"include_usage": True})).reply()
    assert isinstance(wanted, Reply)
    assert (wanted.usage.input, wanted.usage.output, wanted.usage.cache_read) == (120, 9, 64)


def test_an_answer_says_what_it_is() -> None:
    rules = "rules: [{reply: {say: a, status: 202, headers: {X-Note: b}}}]"
    whole, stream = ask(rules, asks("x")), ask(rules, asks("x", stream=True))
    assert (whole.status, whole.content_type, stream.content_type) == (202, "application/json", "text/event-stream")
    assert whole.headers == {"x-note": "b", "content-type": "application/json", "x-stub-rule": "rules[0]"}
    assert orjson.loads(whole.body)["created"] == 1_767_225_600
    assert stream.body.endswith(b"data: [DONE]\n\n")


def test_thinking_travels_where_the_dialect_has_it() -> None:
    reply = ask("rules: [{reply: {think: hm, say: a}}]", asks("x", stream=True)).reply()
    assert isinstance(reply, Reply)
    assert [type(part) for part in reply.parts] == [Thinking, Text]


@pytest.mark.parametrize(
    ("dialect", "doc", "family"),
    [
        (OPENAI_CHAT, asks("x"), None),
        (ANTHROPIC_MESSAGES, asks("x", max_tokens=99), "anthropic"),
        (OPENAI_RESPONSES, {"model": "m", "input": "x", "include": ["reasoning.encrypted_content"]}, "openai"),
        (OPENAI_RESPONSES, {"model": "m", "input": "x"}, None),
    ],
)
def test_thinking_is_signed_where_the_vendor_signs_it(dialect: Dialect, doc: Doc, family: str | None) -> None:
    upstream = StubUpstream({dialect.name: dialect}, Words(), script("rules: [{reply: {think: hm, say: a}}]"))

    async def answer() -> Reply:
        asked = Call("req-1", "chat", dialect.name, orjson.dumps(doc), False)
        async with upstream.send(attempt("m"), asked) as reply:
            return dialect.read_reply(orjson.loads(await reply.read()))

    thinking = asyncio.run(answer()).parts[0]
    assert isinstance(thinking, Thinking)
    assert thinking.text == "hm"
    assert (thinking.signature is not None) == (family is not None)
    assert thinking.family == family or thinking.signature is None


def test_google_signs_the_first_call_instead() -> None:
    rules = script("rules: [{reply: {think: hm, call: [{f: {}}, {g: {}}]}}]")
    upstream = StubUpstream({GEMINI.name: GEMINI}, Words(), rules)
    doc = GEMINI.write_request(OPENAI_CHAT.read_request(asks("x", tools=[tool("f"), tool("g")])))

    async def answer() -> Reply:
        asked = Call("req-1", "chat", GEMINI.name, orjson.dumps(doc), False)
        async with upstream.send(attempt("m"), asked) as reply:
            return GEMINI.read_reply(orjson.loads(await reply.read()))

    thinking, first, second = asyncio.run(answer()).parts
    assert isinstance(thinking, Thinking)
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert (thinking.signature, second.signature) == (None, None)
    assert first.signature


def test_json_auto_follows_the_schema_of_the_request() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 5}, "kind": {"enum": ["a", "b"]}},
    }
    shape = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    made = orjson.loads(
        said(ask("rules: [{when: {has: schema}, reply: {json: auto}}]", asks("x", response_format=shape)))
    )
    assert set(made) == {"n", "kind"}
    assert 3 <= made["n"] <= 5
    assert made["kind"] in ("a", "b")


# ---- pacing --------------------------------------------------------------------------------------------------------


def slept(rules: str, *, stream: bool) -> list[float]:
    """How long the stub sleeps, each time."""
    naps: list[float] = []

    async def sleep(seconds: float) -> None:
        naps.append(round(seconds, 6))

    ask(rules, asks("x", stream=stream), sleep=sleep)
    return naps


def test_without_a_pace_nobody_sleeps() -> None:
    ask("rules: [{reply: {blocks: [{say: a b c}, {pause: 0}]}}]", asks("x", stream=True))  # `never` would raise


def test_the_pace_of_a_stream() -> None:
    paced = "stream: {ttft: 200ms, tps: 10}"
    assert slept(f"rules: [{{reply: {{say: a b c, {paced}}}}}]", stream=True) == [0.2, 0.1, 0.1, 0.1]
    assert slept(f"defaults: {{{paced}}}\nrules: [{{reply: a b}}]", stream=True) == [0.2, 0.1, 0.1]
    assert slept(f"rules: [{{reply: {{say: a b c, {paced}}}}}]", stream=False) == [0.5]


def test_a_pause_comes_where_it_stands_and_everything_before_it_was_sent() -> None:
    heard = Heard()
    before: list[bytes] = []

    async def sleep(seconds: float) -> None:
        assert seconds == 1.5
        before.append(heard.body)

    rules = script("rules: [{reply: {blocks: [{say: first}, {pause: 1.5s}, {say: second}]}}]")
    asyncio.run(hear(StubUpstream(DIALECTS, Words(), rules, sleep=sleep), asks("x", stream=True), heard))
    assert len(before) == 1
    assert b"first" in before[0]
    assert before[0].endswith(b"\n\n")
    assert b"second" not in before[0]


def test_jitter_is_bounded_and_seeded() -> None:
    rules = "defaults: {seed: %d}\nrules: [{reply: {say: '${lorem:20}', stream: {tps: 10, jitter: 0.5}}}]"
    naps = slept(rules % 1, stream=True)
    assert all(0.05 <= nap <= 0.15 for nap in naps)
    assert len(set(naps)) > 5
    assert slept(rules % 1, stream=True) == naps
    assert slept(rules % 2, stream=True) != naps


# ---- faults --------------------------------------------------------------------------------------------------------


def cut(kind: str) -> str:
    return f"rules: [{{reply: {{blocks: [{{say: the answer is}}, {{cut: {kind}}}]}}}}]"


@pytest.mark.parametrize("stream", [False, True])
def test_reset_breaks_off_after_what_was_sent(stream: bool) -> None:
    heard = ask(cut("reset"), asks("x", stream=stream))
    assert heard.error is not None
    assert (heard.error.kind, heard.error.code, heard.error.retryable) == (Kind.UPSTREAM, "upstream_disconnected", True)
    assert b"DONE" not in heard.body
    assert (b" answer" in heard.body) if stream else (len(heard.body) > 0)


def test_eof_ends_without_the_terminal_frame() -> None:
    heard = ask(cut("eof"), asks("x", stream=True))
    assert heard.error is None
    assert heard.body.endswith(b"\n\n")
    assert b" answer" in heard.body
    assert b'finish_reason":"stop' not in heard.body
    assert b"DONE" not in heard.body
    assert isinstance(heard.reply(), Failed)


@pytest.mark.parametrize("kind", ["eof", "garbage"])
def test_a_whole_answer_that_is_cut_is_no_json(kind: str) -> None:
    heard = ask(cut(kind), asks("x"))
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(heard.body)
    assert (heard.body == GARBAGE_BODY) is (kind == "garbage")


def test_garbage_is_a_frame_that_is_no_json_and_then_the_end() -> None:
    heard = ask(cut("garbage"), asks("x", stream=True))
    assert heard.error is None
    assert heard.body.endswith(b"\n\n" + GARBAGE_FRAME)
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(GARBAGE_FRAME.removeprefix(b"data: "))


def test_an_error_inside_a_stream_is_told_by_a_frame() -> None:
    heard = ask(cut("error:529"), asks("x", stream=True))
    assert heard.error is None
    failed = heard.reply()
    assert isinstance(failed, Failed)
    assert "529" in failed.message
    assert b"DONE" not in heard.body


def test_an_error_inside_an_answer_that_is_not_streamed_takes_its_place() -> None:
    error = refused(cut("error:529"), asks("x"))
    assert (error.kind, error.upstream_status) == (Kind.UNAVAILABLE, 529)


@pytest.mark.parametrize("stream", [False, True])
def test_a_hang_sends_what_came_before_and_can_be_cancelled(stream: bool) -> None:
    heard = Heard()

    async def run() -> bool:
        upstream = StubUpstream(DIALECTS, Words(), script(cut("hang")))
        task = asyncio.ensure_future(hear(upstream, asks("x", stream=stream), heard))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(run())
    assert heard.body
    assert b"DONE" not in heard.body


def test_a_hang_ends_when_the_silence_of_the_provider_has_lasted_too_long() -> None:
    patient = Attempt("stub", "m", "stub", "", None, ("openai-chat",), timeouts=Timeouts(silence_s=0.001))

    async def run() -> OtariError:
        upstream = StubUpstream(DIALECTS, Words(), script(cut("hang")))
        async with upstream.send(patient, call(asks("x", stream=True))) as reply:
            with pytest.raises(OtariError) as caught:
                async for _ in reply.chunks():
                    pass
        return caught.value

    error = asyncio.run(run())
    assert (error.kind, error.code, error.retryable) == (Kind.UPSTREAM_TIMEOUT, "upstream_timeout", True)


def test_a_long_stream_lets_others_run() -> None:
    rules = script("rules: [{reply: '${lorem:3000}'}]")
    heard = Heard()
    seen: list[int] = []

    async def run() -> None:
        task = asyncio.ensure_future(hear(StubUpstream(DIALECTS, Words(), rules), asks("x", stream=True), heard))
        while not task.done():
            seen.append(len(heard.chunks))
            await asyncio.sleep(0)

    asyncio.run(run())
    assert len(set(seen)) > 10


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, Kind.INVALID, False),
        (404, Kind.NOT_FOUND, True),
        (413, Kind.TOO_LARGE, False),
        (422, Kind.UNPROCESSABLE, False),
        (429, Kind.RATE_LIMITED, True),
        (401, Kind.UPSTREAM, True),
        (402, Kind.UPSTREAM, True),
        (403, Kind.UPSTREAM, True),
        (500, Kind.UPSTREAM, True),
        (529, Kind.UNAVAILABLE, True),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_is_what_a_real_provider_with_that_status_is(
    status: int, kind: Kind, retryable: bool, stream: bool
) -> None:
    rules = f"rules: [{{reply: {{error: {{status: {status}, retry_after: 2, message: 'no, ${{user}}'}}}}}}]"
    error = refused(rules, asks("x", stream=stream))
    assert (error.kind, error.retryable, error.upstream_status) == (kind, retryable, status)
    live = live_refusal(status, "no, x", provider="stub", retry_after=2.0)
    assert vars(error) == vars(live)


def test_a_rate_limit_tells_when_to_come_back() -> None:
    assert refused("rules: [{reply: {error: {status: 429, retry_after: 1500ms}}}]", asks("x")).retry_after == 1.5
    assert refused("rules: [{reply: {error: 429}}]", asks("x")).retry_after is None


def test_rejected_credentials_get_the_fixed_sentence() -> None:
    assert refused("rules: [{reply: {error: {status: 401, message: sk-1}}}]", asks("x")).message == CREDENTIALS


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"5"])
def test_a_body_that_is_no_object_is_invalid(body: bytes) -> None:
    async def run() -> None:
        async with StubUpstream(DIALECTS, Words()).send(attempt(), Call("r", "chat", "openai-chat", body, False)):
            raise AssertionError("answered")

    with pytest.raises(OtariError) as caught:
        asyncio.run(run())
    assert caught.value.kind is Kind.INVALID


@pytest.mark.parametrize(("operation", "dialect"), [("dance", "openai"), ("chat", "smoke-signals")])
def test_what_the_stub_can_not_do_is_said(operation: str, dialect: str) -> None:
    async def run() -> None:
        async with StubUpstream(DIALECTS, Words()).send(attempt(), Call("r", operation, dialect, b"{}", False)):
            raise AssertionError("answered")

    with pytest.raises(OtariError) as caught:
        asyncio.run(run())
    assert caught.value.kind is Kind.INVALID
    assert (dialect if operation == "chat" else operation) in caught.value.message


# ---- what is shipped -----------------------------------------------------------------------------------------------


def shipped() -> Script:
    path = ROOT / "config" / "stub.example.yaml"
    return read_script(yaml.safe_load(path.read_text()), path.name)


def test_the_shipped_script_shows_text_a_tool_call_and_several_turns() -> None:
    rules = shipped()
    assert said(ask(rules, {**asks("Hello there"), "model": "script"})).startswith("Hello!")
    reply = ask(rules, asks("What's the weather in New York?", tools=[tool("get_weather")])).reply()
    assert isinstance(reply, Reply)
    assert [p.arguments for p in reply.parts if isinstance(p, ToolCall)] == ['{"city":"New York"}']
    first = said(ask(rules, asks("Knock knock!")))
    assert first == "Who's there?"
    assert said(ask(rules, asks("Knock knock!", {"role": "assistant", "content": first}, "Otter."))) == "Otter who?"
    assert said(ask(rules, asks("anything else"))) == "anything else"
    assert refused(rules, asks("fail busy")).kind is Kind.RATE_LIMITED
    assert ask(rules, asks("fail torn", stream=True)).error is not None
