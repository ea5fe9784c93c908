"""Conditions on how a request came in, on places in its body, and on the whole of it."""

import itertools
from typing import Any

import orjson
import pytest
import yaml

from otari.dialects import DIALECTS
from otari.domain.arrival import Arrival
from otari.domain.chat import Doc
from otari.domain.secret import Secret
from otari.upstreams.stub.digest import asked_of, digest_of
from otari.upstreams.stub.matching import Match, Miss, find
from otari.upstreams.stub.patience import TooSlow
from otari.upstreams.stub.rules import Rule
from otari.upstreams.stub.scene import Scene, scene_of
from otari.upstreams.stub.script import ScriptError
from tests.upstreams.stub.rig import asks, script, tool

CHAT = DIALECTS["openai-chat"]
CAME = Arrival(session="team/one", headers={"x-run": "run 7", "x-empty": ""}, key=Secret("sk-stub-team/one"))
BODY = {**asks("hello"), "a": {"b": [1, {"c": "Deep thought"}]}, "n": 2, "yep": True, "none": None}


def scene(doc: Doc = BODY) -> Scene:
    return scene_of(CHAT.read_request(doc), "chat", CAME, doc)


def failed(when: str, seen: Scene) -> tuple[str, ...]:
    found = find(script(f"rules: [{{when: {when}, reply: a}}]").rules, seen)
    return found.failed if isinstance(found, Miss) else ()


@pytest.mark.parametrize(
    ("when", "missing"),
    [
        ("{session: team/one}", ()),
        ("{session: [a, 'team/*']}", ()),
        ("{session: team}", ("session",)),
        ("{key: 'sk-stub-*'}", ()),
        ("{key: sk-other}", ("key",)),
        ("{header: {X-Run: run}}", ()),
        ("{header: {x-run: '=run 7', X-EMPTY: '='}}", ()),
        ("{header: {x-run: /^run \\d$/}}", ()),
        ("{header: {x-run: walk, x-gone: a}}", ("header.x-run", "header.x-gone")),
        ("{body: {n: 2}}", ()),
        ("{body: {n: 2.0}}", ()),
        ("{body: {n: 3}}", ("body.n",)),
        ("{body: {n: '2'}}", ("body.n",)),
        ("{body: {yep: true}}", ()),
        ("{body: {yep: 1}}", ("body.yep",)),
        ("{body: {n: true}}", ("body.n",)),
        ("{body: {none: null, gone: null}}", ()),
        ("{body: {n: null}}", ("body.n",)),
        ("{body: {'a.b[1].c': thought}}", ()),
        ("{body: {'a.b[1].c': /^deep/i}}", ()),
        ("{body: {'a.b[9].c': thought}}", ("body.a.b[9].c",)),
        ("{body: {'messages[0].content': hello}}", ()),
        ("{hash: ffffffffffffffff}", ("hash",)),
    ],
)
def test_conditions_on_the_http_request_and_on_its_body(when: str, missing: tuple[str, ...]) -> None:
    assert failed(when, scene()) == missing


def test_named_groups_come_from_headers_and_bodies_too() -> None:
    rules = script(
        """
        rules:
        - when: {header: {x-run: "/run (?P<run>\\\\d)/"}, body: {"a.b[1].c": "/(?P<what>Deep)/"}}
          reply: "${run} ${what} ${session} ${body.a.b[1].c} ${body.n} ${body.gone}"
        """
    ).rules
    found = find(rules, scene())
    assert isinstance(found, Match)
    assert found.groups == {"run": "7", "what": "Deep"}


@pytest.mark.parametrize("text", ["hello  world", "hello\nworld", " hello\t world\n"])
def test_one_white_space_is_as_good_as_another(text: str) -> None:
    seen = scene(asks(text))
    assert failed("{user: hello world}", seen) == ()
    assert failed("{user: '=hello world'}", seen) == ()
    assert failed("{user: /^hello world$/}", seen) == ("user",)


def test_a_blank_at_the_edge_of_a_pattern_counts() -> None:
    assert failed("{user: ' world'}", scene(asks("helloworld"))) == ("user",)


def test_a_pattern_that_does_not_come_to_an_end_is_given_up() -> None:
    rules = script("rules: [{when: {user: '/(a+)+$/'}, reply: b}]").rules
    with pytest.raises(TooSlow) as caught:
        find(rules, scene(asks("a" * 40 + "!")))
    assert caught.value.pattern == "(a+)+$"


# ---- answers in sequence -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "numbers"), [("last", [0, 1, 1, 1, 1]), ("loop", [0, 1, 0, 1, 0]), ("miss", [0, 1, None, None, None])]
)
def test_replies_are_given_one_after_the_other(after: str, numbers: list[int | None]) -> None:
    rules = script(f"rules: [{{id: r, after: {after}, replies: [a, b]}}]").rules
    told = []
    for given in range(5):
        found = find(rules, scene(), lambda rule, given=given: given if rule == "r" else 99)  # type: ignore[misc]
        told.append(found.number if isinstance(found, Match) else None)
        if isinstance(found, Miss):
            assert found.failed == ("replies",)
    assert told == numbers


def test_past_the_last_reply_later_rules_are_tried() -> None:
    rules = script("rules: [{id: a, replies: [x]}, {id: b, reply: y}]").rules
    found = find(rules, scene(), lambda rule: 1)
    assert isinstance(found, Match)
    assert found.rule == "b"


# ---- the digest ----------------------------------------------------------------------------------------------------

LOOP = asks(
    {"role": "system", "content": "be kind"},
    "weather in Oslo and Rome?",
    {
        "role": "assistant",
        "content": "Let me see",
        "tool_calls": [
            {"id": f"call_{n}00000000", "type": "function", "function": {"name": "w", "arguments": f'{{"c": {n}}}'}}
            for n in (1, 2)
        ],
    },
    {"role": "tool", "tool_call_id": "call_100000000", "content": "7 degrees"},
    {"role": "tool", "tool_call_id": "call_200000000", "content": "9 degrees"},
    tools=[tool("w")],
    temperature=1,
)


def in_dialect(name: str, doc: Doc) -> Doc:
    """A chat request as another dialect writes it."""
    written: Doc = orjson.loads(orjson.dumps(DIALECTS[name].write_request(CHAT.read_request(doc))))
    return written


@pytest.mark.parametrize("name", DIALECTS)
def test_a_conversation_has_the_same_digest_and_the_same_step_in_every_dialect(name: str) -> None:
    request = DIALECTS[name].read_request(in_dialect(name, LOOP))
    assert asked_of(request) == asked_of(CHAT.read_request(LOOP))
    assert digest_of(request) == digest_of(CHAT.read_request(LOOP))
    seen = scene_of(request, "any")
    assert (seen.step, seen.turn, seen.texts["tool_result"]) == (1, 0, "7 degrees\n9 degrees")


def test_a_turn_that_responses_spells_as_several_items_is_one_step() -> None:
    items: list[Any] = [
        {"type": "message", "role": "user", "content": "go"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "function_call_output", "call_id": "c2", "output": "2"},
    ]
    request = DIALECTS["openai-responses"].read_request({"model": "m", "input": items})
    assert scene_of(request, "responses").step == 1
    more = [*items, {"type": "function_call", "call_id": "c3", "name": "f", "arguments": "{}"}]
    more.append({"type": "function_call_output", "call_id": "c3", "output": "3"})
    request = DIALECTS["openai-responses"].read_request({"model": "m", "input": more})
    assert scene_of(request, "responses").step == 2


SAME = [
    asks("On 2026-01-02 at 2026-01-02T03:04:05Z for 123e4567-e89b-12d3-a456-426614174000"),
    asks("On 2027-11-12 at 2027-11-12T13:14:15.5+01:00 for 00000000-0000-4000-8000-000000000000"),
    asks("On  2026-01-02 at\n2026-01-02T03:04:05Z for 123e4567-e89b-12d3-a456-426614174000 "),
    asks("On 2026-01-02 at 2026-01-02T03:04:05Z for 123e4567-e89b-12d3-a456-426614174000", model="other"),
    asks("On 2026-01-02 at 2026-01-02T03:04:05Z for 123e4567-e89b-12d3-a456-426614174000", max_tokens=5, user="u"),
    asks("On 2026-01-02 at 2026-01-02T03:04:05Z for 123e4567-e89b-12d3-a456-426614174000", stream=True),
]


def test_what_differs_in_every_run_makes_no_difference() -> None:
    assert len({digest_of(CHAT.read_request(doc)) for doc in SAME}) == 1


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2 passed in 0.03s", "2 passed in 12.75s", True),
        ("Chunk ID: 200aaf\nWall time: 0.0000 seconds", "Chunk ID: 9bc01e\nWall time: 1.2500 seconds", True),
        ("took 1.5 ms", "took 20.25 ms", True),
        ("wait 5 seconds", "wait 6 seconds", False),  # a person's number
        ("version 1.5", "version 1.6", False),
        ("release 1.2.5s", "release 1.3.5s", False),
        ("Chunk: 200aaf", "Chunk: 9bc01e", False),
    ],
)
def test_how_long_a_command_took_makes_no_difference(first: str, second: str, same: bool) -> None:
    digests = {digest_of(CHAT.read_request(asks(text))) for text in (first, second)}
    assert (len(digests) == 1) is same


def test_what_is_asked_makes_a_difference() -> None:
    others = [
        asks("hello"),
        asks("hello!"),
        asks({"role": "system", "content": "s"}, "hello"),
        asks("hello", tools=[tool("f")]),
        asks("hello", temperature=0.5),
        asks(
            "hello", response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "null"}}}
        ),
        asks("hello", {"role": "assistant", "content": "x"}, "hello"),
        asks({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}),
    ]
    digests = [digest_of(CHAT.read_request(doc)) for doc in others]
    assert all(one != other for one, other in itertools.combinations(digests, 2))


def test_a_script_can_say_what_makes_no_difference() -> None:
    first, second = (scene(doc) for doc in SAME[:2])
    assert first.digest(("space",)) != second.digest(("space",))
    assert first.digest(("space", "iso_dates", "uuids")) == second.digest(("space", "iso_dates", "uuids"))


def test_a_rule_finds_a_request_by_its_digest_or_the_beginning_of_it() -> None:
    digest = digest_of(CHAT.read_request(BODY))
    assert failed(f"{{hash: '{digest}'}}", scene()) == ()
    assert failed(f"{{hash: '{digest[:8]}'}}", scene()) == ()
    assert failed(f"{{hash: '{digest}'}}", scene(asks("other"))) == ("hash",)


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("{header: x}", "rules[0].when.header: must be a map, not text"),
        ("{header: {a: 5}}", "rules[0].when.header.a: must be text"),
        ("{body: {'a..b': x}}", "rules[0].when.body.a..b: is not a place in the body"),
        ("{body: {'[x]': x}}", "rules[0].when.body.[x]: is not a place in the body"),
        ("{body: {a: [x]}}", "rules[0].when.body.a: must be text, a number, true, false or null, not a list"),
        ("{hash: xyz}", "rules[0].when.hash: must be 8 to 64 hexadecimal digits"),
        ("{hash: 12345678}", "rules[0].when.hash: must be text, not a number"),
        ("{session: ''}", "rules[0].when.session: must not be empty"),
    ],
)
def test_wrong_conditions_are_refused(when: str, told: str) -> None:
    with pytest.raises(ScriptError) as caught:
        script(yaml.safe_dump({"rules": [{"when": yaml.safe_load(when), "reply": "a"}]}))
    assert told in str(caught.value)


def rule(text: str) -> Rule:
    return script(f"rules: [{text}]").rules[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{replies: []}", "rules[0].replies: must be a list of at least one answer"),
        ("{replies: [a], steps: [b]}", "it has replies and steps"),
        ("{reply: a, after: last}", "rules[0].after: says what comes after the last of `replies`"),
        ("{replies: [a], after: first}", "rules[0].after: 'first' is not known here"),
        ("{reply: a, aside: 1}", "rules[0].aside: must be true or false"),
        ("{reply: {say: a, timing: [1s]}}", "rules[0].reply.timing: must be two durations"),
        ("{reply: {say: a, timing: [1s, 1s], stream: {tps: 1}}}", "rules[0].reply.timing: is a pace too"),
        ("{embed: {dims: 3}}", "rules[0].embed: belongs to a rule with when: {surface: embeddings}"),
        ("{when: {surface: [embeddings, chat]}, embed: {}}", "rules[0].embed: belongs to a rule"),
        ("{when: {surface: embeddings}, embed: {dims: 0}}", "rules[0].embed.dims: must be a whole number from 1"),
        ("{when: {surface: embeddings}, reply: hi}", "says something, which embeddings can not carry; give embed"),
        ("{when: {surface: rerank}, rank: best}", "rules[0].rank: must be overlap, or a map"),
        ("{when: {surface: rerank}, rank: {a: 2}}", "rules[0].rank.a: must be a number from 0 to 1"),
        ("{when: {surface: moderations}, flag: [violense]}", "did you mean 'violence'?"),
        ("{when: {surface: images}, image: {fill: blue}}", "rules[0].image.fill: must be a colour"),
        ("{when: {surface: speech}, audio: noise}", "rules[0].audio: 'noise' is not known here"),
        ("{when: {surface: transcription}, text: '${who}'}", "rules[0].text: ${who} is filled by nothing"),
        ("{reply: '${body}'}", "${body} is filled by nothing"),
        ("{reply: '${body.a..b}'}", "${body.a..b} is filled by nothing"),
    ],
)
def test_wrong_rules_are_refused(text: str, told: str) -> None:
    with pytest.raises(ScriptError) as caught:
        rule(text)
    assert told in str(caught.value)
