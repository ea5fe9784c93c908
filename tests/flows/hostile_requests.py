"""Requests that clients should not send, and do: the same mischief in the dialect of each client."""

from typing import Any

from otari.domain.chat import Doc
from tests.cells.cell import CHAT, MESSAGES, RESPONSES

LARGE = "QUJD" * (2 * 1024 * 1024 // 4)  # 2 MiB of base64
LOOP: Doc = {
    "type": "object",
    "properties": {"next": {"$ref": "#/$defs/node"}},
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
}
ODD_NAME = "näme\r\nX-Evil: 1"


HOLE: Doc = {"type": "string", "description": "a hole"}  # where `deep` goes, which no writer of JSON would write


def deep(depth: int) -> bytes:
    """A JSON Schema that is so deep, as JSON."""
    return b'{"type":"object","properties":{"a":' * depth + b'{"type":"string"}' + b"}}" * depth


def tool(client: str, name: str, schema: Doc) -> Doc:
    """A tool in the shape of a dialect."""
    if client == MESSAGES:
        return {"name": name, "input_schema": schema}
    if client == RESPONSES:
        return {"type": "function", "name": name, "parameters": schema, "strict": False}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def said(client: str, *messages: Any) -> Doc:
    """A request with these messages, items of Responses included."""
    if client == RESPONSES:
        return {"input": list(messages), "store": False}
    return {"messages": list(messages)} | ({"max_tokens": 500} if client == MESSAGES else {})


def user(content: Any) -> Doc:
    return {"role": "user", "content": content}


def call(client: str, call_id: str, name: str = "look", arguments: str = '{"a":1}') -> Doc:
    """A call of an assistant: a tool call, a block or an item."""
    if client == MESSAGES:
        return {"type": "tool_use", "id": call_id, "name": name, "input": {"a": 1}}
    if client == RESPONSES:
        return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def used(client: str, calls: list[Doc], results: list[tuple[str, str]]) -> list[Doc]:
    """The messages of an assistant that made these calls, and of their results."""
    if client == MESSAGES:
        blocks = [{"type": "tool_result", "tool_use_id": call_id, "content": text} for call_id, text in results]
        return ([{"role": "assistant", "content": calls}] if calls else []) + ([user(blocks)] if blocks else [])
    if client == RESPONSES:
        return [*calls, *({"type": "function_call_output", "call_id": i, "output": text} for i, text in results)]
    told = [{"role": "tool", "tool_call_id": call_id, "content": text} for call_id, text in results]
    return ([{"role": "assistant", "content": None, "tool_calls": calls}] if calls else []) + told


def picture(client: str, data: str) -> Doc:
    """A content part with a picture."""
    url = f"data:image/png;base64,{data}"
    parts: dict[str, Doc] = {
        CHAT: {"type": "image_url", "image_url": {"url": url}},
        MESSAGES: {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        RESPONSES: {"type": "input_image", "image_url": url},
    }
    return parts[client]


def shaped(client: str, schema: Doc) -> Doc:
    """The wish for an answer that fits a schema."""
    form: Doc = {"type": "json_schema", "name": "a", "schema": schema, "strict": True}
    if client == MESSAGES:
        return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    if client == RESPONSES:
        return {"text": {"format": form}}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def forged(client: str, signature: Any) -> Doc:
    """An assistant's message whose thinking has a signature that nobody made."""
    if client == MESSAGES:
        thought = {"type": "thinking", "thinking": "Hm.", "signature": signature}
        return {"role": "assistant", "content": [thought, {"type": "text", "text": "Hello"}]}
    if client == RESPONSES:
        return {"type": "reasoning", "summary": [], "encrypted_content": signature}
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": signature}]
    return {"role": "assistant", "content": "Hello", "extra_content": {"anthropic": {"thinking_blocks": blocks}}}
