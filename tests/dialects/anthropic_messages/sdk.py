"""Anthropic's own Python client over bytes that we wrote: its stream, its accumulator, its typed models."""

from typing import Any

import httpx2
from anthropic import Anthropic
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from otari.dialects import sse
from tests.dialects.told import frames_of

_EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_ASKED: dict[str, Any] = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


def client(body: bytes, content_type: str = "text/event-stream", status: int = 200) -> Anthropic:
    """A client whose every request is answered with `body`."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"content-type": content_type}, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return Anthropic(api_key="k", base_url="http://127.0.0.1", http_client=http, max_retries=0)


def accumulated(stream: bytes) -> Message:
    """The message that the client's stream helper gathers from a stream."""
    with client(stream) as anthropic, anthropic.messages.stream(**_ASKED) as told:
        return told.get_final_message()


def asked(body: bytes) -> Message:
    """The message that the client reads from a whole answer."""
    with client(body, "application/json") as anthropic:
        message: Message = anthropic.messages.create(**_ASKED)
        return message


def refused(body: bytes, status: int) -> Exception:
    """What the client raises for an error."""
    with client(body, "application/json", status) as anthropic:
        try:
            anthropic.messages.create(**_ASKED)
        except Exception as error:
            return error
    raise AssertionError("the client took an error for an answer")


def validated(stream: bytes) -> list[Any]:
    """The events of a stream, each strictly valid; pings are no events of the typed models."""
    frames = [frame for frame in frames_of(stream) if sse.event(frame) != "ping"]
    events = [_EVENTS.validate_json(sse.data(frame), strict=True) for frame in frames]
    assert [event.type for event in events] == [sse.event(frame) for frame in frames]
    return events
