"""A client of Chat Completions: OpenAI's own types and stream helper, and what they demand of a stream."""

from typing import Any

import httpx2
import openai
import orjson
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from otari.dialects import sse
from otari.domain.chat import Doc
from tests.dialects.told import frames_of

DONE = b"[DONE]"
LOOK: Doc = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
ASKED: Doc = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "tools": [LOOK]}


def request(*, stream: bool) -> Doc:
    """A request for a whole answer, or for a stream with usage."""
    return ASKED | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


def client(body: bytes, content_type: str) -> openai.OpenAI:
    """A client whose every request is answered with `body`."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body, headers={"content-type": content_type})

    transport = httpx2.MockTransport(answer)
    return openai.OpenAI(
        api_key="k", base_url="http://test/v1", http_client=httpx2.Client(transport=transport), max_retries=0
    )


def check(stream: bytes) -> None:
    """A stream that ends well: every chunk is one in the eyes of OpenAI's types, and all are in their order."""
    *frames, last = frames_of(stream)
    assert sse.data(last) == DONE
    chunks = [ChatCompletionChunk.model_validate_json(sse.data(frame), strict=True) for frame in frames]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    finishes = [number for number, chunk in enumerate(chunks) if chunk.choices and chunk.choices[0].finish_reason]
    assert len(finishes) == 1
    assert all(not chunk.choices and chunk.usage is not None for chunk in chunks[finishes[0] + 1 :])
    assert len(chunks) - finishes[0] <= 2
    begun = 0
    for chunk in chunks[: finishes[0] + 1]:
        assert [choice.index for choice in chunk.choices] == [0]
        for call in chunk.choices[0].delta.tool_calls or ():
            if call.index == begun:
                assert call.id
                begun += 1
            assert 0 <= call.index < begun


def check_failed(stream: bytes) -> Doc:
    """A stream that ends with an error, and with nothing that looks like an ending; the error."""
    *frames, last = frames_of(stream)
    error: Doc = orjson.loads(sse.data(last))["error"]
    assert isinstance(error["message"], str)
    for frame in frames:
        assert sse.data(frame) != DONE
        chunk = ChatCompletionChunk.model_validate_json(sse.data(frame), strict=True)
        assert all(choice.finish_reason is None for choice in chunk.choices)
    return error


def gathered(stream: bytes) -> Doc:
    """The answer that the stream helper gathers."""
    asked: Any = request(stream=True)
    asked.pop("stream")
    with client(stream, "text/event-stream").chat.completions.stream(**asked) as events:
        for _ in events:
            pass
        told: Doc = events.current_completion_snapshot.to_dict()  # the final one is refused to those who were cut off
    return _plain(told)


def asked(body: bytes) -> Doc:
    """The answer that the client reads from a whole one, which OpenAI's types accept."""
    ChatCompletion.model_validate_json(body, strict=True)
    told: Doc = client(body, "application/json").chat.completions.create(**ASKED).to_dict()
    return _plain(told)


def _plain(told: Doc) -> Doc:
    """An answer without what the helper adds and what says nothing, and without the numbers by which it gathers."""
    message: Doc = told["choices"][0]["message"]
    for call in message.get("tool_calls") or ():
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    message["content"] = message.get("content") or ""
    _without_zeros(told.get("usage") or {})
    for box in (message.get("extra_content") or {}).values():
        for block in box["thinking_blocks"]:
            block.pop("index", None)
    for annotation in message.get("annotations") or ():
        annotation.pop("index", None)
    for inner in (told, told["choices"][0], message):
        for key in [key for key, value in inner.items() if value is None or key in ("object", "parsed")]:
            del inner[key]
    return told


def _without_zeros(usage: Doc) -> None:
    """A count that nobody told is the same as none: streams of Messages always begin with zeros."""
    for key in [key for key in usage if key.endswith("_details")]:
        usage[key] = {name: count for name, count in (usage[key] or {}).items() if count}
        if not usage[key]:
            del usage[key]


def going_on(told: Doc, result: str) -> Doc:
    """The next request of a client that got this answer; every tool that was called said `result`."""
    message = told["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": result} for call in message.get("tool_calls") or ()
    ]
    after = results or [{"role": "user", "content": "Go on."}]
    return ASKED | {"messages": [*ASKED["messages"], message, *after]}
