"""The vendors' own client libraries asking one question, in every dialect, streamed and in one piece."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from anthropic import Anthropic
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent

MAX_TOKENS = 48
TIMEOUT_S = 60.0
_QUESTION = "Write two short sentences about a gateway to a garden."

Answer = tuple[str, tuple[int, int] | None]  # the text, and the usage that the client was told


class Ask(NamedTuple):
    """One way to ask: `run(url, key, model)`. `wants_usage`: the client is to be told the usage."""

    name: str
    wants_usage: bool
    run: Callable[[str, str, str], Answer]


def _openai(url: str, key: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=TIMEOUT_S)


def _chat_body(model: str) -> dict[str, Any]:
    return {"model": model, "max_tokens": MAX_TOKENS, "messages": [{"role": "user", "content": _QUESTION}]}


def _chat_stream(url: str, key: str, model: str, *, with_usage: bool) -> Answer:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if with_usage else {}
    text, told = "", None
    with _openai(url, key) as client:
        for chunk in client.chat.completions.create(**_chat_body(model), stream=True, **options):
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            if chunk.usage is not None:
                told = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    return text, told


def _chat_whole(url: str, key: str, model: str) -> Answer:
    with _openai(url, key) as client:
        answer = client.chat.completions.create(**_chat_body(model))
    usage = answer.usage
    told = None if usage is None else (usage.prompt_tokens, usage.completion_tokens)
    return answer.choices[0].message.content or "", told


def _messages(url: str, key: str, model: str, *, stream: bool) -> Answer:
    body: dict[str, Any] = _chat_body(model)
    with Anthropic(base_url=url, api_key=key, max_retries=0, timeout=TIMEOUT_S) as client:
        if stream:
            with client.messages.stream(**body) as told:
                message = told.get_final_message()
        else:
            message = client.messages.create(**body)
    text = "".join(block.text for block in message.content if block.type == "text")
    read = message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0)
    return text, (read, message.usage.output_tokens)


def _responses(url: str, key: str, model: str, *, stream: bool) -> Answer:
    body: dict[str, Any] = {"model": model, "max_output_tokens": MAX_TOKENS, "input": _QUESTION, "store": False}
    with _openai(url, key) as client:
        if stream:
            response = _last_response(client.responses.create(**body, stream=True))
        else:
            response = client.responses.create(**body)
    usage = response.usage
    return response.output_text, None if usage is None else (usage.input_tokens, usage.output_tokens)


def _last_response(events: Iterable[ResponseStreamEvent]) -> Response:
    """The response that ends a stream: an answer that reached its limit is incomplete, and as good as another here."""
    for event in events:
        if event.type in ("response.completed", "response.incomplete"):
            return event.response
    raise RuntimeError("the stream has no response at its end")


ASKS = (
    Ask("chat, streamed", True, lambda *to: _chat_stream(*to, with_usage=True)),
    Ask("chat, streamed, no usage asked for", False, lambda *to: _chat_stream(*to, with_usage=False)),
    Ask("chat, in one piece", True, _chat_whole),
    Ask("messages, streamed", True, lambda *to: _messages(*to, stream=True)),
    Ask("messages, in one piece", True, lambda *to: _messages(*to, stream=False)),
    Ask("responses, streamed", True, lambda *to: _responses(*to, stream=True)),
    Ask("responses, in one piece", True, lambda *to: _responses(*to, stream=False)),
)
