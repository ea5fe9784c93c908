"""Reading scripts: every kind of mistake is told with its place, and all of them at once."""

import re
from datetime import UTC, date, datetime

import pytest
import yaml

from otari.domain.chat import Finish
from otari.upstreams.stub.rules import (
    Answer,
    CallTool,
    Cut,
    ErrorReply,
    Pace,
    Pause,
    Say,
    SayJson,
    Think,
    Tokens,
)
from otari.upstreams.stub.script import CLOCK, Defaults, Script, ScriptError, read_script
from tests.upstreams.stub.rig import script


def answer(reply: str) -> Answer:
    """The answer of a script with one rule whose reply is this YAML."""
    return script(f"rules: [{{reply: {reply}}}]").rules[0].answers[0]


def problems(text: str) -> list[str]:
    """What is wrong with a whole script, without the file name."""
    with pytest.raises(ScriptError) as caught:
        read_script(yaml.safe_load(text), "s.yaml")
    assert str(caught.value) == "\n".join(caught.value.problems)
    assert all(problem.startswith("s.yaml: ") for problem in caught.value.problems)
    return [problem.removeprefix("s.yaml: ") for problem in caught.value.problems]


def problems_of_reply(reply: str) -> list[str]:
    found = problems(f"stub: 1\nrules: [{{reply: {reply}}}]")
    return [problem.removeprefix("rules[0].reply") for problem in found]


# ---- what can be said ----------------------------------------------------------------------------------------------


def test_text_is_the_shortest_answer() -> None:
    assert answer("hello") == Answer((Say("hello"),))


def test_a_map_says_its_blocks_in_the_order_of_its_keys() -> None:
    assert answer("{think: a, say: b, call: {f: {x: 1}}}").blocks == (
        Think("a"),
        Say("b"),
        CallTool("f", {"x": 1}),
    )
    assert answer("{say: b, think: a}").blocks == (Say("b"), Think("a"))


def test_blocks_hold_pauses_and_one_cut_at_their_end() -> None:
    told = answer("{blocks: [{say: a}, {pause: 300ms}, {pause: 1.5s}, {pause: 0}, {pause: 2m}, {cut: 'error:529'}]}")
    assert told.blocks == (Say("a"), Pause(0.3), Pause(1.5), Pause(0), Pause(120), Cut("error", 529))


@pytest.mark.parametrize("kind", ["reset", "eof", "hang", "garbage"])
def test_every_kind_of_cut(kind: str) -> None:
    assert [block.kind for block in answer(f"{{blocks: [{{cut: {kind}}}]}}").blocks if isinstance(block, Cut)] == [kind]


@pytest.mark.parametrize(
    "calls",
    [
        "{call: {f: {x: 1}, g: {}}}",
        "{call: [{f: {x: 1}}, {g: }]}",
        "{blocks: [{call: {f: {x: 1}}}, {call: {g: }}]}",
    ],
)
def test_calls_side_by_side_are_parallel(calls: str) -> None:
    assert answer(calls).blocks == (CallTool("f", {"x": 1}), CallTool("g", {}))


def test_calls_may_have_an_id_and_be_cut() -> None:
    expected = (CallTool("f", {"x": 1}, "c1", 0.5),)
    assert answer("{call: {f: {x: 1}, id: c1, cut_args_at: 0.5}}").blocks == expected
    assert answer("{call: [{f: {x: 1}, id: c1, cut_args_at: 0.5}]}").blocks == expected
    assert answer("{blocks: [{call: {f: {x: 1}}, id: c1, cut_args_at: 0.5}]}").blocks == expected
    assert answer("{call: {f: {x: 1}}, cut_args_at: 0.5, id: reply-1}").id == "reply-1"


def test_a_tool_may_be_called_id() -> None:
    assert answer("{call: {id: {x: 1}}}").blocks == (CallTool("id", {"x": 1}),)


def test_arguments_may_be_raw_text() -> None:
    assert answer("""{call: {f: '{"x": '}}""").blocks == (CallTool("f", '{"x": '),)


def test_json_is_a_value_or_made_from_the_schema() -> None:
    assert answer("{json: {a: [1, null]}}").blocks == (SayJson({"a": [1, None]}),)
    assert answer("{json: auto}").blocks == (SayJson(auto=True),)


def test_everything_beside_the_blocks() -> None:
    told = answer(
        "{say: a, usage: {input: 3, output: 4, cached: 2, reasoning: 1}, finish: length, model: m, id: i, status: 201,"
        " headers: {X-Note: b}, stream: {ttft: 10ms, tps: 5, jitter: 0.5, chunk: token}}"
    )
    assert told == Answer(
        (Say("a"),),
        tokens=Tokens(3, 4, 2, 1),
        finish=Finish.LENGTH,
        model="m",
        id="i",
        status=201,
        headers={"x-note": "b"},
        pace=Pace(0.01, 5, 0.5),
    )


@pytest.mark.parametrize(
    ("word", "finish"),
    [("stop", Finish.END), ("tool_calls", Finish.TOOLS), ("max_tokens", Finish.LENGTH), ("filter", Finish.FILTER)],
)
def test_finish_takes_the_words_of_all_wires(word: str, finish: Finish) -> None:
    assert answer(f"{{say: a, finish: {word}}}").finish is finish


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("429", ErrorReply(429)),
        ("{status: 503, retry_after: 2}", ErrorReply(503, 2.0)),
        ("{status: 503, retry_after: 500ms, message: m}", ErrorReply(503, 0.5, "m")),
    ],
)
def test_errors(error: str, expected: ErrorReply) -> None:
    assert answer(f"{{error: {error}}}") == Answer(refusal=expected)


def test_defaults() -> None:
    assert read_script({"stub": 1}, "s") == Script(Defaults(strict=True, fallback="ok", seed=0, clock=CLOCK))
    told = script(
        "defaults: {strict: false, fallback: lorem, seed: 7, clock: 2026-02-03T04:05:06Z, tokens: approx,"
        " stream: {ttft: 1s}}"
    )
    clock = int(datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC).timestamp())
    assert told.defaults == Defaults(False, "lorem", 7, clock, "approx", Pace(1.0))


@pytest.mark.parametrize(
    "clock",
    [date(2026, 1, 2), datetime(2026, 1, 2), "2026-01-02", "2026-01-02T01:00:00+01:00"],
)
def test_the_clock_in_all_the_forms_that_yaml_gives(clock: object) -> None:
    told = read_script({"stub": 1, "defaults": {"clock": clock}}, "s")
    assert told.defaults.clock == CLOCK + 86_400


def test_a_rule_without_an_id_is_called_by_its_place() -> None:
    assert [rule.id for rule in script("rules: [{reply: a}, {id: b, reply: c}]").rules] == ["rules[0]", "b"]


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", "must be a map, not a list"),
        ("null", "must be a map, not nothing"),
        ("rules: []", "stub: is missing"),
        ("stub: 2", "stub: version 2 is not known"),
        ("stub: true", "stub: version True is not known"),
        ("stub: 1.0", "stub: version 1.0 is not known"),
        ("{stub: 1, rule: []}", "rule: unknown key; did you mean 'rules'?"),
        ("{stub: 1, rules: {}}", "rules: must be a list, not a map"),
        ("{stub: 1, rules: [x]}", "rules[0]: must be a map, not text"),
        ("{stub: 1, rules: [{reply: a, whn: {}}]}", "rules[0].whn: unknown key; did you mean 'when'?"),
        ("{stub: 1, rules: [{reply: a, on: {}}]}", "rules[0]: a key that YAML reads as true (on, yes, true); did you"),
        ("{stub: 1, rules: [{reply: a, 'on': {}}]}", "rules[0].on: unknown key; did you mean 'when'?"),
        ("{stub: 1, rules: [{reply: a, off: {}}]}", "rules[0]: a key that YAML reads as false (off, no, false)"),
        ("{stub: 1, rules: [{reply: a, 5: {}}]}", "rules[0]: the key 5 is a number"),
        ("{stub: 1, rules: [{id: a}]}", "rules[0]: needs exactly one of reply, replies and steps; it has none"),
        ("{stub: 1, rules: [{reply: a, steps: [b]}]}", "rules[0]: needs exactly one of reply, replies and steps; it"),
        ("{stub: 1, rules: [{steps: []}]}", "rules[0].steps: must be a list of at least one answer"),
        ("{stub: 1, rules: [{steps: [5]}]}", "rules[0].steps[0]: must be text or a map, not a number"),
        ("{stub: 1, rules: [{id: '', reply: a}]}", "rules[0].id: must be printable ASCII"),
        ("{stub: 1, rules: [{id: ä, reply: a}]}", "rules[0].id: must be printable ASCII"),
        ("{stub: 1, rules: [{id: a, reply: a}, {id: a, reply: a}]}", "rules[1].id: 'a' is the id of rules[0] already"),
        ("{stub: 1, defaults: {strict: 1}}", "defaults.strict: must be true or false"),
        ("{stub: 1, defaults: {fallback: no}}", "defaults.fallback: false (quote it to mean text) is not known here"),
        ("{stub: 1, defaults: {fallback: eco}}", "defaults.fallback: 'eco' is not known here; did you mean 'echo'?"),
        ("{stub: 1, defaults: {seed: -1}}", "defaults.seed: must be a whole number of at least 0"),
        ("{stub: 1, defaults: {tokens: exact}}", "defaults.tokens: 'exact' is not known here; known: approx"),
        ("{stub: 1, defaults: {clock: noon}}", "defaults.clock: must be a point in time"),
        ("{stub: 1, defaults: {clock: 1960-01-01}}", "defaults.clock: must not be before 1970"),
        ("{stub: 1, defaults: {stream: {ttft: 300}}}", "defaults.stream.ttft: must be a duration such as 300ms"),
        ("{stub: 1, defaults: {stream: {ttft: 2h}}}", "defaults.stream.ttft: must be a duration such as 300ms"),
        ("{stub: 1, defaults: {stream: {ttft: 99m}}}", "defaults.stream.ttft: must not be longer than 3600s"),
        ("{stub: 1, defaults: {stream: {tps: fast}}}", "defaults.stream.tps: must be a number from 0"),
        ("{stub: 1, defaults: {stream: {tps: .nan}}}", "defaults.stream.tps: must be a number from 0"),
        ("{stub: 1, defaults: {stream: {jitter: 2}}}", "defaults.stream.jitter: must be a number from 0 to 1"),
        ("{stub: 1, defaults: {stream: {chunk: byte}}}", "defaults.stream.chunk: 'byte' is not known here"),
    ],
)
def test_a_wrong_script_is_refused_with_the_place(text: str, expected: str) -> None:
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("user", ": must be a map, not text"),
        ("{usr: a}", ".usr: unknown key; did you mean 'user'?"),
        ("{user: 5}", ".user: must be text, not a number (quote it to mean text)"),
        ("{user: ''}", ".user: is empty and would fit every text"),
        ("{user: []}", ".user: must not be an empty list"),
        ("{user: [a, 5]}", ".user[1]: must be text, not a number"),
        ("{user: /(/}", ".user: is not a regular expression: missing )"),
        ("{user: /usr/bin}", ".user: a pattern that begins with / is a regular expression"),
        ("{user: /}", ".user: a pattern that begins with / is a regular expression"),
        ("{user: '/(?P<model>x)/'}", ": the group name 'model' is taken by the template ${model}"),
        ('{user: "\\ud800"}', ".user: holds half of a surrogate pair"),
        ("{surface: chats}", ".surface: 'chats' is not known here; did you mean 'chat'?"),
        ("{model: ''}", ".model: must not be empty"),
        ("{tools: 5}", ".tools: must be text, not a number"),
        ("{turn: first}", ".turn: must be a whole number from 0 on"),
        ("{turn: true}", ".turn: must be a whole number from 0 on"),
        ("{step: -1}", ".step: must be a whole number from 0 on"),
        ("{step: '=>2'}", ".step: must be a whole number from 0 on"),
        ("{stream: maybe}", ".stream: must be true or false"),
        ("{has: [image, pdf]}", ".has[1]: 'pdf' is not known here; known: file, image, schema, thinking"),
    ],
)
def test_wrong_conditions_are_refused_in_when_and_in_expect(when: str, expected: str) -> None:
    found = problems(f"stub: 1\nrules: [{{when: {when}, reply: a}}]")
    assert [problem.startswith(f"rules[0].when{expected}") for problem in found] == [True], found
    found = problems(f"stub: 1\nrules: [{{steps: [{{expect: {when}, say: a}}]}}]")
    assert [problem.startswith(f"rules[0].steps[0].expect{expected}") for problem in found] == [True], found


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("[a]", ": must be text or a map, not a list"),
        ("null", ": must be text or a map, not nothing"),
        ("yes", ": must be text or a map, not true (quote it to mean text)"),
        ("{}", ": says nothing"),
        ("{usage: {input: 1}}", ": says nothing"),
        ("{sya: a, think: b}", ".sya: unknown key; did you mean 'say'?"),
        ("{expect: {user: a}, say: b}", ".expect: unknown key"),
        ("{say: [a]}", ".say: must be text, not a list"),
        ('"${cty}"', ": ${cty} is filled by nothing; known: body.PLACE, call, lorem:20, model, session"),
        ('{say: "${usr}"}', ".say: ${usr} is filled by nothing; did you mean 'user'?"),
        ('{call: {f: {a: [{b: "${x}"}]}}}', ".call.f: ${x} is filled by nothing"),
        ('{json: {a: "${x}"}}', ".json: ${x} is filled by nothing"),
        ('{error: {status: 500, message: "${x}"}}', ".error.message: ${x} is filled by nothing"),
        ("{say: a, cut: eof}", ".cut: stands in blocks only"),
        ("{say: a, pause: 1s}", ".pause: stands in blocks only"),
        ("{say: a, blocks: [{say: b}]}", ": has blocks and say"),
        ("{blocks: {say: a}}", ".blocks: must be a list, not a map"),
        ("{blocks: [a]}", ".blocks[0]: must be a map, not text"),
        ("{blocks: [{}]}", ".blocks[0]: must have exactly one of think, say, call, json, pause, cut; it has none"),
        ("{blocks: [{say: a, think: b}]}", ".blocks[0]: must have exactly one of"),
        ("{blocks: [{say: a, id: b}]}", ".blocks[0].id: unknown key"),
        ("{blocks: [{pause: 5}]}", ".blocks[0].pause: must be a duration"),
        ("{blocks: [{cut: rest}]}", ".blocks[0].cut: 'rest' is not known here; did you mean 'reset'?"),
        ("{blocks: [{cut: error}]}", ".blocks[0].cut: 'error' is not known here; known: eof, error:<status>, garbage"),
        ("{blocks: [{cut: 'error:200'}]}", ".blocks[0].cut: error: takes an HTTP error status"),
        ("{blocks: [{cut: eof}, {say: a}]}", ".blocks[1]: comes after a cut"),
        ("{call: f}", ".call: must be a map, not text"),
        ("{call: {}}", ".call: names no tool"),
        ("{call: {'': {}}}", ".call: a tool name must not be empty"),
        ("{call: {f: [1]}}", ".call.f: must be a map of arguments (or raw argument text), not a list"),
        ("{call: {f: {1: 2}}}", ".call.f: can not be written as JSON: Dict key must be str"),
        ("{call: {f: {}, g: {}, id: c}}", ".call.id: belongs to one call"),
        ("{blocks: [{call: {f: {}, g: {}}, id: c}]}", ".blocks[0].call: has several calls but one id"),
        ("{call: {f: {}, cut_args_at: 2}}", ".call.cut_args_at: must be a number from 0 to 1"),
        ("{say: a, cut_args_at: 0.5}", ".cut_args_at: unknown key"),
        ("{say: a, usage: {input: -1}}", ".usage.input: must be a whole number"),
        ("{say: a, usage: {input: true}}", ".usage.input: must be a whole number"),
        ("{say: a, usage: {tokens: 1}}", ".usage.tokens: unknown key"),
        ("{say: a, usage: {input: 1, cached: 2}}", ".usage.cached: is a part of input"),
        ("{say: a, usage: {output: 1, reasoning: 2}}", ".usage.reasoning: is a part of output"),
        ("{say: a, finish: done}", ".finish: 'done' is not known here"),
        ("{say: a, status: 500}", ".status: must be a whole number from 200 to 299"),
        ("{say: a, headers: {a b: c}}", ".headers.a b: is not a header name"),
        ("{say: a, headers: {a: 5}}", ".headers.a: must be text"),
        ('{say: a, headers: {a: "b\\nc"}}', ".headers.a: must be printable ASCII"),
        ("{say: a, headers: {Content-Type: b}}", ".headers.Content-Type: is set by the stub itself"),
        ("{error: 200}", ".error: must be an HTTP error status from 400 to 599"),
        ("{error: busy}", ".error: must be a map, not text"),
        ("{error: {message: a}}", ".error.status: is missing"),
        ("{error: {status: 600}}", ".error.status: must be a whole number from 400 to 599"),
        ("{error: {status: 429, retry_after: soon}}", ".error.retry_after: must be a duration"),
        ("{error: {status: 429, retry_after: -1}}", ".error.retry_after: must be a number of seconds"),
        ("{error: 429, say: a}", ".say: can not stand beside error"),
    ],
)
def test_a_wrong_reply_is_refused_with_the_place(reply: str, expected: str) -> None:
    found = problems_of_reply(reply)
    assert [problem.startswith(expected) for problem in found] == [True], found


def test_all_problems_come_at_once_in_the_order_of_the_script() -> None:
    found = problems(
        """
        stub: 3
        defaults: {strickt: true}
        rules:
        - {id: a, when: {user: "/(/", modle: x}, reply: {sey: b}}
        - {reply: c, steps: [d]}
        """
    )
    assert [re.split(": ", problem)[0] for problem in found] == [
        "stub",
        "defaults.strickt",
        "rules[0].when.user",
        "rules[0].when.modle",
        "rules[0].reply",
        "rules[0].reply.sey",
        "rules[1]",
    ]


def test_groups_of_expect_may_be_used_in_that_step_only() -> None:
    text = """
    stub: 1
    rules:
    - steps:
      - {expect: {tool_result: "/(?P<n>\\\\d+)/"}, say: "${n}"}
      - "${n}"
    """
    assert [problem.split(" is")[0] for problem in problems(text)] == ["rules[0].steps[1]: ${n}"]
