"""Requests: canonical and back, the shapes that Codex sends, and what other dialects' requests look like here."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otari.dialects.openai_chat import OPENAI_CHAT
from otari.dialects.openai_responses.carrier import PREFIX, Carried, write_carrier
from otari.domain.chat import (
    Audio,
    ChatRequest,
    Document,
    Finish,
    Image,
    Opaque,
    Part,
    Refusal,
    Reply,
    Sampling,
    Shape,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    unfold,
)
from otari.domain.errors import Kind, OtariError
from tests.dialects.openai_responses.wire import ASKED, PATCH, RESPONSES, cases, events_of
from tests.dialects.openai_responses.wire import written as written_stream
from tests.domain.strategies import json_objects, some_text, texts, words

NAME = RESPONSES.name
HI = Turn("user", (Text("Hi"),))


def read(**keys: Any) -> ChatRequest:
    doc = {"model": "m", "input": "Hi"} | keys
    RESPONSES.read_envelope(doc, 100)
    return RESPONSES.read_request(doc)


def turns(*items: dict[str, Any]) -> tuple[Turn, ...]:
    return read(input=list(items)).turns


def written(*told: Turn, dropped: list[str] | None = None, **keys: Any) -> dict[str, Any]:
    return RESPONSES.write_request(ChatRequest("m", told, **keys), dropped=dropped)


def items(*told: Turn, **keys: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = written(*told, **keys)["input"]
    return found


@pytest.mark.parametrize(("name", "case"), cases("request"))
def test_cases(name: str, case: dict[str, Any]) -> None:
    """What clients send, through the canonical form and back; only what says nothing more may go."""
    dropped: list[str] = []
    RESPONSES.read_envelope(case["doc"], 100)
    request = RESPONSES.read_request(case["doc"])
    again = RESPONSES.write_request(request, dropped=dropped)
    assert orjson.loads(orjson.dumps(again)) == case["expected"], case["about"]
    assert [tool.name for tool in request.tools if isinstance(tool, Tool)] == case["tools"]
    assert dropped == []
    assert RESPONSES.read_request(again) == request


# ---- reading -------------------------------------------------------------------------------------------------------


def test_a_text_is_one_message() -> None:
    assert read(instructions="Be kind.").turns == (Turn("system", (Text("Be kind."),)), HI)


def test_roles_and_contents() -> None:
    odd = {"type": "input_video", "video_url": "https://example.org/a.mp4"}
    told = turns(
        {"role": "system", "content": "A"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "B"}], "id": "msg_1"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "look", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "input_image", "image_url": "data:image/jpg;base64,/9j/4A==", "detail": "low"},
                {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "auto"},
                {"type": "input_image", "file_id": "file-1"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"},
                {"type": "input_file", "file_data": "JVBERi0="},
                {"type": "input_file", "file_url": "https://example.org/a.pdf"},
                {"type": "input_file", "file_id": "file-2"},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "text", "text": "as in Chat Completions"},
                odd,
            ],
        },
    )
    assert told == (
        Turn("system", (Text("A"),)),
        Turn("developer", (Text("B"),)),
        Turn(
            "user",
            (
                Text("look"),
                Opaque(NAME, {"type": "prompt_cache_breakpoint", "part_keys": {"prompt_cache_breakpoint": MARK}}),
                Image(media_type="image/jpeg", data="/9j/4A==", detail="low"),
                Image(url="https://example.org/a.png"),
                Image(file_id="file-1"),
                Document(media_type="application/pdf", data="JVBERi0=", name="a.pdf"),
                Document(media_type="application/pdf", data="JVBERi0="),
                Document(url="https://example.org/a.pdf"),
                Document(file_id="file-2"),
                Audio("wav", "AAAA"),
                Text("as in Chat Completions"),
                Opaque(NAME, {"type": "input_video", "content_part": odd}),
            ),
        ),
    )


MARK = {"mode": "explicit"}


def test_what_a_model_wrote_in_a_row_is_one_turn_and_so_are_results() -> None:
    def call(call_id: str) -> dict[str, Any]:
        return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}

    told = turns(
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "So:"}]},
        call("a"),
        call("b"),
        {"type": "function_call_output", "call_id": "b", "output": "two"},
        {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "one"}]},
        {"role": "assistant", "content": "Done."},
    )
    calls = (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))
    assert told == (
        HI,
        Turn("assistant", (Thinking("hm", "gAAA", "openai"), Text("So:"), *calls)),
        Turn("user", (ToolResult("b", (Text("two"),)), ToolResult("a", (Text("one"),)))),
        Turn("assistant", (Text("Done."),)),
    )


def test_calls_of_all_kinds() -> None:
    (turn, results) = turns(
        {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": 'x "y"\n'},
        {"type": "custom_tool_call", "call_id": "b", "name": "exec", "namespace": "functions", "input": ""},
        {"type": "function_call", "call_id": "c", "name": "sleep", "namespace": "clock", "arguments": {"ms": 1}},
        {
            "type": "local_shell_call",
            "id": "lsh_1",
            "call_id": "d",
            "action": {"type": "exec", "command": ["ls"], "env": {}},
            "status": "completed",
        },
        {"type": "tool_search_call", "call_id": "e", "execution": "client", "arguments": {"query": "mail"}},
        {"type": "custom_tool_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "ok"}]},
        {"type": "local_shell_call_output", "id": "d", "output": "listing"},
        {
            "type": "tool_search_output",
            "call_id": "e",
            "tools": [{"type": "namespace", "name": "mail", "tools": [{"type": "function", "name": "send"}]}],
        },
    )
    assert turn.parts == (
        ToolCall("a", "apply_patch", '{"input":"x \\"y\\"\\n"}'),
        ToolCall("b", "functions__exec", '{"input":""}'),
        ToolCall("c", "clock__sleep", '{"ms":1}'),
        ToolCall("d", "local_shell", '{"command":["ls"],"env":{}}'),
        ToolCall("e", "tool_search", '{"query":"mail"}'),
    )
    assert results.parts == (
        ToolResult("a", (Text("ok"),)),
        ToolResult("d", (Text("listing"),)),
        ToolResult("e", (Text("Tools that can be called from now on: mail__send"),)),
    )


def test_a_result_must_say_which_call_it_answers() -> None:
    with pytest.raises(OtariError) as caught:
        turns({"type": "function_call_output", "output": "x"})
    assert caught.value.kind is Kind.INVALID
    assert "input[0].call_id" in caught.value.message


def test_what_no_other_dialect_knows_is_kept() -> None:
    web = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    approval = {"type": "mcp_approval_response", "approval_request_id": "a", "approve": True}
    stored = {"type": "reasoning", "id": "rs_1", "summary": []}
    told = turns(web, approval, stored)
    assert [(turn.role, turn.parts) for turn in told] == [
        ("assistant", (Opaque(NAME, web),)),
        ("user", (Opaque(NAME, approval),)),
        ("assistant", (Opaque(NAME, stored),)),
    ]
    assert items(*told, dialect=NAME) == [web, approval, stored]


def test_what_this_gateway_carried_through_a_client_is_what_it_was() -> None:
    def reasoning(carried: Carried, text: str = "") -> dict[str, Any]:
        summary = [{"type": "summary_text", "text": text}] if text else []
        return {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": write_carrier(carried)}

    (turn,) = turns(
        reasoning(Carried("anthropic", "sig"), "hm"),
        reasoning(Carried("anthropic", None, "data")),
        reasoning(Carried("openai", "otari1:of another gateway")),
        reasoning(Carried("google", "thought", None, "a")),
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
    )
    assert turn.parts == (
        Thinking("hm", "sig", "anthropic"),
        Thinking("", None, "anthropic", "data"),
        Thinking("", "otari1:of another gateway", "openai"),
        ToolCall("a", "f", "{}", "thought"),
    )


@pytest.mark.parametrize("damage", ["", "!", "bnVsbA==", "e30=", "eyJmYW1pbHkiOjF9"])
def test_a_damaged_carrier_carries_nothing(damage: str) -> None:
    item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    (turn,) = turns(item | {"encrypted_content": PREFIX + damage})
    assert turn.parts == (Thinking("hm"),)
    assert items(turn, dialect="other") == []


def test_raw_reasoning_goes_back_as_it_came() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    (turn,) = turns(item)
    assert turn.parts[-1] == Thinking("hm", None, "openai")
    assert items(turn, dialect=NAME) == [item]


def test_tools_of_all_kinds_become_functions() -> None:
    tools = read(tools=ASKED["tools"]).tools
    names = [tool.name if isinstance(tool, Tool) else tool.doc["type"] for tool in tools]
    assert names == ["look", "apply_patch", "clock__sleep", "local_shell", "tool_search", "web_search"]
    look, patch, sleep = tools[:3]
    assert isinstance(look, Tool)
    assert look.native is None
    assert isinstance(patch, Tool)
    assert patch.native == Opaque(NAME, {"tool": PATCH})
    assert patch.parameters is not None
    told = patch.parameters["properties"]["input"]["description"]
    assert "start: /.+/" in told
    assert "lark" in told
    assert isinstance(sleep, Tool)
    assert sleep.description == "Time.\n\nWaits."


def test_functions_in_the_shape_of_chat_completions_are_understood() -> None:
    function = {"name": "f", "parameters": {"type": "object"}}
    told = read(
        tools=[{"type": "function", "function": function}], tool_choice={"type": "function", "function": function}
    )
    assert told.tools == (Tool("f", None, {"type": "object"}),)
    assert told.tool_choice == ToolChoice("named", "f")


def test_tools_that_come_in_the_input_join_the_others_once() -> None:
    extra = {"type": "function", "name": "g"}
    found = {"type": "tool_search_output", "call_id": "s", "tools": [extra, {"type": "function", "name": "h"}]}
    told = read(
        tools=[{"type": "function", "name": "f"}],
        input=[{"type": "additional_tools", "role": "developer", "tools": [extra]}, found, found],
    )
    assert [tool.name for tool in told.tools if isinstance(tool, Tool)] == ["f", "g", "h"]


def test_a_broken_group_does_not_spoil_a_whole_one() -> None:
    broken = {"type": "namespace", "name": "clock"}
    tools = [broken, *ASKED["tools"]]
    assert RESPONSES.write_request(read(tools=tools))["tools"] == tools
    assert broken == {"type": "namespace", "name": "clock"}


@pytest.mark.parametrize(
    ("namespace", "name", "flat"),
    [
        (None, "f" * 90, "f" * 90),
        ("clock", "sleep", "clock__sleep"),
        ("mcp__files__", "read", "mcp__files__read"),
        ("a.b", "c", "a_b__c_c2aa2e2c"),
    ],
)
def test_names_of_tools_in_groups(namespace: str | None, name: str, flat: str) -> None:
    call = {"type": "function_call", "call_id": "a", "name": name, "namespace": namespace, "arguments": "{}"}
    (turn,) = turns(call)
    (part,) = turn.parts
    assert isinstance(part, ToolCall)
    assert part.name[:-8] == flat[:-8]
    tool = {"type": "namespace", "name": namespace or "", "tools": [{"type": "function", "name": name}]}
    (read_tool,) = read(tools=[tool]).tools
    assert isinstance(read_tool, Tool)
    assert read_tool.name == part.name


@given(words.map(lambda word: word * 3), words.map(lambda word: word * 3))
@settings(deadline=None)
def test_long_names_become_short_ones_that_differ(namespace: str, name: str) -> None:
    other = {"type": "function", "name": name + "x"}
    group = {"type": "namespace", "name": namespace, "tools": [{"type": "function", "name": name}, other]}
    names = [tool.name for tool in read(tools=[group]).tools if isinstance(tool, Tool)]
    assert len(set(names)) == 2
    assert all(len(entry) <= 64 for entry in names)


@pytest.mark.parametrize(
    ("keys", "choice"),
    [
        ({}, None),
        ({"tool_choice": "required", "parallel_tool_calls": False}, ToolChoice("required", None, False)),
        ({"parallel_tool_calls": True}, ToolChoice("auto", None, True)),
        ({"tool_choice": {"type": "function", "name": "f"}}, ToolChoice("named", "f")),
        ({"tool_choice": {"type": "custom", "name": "apply_patch"}}, ToolChoice("named", "apply_patch")),
        ({"tool_choice": {"type": "local_shell"}}, ToolChoice("named", "local_shell")),
    ],
)
def test_choices(keys: dict[str, Any], choice: ToolChoice | None) -> None:
    assert read(**keys).tool_choice == choice


def test_a_choice_that_only_this_dialect_knows_stays() -> None:
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}
    told = read(tool_choice=allowed, tools=[{"type": "function", "name": "f"}])
    assert (told.tool_choice, told.extras["tool_choice"]) == (None, allowed)
    assert RESPONSES.write_request(told)["tool_choice"] == allowed


def test_settings_and_what_they_say_beyond() -> None:
    schema = {"type": "object"}
    told = read(
        reasoning={"effort": "low", "summary": "auto", "context": None},
        text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}, "verbosity": "low"},
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=9,
        metadata={"a": "b"},
        store=False,
        include=["reasoning.encrypted_content"],
        truncation=None,
        client_metadata={"x": "y"},
        user="ann",
        stream=True,
    )
    assert told.reasoning == {"effort": "low"}
    assert told.shape == Shape("json_schema", "n", schema, True)
    assert (told.sampling.temperature, told.sampling.top_p, told.max_output_tokens) == (0.5, 0.9, 9)
    assert (told.metadata, told.user, told.stream) == ({"a": "b"}, "ann", True)
    assert told.extras == {
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "client_metadata": {"x": "y"},
        "reasoning.summary": "auto",
        "text.verbosity": "low",
    }


# ---- writing for clients of other dialects ---------------------------------------------------------------------------


def test_the_first_system_prompt_is_the_instructions() -> None:
    system, developer = Turn("system", (Text("A"),)), Turn("developer", (Text("B"),))
    doc = written(system, developer, HI, system)
    assert doc["instructions"] == "A"
    assert doc["input"] == [
        {"type": "message", "role": "developer", "content": "B"},
        {"type": "message", "role": "user", "content": "Hi"},
        {"type": "message", "role": "system", "content": "A"},
    ]
    blocks = written(Turn("system", (Text("A"), Text("B"))), HI)
    assert "instructions" not in blocks
    assert [part["text"] for part in blocks["input"][0]["content"]] == ["A", "B"]


def test_nothing_is_kept_by_the_provider() -> None:
    assert written(HI) == {
        "model": "m",
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
        "store": False,
    }


@pytest.mark.parametrize(
    ("reasoning", "effort", "asks"),
    [
        ({"effort": "high"}, "high", True),
        ({"budget_tokens": 1024}, "minimal", True),
        ({"budget_tokens": 8192}, "medium", True),
        ({"budget_tokens": 99999}, "xhigh", True),
        ({"mode": "adaptive"}, None, True),
        ({"effort": "none"}, "none", False),
        (None, None, False),
    ],
)
def test_reasoning_comes_back_in_a_form_that_can_be_kept(
    reasoning: dict[str, Any] | None, effort: str | None, asks: bool
) -> None:
    doc = written(HI, reasoning=reasoning)
    assert doc.get("reasoning") == (None if effort is None else {"effort": effort})
    assert ("include" in doc) == asks


def test_reasoning_goes_back_only_to_its_family() -> None:
    dropped: list[str] = []
    own, other = Thinking("A", "gAAA", "openai"), Thinking("B", "sig", "anthropic")
    turn = Turn("assistant", (own, other, Thinking("C"), Thinking("", None, "anthropic", "data"), Text("x")))
    doc = written(HI, turn, dropped=dropped)
    assert doc["input"][1] == {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "A"}],
        "encrypted_content": "gAAA",
    }
    assert len(doc["input"]) == 3
    assert doc["include"] == ["reasoning.encrypted_content"]
    assert dropped == ["thinking of another model"]


def test_calls_and_results() -> None:
    dropped: list[str] = []
    image = Image(media_type="image/png", data="AAAA")
    doc = written(
        HI,
        Turn("assistant", (Text("So:"), ToolCall("a", "f", ""), ToolCall("b", "g", '{"x":'), ToolCall("c", "h", "{}"))),
        Turn(
            "user",
            (
                Text("and?"),
                ToolResult("b", (Text("no"),), failed=True),
                ToolResult("a", (Text("see"), image)),
            ),
        ),
        dropped=dropped,
    )
    assert doc["input"][1:] == [
        {"type": "message", "role": "assistant", "content": "So:"},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": '{"x":'},
        {"type": "function_call", "call_id": "c", "name": "h", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "a",
            "output": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AAAA"},
            ],
        },
        {"type": "function_call_output", "call_id": "b", "output": "Error: no"},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": "Error: Tool execution was interrupted; no result.",
        },
        {"type": "message", "role": "user", "content": "and?"},
    ]
    assert dropped == ["tool turns mended"]


def test_media() -> None:
    parts: tuple[Part, ...] = (
        Image(url="https://example.org/a.png", detail="low"),
        Image(file_id="file-1"),
        Document(media_type="application/pdf", data="JVBERi0=", name="a.pdf"),
        Document(media_type="application/pdf", data="JVBERi0="),
        Document(url="https://example.org/a.pdf"),
        Document(file_id="file-2"),
        Document(text="words", name="a.txt"),
    )
    (item,) = items(Turn("user", parts), dialect="openai-chat")
    pdf = {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERi0="}
    assert item["content"] == [
        {"type": "input_image", "detail": "low", "image_url": "https://example.org/a.png"},
        {"type": "input_image", "detail": "auto", "file_id": "file-1"},
        pdf | {"filename": "a.pdf"},
        pdf | {"filename": "file.pdf"},
        {"type": "input_file", "file_url": "https://example.org/a.pdf"},
        {"type": "input_file", "file_id": "file-2"},
        {"type": "input_text", "text": "a.txt:\nwords"},
    ]


@pytest.mark.parametrize(
    ("turn", "keys"), [(Turn("user", (Audio("wav", "AAAA"),)), {}), (HI, {"choices": 2})], ids=["sound", "choices"]
)
def test_what_would_do_harm_in_silence_is_refused(turn: Turn, keys: dict[str, Any]) -> None:
    with pytest.raises(OtariError) as caught:
        written(turn, **keys)
    assert caught.value.kind is Kind.INVALID


@pytest.mark.parametrize(
    ("part", "kind"),
    [(Image(file_id="f"), "image"), (Document(file_id="f"), "file"), (ToolResult("a", (Image(file_id="f"),)), "image")],
)
def test_a_file_id_of_another_vendor_is_refused(part: Part, kind: str) -> None:
    with pytest.raises(OtariError, match=f"Send the {kind} as data"):
        items(Turn("user", (part,)), dialect="anthropic-messages")


@pytest.mark.parametrize("parallel", [None, False])
def test_a_choice_of_some_functions_is_written_as_this_wire_has_it(parallel: bool | None) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("files.read", "look", "show")]
    chosen = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": tools[:2]}}
    doc: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": tools}
    doc |= {"tool_choice": chosen} | ({} if parallel is None else {"parallel_tool_calls": parallel})
    dropped: list[str] = []
    told = RESPONSES.write_request(OPENAI_CHAT.read_request(doc), dropped=dropped)
    names = [tool["name"] for tool in told["tools"]]
    assert told["tool_choice"] == {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": name} for name in names[:2]],
    }
    assert told.get("parallel_tool_calls") is parallel
    assert names[1:] == ["look", "show"]
    assert dropped == []


def test_what_can_not_be_carried_is_named_once() -> None:
    dropped: list[str] = []
    mark = {"type": "ephemeral"}
    doc = written(
        Turn("user", (Text("x", mark), Opaque("anthropic-messages", {"type": "search_result"})), name="ann"),
        Turn("assistant", (Text("y", mark), Image(url="https://example.org/a.png"), ToolCall("a", "f", "{}", "sig"))),
        Turn("user", (ToolResult("a", (Text("z"),), cache=mark),)),
        tools=(Tool("f", cache=mark), Opaque("anthropic-messages", {"type": "web_search_20250305"})),
        sampling=Sampling(temperature=1.0, top_k=4, seed=1, stop=("x",), presence_penalty=0.5),
        max_output_tokens=1,
        metadata={"trace": "x"},
        extras={"context_management": {"edits": []}, "logprobs": False, "stream_options": {}, "service_tier": "auto"},
        dialect="anthropic-messages",
        dropped=dropped,
    )
    assert dropped == [
        "context_management",
        "cache_control",
        "tool web_search_20250305",
        "name of a message",
        "part search_result",
        "part image",
        "thinking of another model",
        "top_k",
        "seed",
        "presence_penalty",
        "stop",
        "max_output_tokens below 16",
        "metadata",
    ]
    assert (doc["temperature"], doc["max_output_tokens"]) == (1.0, 16)
    assert doc["tools"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
    ]


def test_keys_of_chat_completions_that_mean_the_same_are_carried() -> None:
    dropped: list[str] = []
    extras = {"service_tier": "flex", "verbosity": "low", "prompt_cache_key": "k", "logit_bias": {"1": 2}}
    doc = written(HI, extras=extras, metadata={"a": "b"}, dialect="openai-chat", dropped=dropped)
    assert (doc["service_tier"], doc["prompt_cache_key"], doc["text"]) == ("flex", "k", {"verbosity": "low"})
    assert doc["metadata"] == {"a": "b"}
    assert dropped == ["logit_bias"]


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (ToolChoice("required", None, False), "required"),
        (ToolChoice("named", "f"), {"type": "function", "name": "f"}),
    ],
)
def test_choices_are_written(choice: ToolChoice, told: Any) -> None:
    doc = written(HI, tools=(Tool("f"),), tool_choice=choice)
    assert doc["tool_choice"] == told
    assert doc.get("parallel_tool_calls") == choice.parallel
    dropped: list[str] = []
    assert "tool_choice" not in written(HI, tool_choice=choice, dropped=dropped)
    assert dropped == ["tool_choice without tools"]


def test_a_named_tool_of_this_dialect_is_named_as_it_was() -> None:
    for name, told in (
        ("apply_patch", {"type": "custom", "name": "apply_patch"}),
        ("clock__sleep", {"type": "function", "name": "sleep", "namespace": "clock"}),
        ("local_shell", {"type": "local_shell"}),
    ):
        request = replace(read(tools=ASKED["tools"]), tool_choice=ToolChoice("named", name))
        assert RESPONSES.write_request(request)["tool_choice"] == told


def test_results_without_calls_stay_when_the_provider_knows_the_calls() -> None:
    output = {"type": "function_call_output", "call_id": "a", "output": "x"}
    told = read(input=[output], previous_response_id="resp_1")
    doc = RESPONSES.write_request(told)
    assert doc["input"] == [output]
    assert doc["previous_response_id"] == "resp_1"


def test_an_answer_to_a_client_of_other_tools_comes_back_as_it_went() -> None:
    """A patch: offered as plain text, asked for as a function, told as plain text, given back and read again."""
    request = read(tools=[PATCH])
    call = ToolCall("a", "apply_patch", '{"input":"*** Begin Patch"}')
    asked = {"tools": [PATCH]}
    events = events_of(written_stream(unfold(Reply("r", "m", (call,), Finish.TOOLS)), asked))
    (item,) = (event["item"] for event in events if event["type"] == "response.output_item.done")
    output = {"type": "custom_tool_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "ok"}]}
    again = read(tools=[PATCH], input=[{"role": "user", "content": "Hi"}, item, output])
    assert again.tools == request.tools
    assert again.turns[1:] == (Turn("assistant", (call,)), Turn("user", (ToolResult("a", (Text("ok"),)),)))


# ---- laws ----------------------------------------------------------------------------------------------------------

names = words.filter(lambda word: word not in ("local_shell", "tool_search"))
functions = st.builds(
    Tool, names, st.none() | some_text, json_objects.filter(bool), st.none() | st.booleans(), st.none(), st.none()
)
said: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, some_text),
    st.builds(Image, url=st.just("https://example.org/a.png"), detail=st.sampled_from([None, "low"])),
    st.builds(Document, file_id=words),
)
spoken: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, some_text),
    st.builds(Refusal, some_text),
    st.builds(Thinking, texts, words, st.just("openai")),
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    """Conversations as this wire tells them: calls followed by their results, turns of a model never in a row."""
    told: list[Turn] = []
    if draw(st.booleans()):
        told.append(Turn("system", (Text(draw(some_text)),)))
    for number in range(draw(st.integers(0, 3))):
        role: Any = draw(st.sampled_from(["user", "developer", "system"]))
        told.append(Turn(role, tuple(draw(st.lists(said if role == "user" else spoken_text, min_size=1, max_size=3)))))
        ids = [f"call_{number}_{index}" for index in range(draw(st.integers(0, 3)))]
        calls = tuple(ToolCall(call_id, draw(names), draw(st.sampled_from(["{}", '{"a":'])), None) for call_id in ids)
        parts = (*draw(st.lists(spoken, max_size=3)), *calls)
        if parts:
            told.append(Turn("assistant", parts))
        if calls:
            outputs = (tuple(draw(st.lists(said, max_size=2))) for _ in calls)
            told.append(
                Turn("user", tuple(ToolResult(call_id, out) for call_id, out in zip(ids, outputs, strict=True)))
            )
    return tuple(told) or (HI,)


spoken_text: st.SearchStrategy[Part] = st.builds(Text, some_text)


@given(
    st.builds(
        ChatRequest,
        model=words,
        turns=conversations(),
        tools=st.lists(functions, min_size=1, max_size=2, unique_by=lambda tool: tool.name).map(tuple),
        tool_choice=st.none()
        | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"]), st.none(), st.none() | st.booleans())
        | st.builds(ToolChoice, st.just("named"), names, st.none() | st.booleans()),
        sampling=st.builds(Sampling, temperature=st.none() | st.floats(0, 2), top_p=st.none() | st.floats(0, 1)),
        max_output_tokens=st.none() | st.integers(16, 10**6),
        reasoning=st.none() | st.builds(lambda effort: {"effort": effort}, st.sampled_from(["none", "low", "max"])),
        shape=st.none()
        | st.just(Shape("json_object"))
        | st.builds(Shape, st.just("json_schema"), words, json_objects, st.none() | st.booleans()),
        stream=st.booleans(),
        metadata=st.none() | st.just({"a": "b"}),
        extras=st.dictionaries(st.sampled_from(["store", "include", "text.verbosity", "reasoning.summary"]), words),
        dialect=st.just(NAME),
    )
)
@settings(deadline=None)
def test_what_is_written_is_read_again(request: ChatRequest) -> None:
    dropped: list[str] = []
    doc = orjson.loads(orjson.dumps(RESPONSES.write_request(request, dropped=dropped)))
    RESPONSES.read_envelope(doc, 100)
    assert RESPONSES.read_request(doc) == request
    assert dropped == []
