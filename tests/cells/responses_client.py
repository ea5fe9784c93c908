"""A client of Responses: OpenAI's own types and stream helper, and what they demand of a stream."""

from typing import Any

import orjson

from otari.domain.chat import Doc
from tests.dialects.openai_responses.wire import client_of, events_of, typed

PATCH: Doc = {"type": "custom", "name": "apply_patch"}
SLEEP: Doc = {"type": "function", "name": "sleep", "strict": False, "parameters": {"type": "object", "properties": {}}}
CLOCK: Doc = {"type": "namespace", "name": "clock", "description": "Time.", "tools": [SLEEP]}
ASKED: Doc = {"model": "m", "input": [{"role": "user", "content": "Hi"}], "tools": [PATCH, CLOCK], "store": False}
_ENDED = ("response.completed", "response.incomplete")
_WHOLE = ("text", "refusal", "arguments", "input")  # where the end of a text tells all of it
_OF_ITEMS = {"response.output_text": "message", "response.refusal": "message", "response.content_part": "message"}
_OF_ITEMS |= {"response.output_text.annotation": "message"}
_OF_ITEMS |= {"response.reasoning_summary_text": "reasoning", "response.reasoning_summary_part": "reasoning"}
_OF_ITEMS |= {
    "response.function_call_arguments": "function_call",
    "response.custom_tool_call_input": "custom_tool_call",
}


def request(*, stream: bool) -> Doc:
    """A request for a whole answer or a stream."""
    return ASKED | ({"stream": True} if stream else {})


def check(stream: bytes) -> None:
    """A stream that ends well: every event is one in the eyes of OpenAI's types, every item has its whole life."""
    *events, last = events_of(stream)
    assert last["type"] in _ENDED
    done = _lives(events)
    assert last["response"]["output"] == [done[index] for index in range(len(done))]
    assert all(event["type"] not in _ENDED for event in events)


def _lives(events: list[Doc]) -> dict[int, Doc]:
    """The items that were finished, by number, once the order of all events is checked."""
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    added: dict[int, Doc] = {}
    done: dict[int, Doc] = {}
    texts: dict[tuple[int, int], str] = {}
    annotations: dict[int, list[Doc]] = {}
    for event in events[2:]:
        kind, _, step = event["type"].rpartition(".")
        index = event["output_index"]
        if event["type"] == "response.output_item.added":
            assert index == len(added)
            added[index] = event["item"]
            continue
        assert index in added
        assert index not in done
        if event["type"] == "response.output_item.done":
            assert event["item"]["id"] == added[index]["id"]
            done[index] = event["item"]
            cited = [told for part in event["item"].get("content", ()) for told in part.get("annotations", ())]
            assert cited == annotations.get(index, [])
            continue
        assert event["item_id"] == added[index]["id"]
        assert added[index]["type"] == _OF_ITEMS[kind]
        if kind == "response.output_text.annotation":
            assert event["annotation_index"] == len(annotations.setdefault(index, []))
            annotations[index].append(event["annotation"])
            continue
        place: tuple[int, int] = (index, event.get("content_index", event.get("summary_index", 0)) or 0)
        if step == "added" or added[index]["type"] in ("function_call", "custom_tool_call"):
            texts.setdefault(place, "")
        if step == "delta":
            texts[place] += event["delta"]
        elif step == "done" and "part" not in event:
            assert texts[place] == next(event[key] for key in _WHOLE if key in event)
    return done


def check_failed(stream: bytes) -> Doc:
    """A stream that ends with an error, and with nothing that looks like an ending; the error."""
    *events, error, failed = events_of(stream)
    assert (error["type"], failed["type"]) == ("error", "response.failed")
    assert failed["response"]["status"] == "failed"
    if events:
        _lives(events)
    told: Doc = failed["response"]["error"]
    assert isinstance(told["message"], str)
    return told


def gathered(stream: bytes) -> Doc:
    """The answer that the stream helper rebuilds."""
    with client_of(stream).responses.stream(model="m", input="hi") as events:
        ended: list[Any] = [event for event in events if event.type in _ENDED]
    told: Doc = _plain(ended[0].response.to_dict())
    return told


def asked(body: bytes) -> Doc:
    """The answer that the client reads from a whole one, which OpenAI's types accept."""
    typed(orjson.loads(body))
    told: Doc = _plain(client_of(body, "application/json").responses.create(model="m", input="hi").to_dict())
    return told


def _plain(value: Any) -> Any:
    """The same without what the helper adds, and without nulls."""
    if isinstance(value, dict):
        added = ("parsed", "parsed_arguments")
        return {key: _plain(inner) for key, inner in value.items() if key not in added and inner is not None}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def going_on(told: Doc, result: str) -> Doc:
    """The next request of a client that got this answer; every tool that was called said `result`."""
    calls = [item for item in told["output"] if "call_id" in item]
    results = [{"type": f"{call['type']}_output", "call_id": call["call_id"], "output": result} for call in calls]
    after = results or [{"role": "user", "content": "Go on."}]
    return ASKED | {"input": [*ASKED["input"], *told["output"], *after]}
