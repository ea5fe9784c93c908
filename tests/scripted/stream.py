"""The scripted provider's documents: whole completions, and streams of chunks with their scripted ends."""

import asyncio
from typing import Any

import orjson
from aiohttp import web

from tests.scripted.arrival import Arrival
from tests.scripted.script import Script

CREATED = 1_700_000_000
DONE = b"[DONE]"


def completion(arrival: Arrival, words: list[str], finish: str) -> dict[str, Any]:
    """A whole chat completion; `usage` as the arrival has it."""
    message = {"role": "assistant", "content": "".join(words)}
    choices = [{"index": i, "message": message, "finish_reason": finish} for i in range(arrival.choices)]
    doc = {**_head(arrival, "chat.completion"), "choices": choices}
    return doc if arrival.usage is None else {**doc, "usage": arrival.usage}


def _head(arrival: Arrival, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{arrival.number}", "object": kind, "created": CREATED, "model": arrival.model}


class TokenStream:
    """One streamed answer."""

    def __init__(self, request: web.Request, arrival: Arrival, script: Script) -> None:
        self._request = request
        self._arrival = arrival
        self._script = script
        headers = {"Content-Type": "text/event-stream"}
        if script.kind == "set_cookie":
            headers["Set-Cookie"] = "tenant=first; Path=/"
        self._response = web.StreamResponse(headers=headers)
        self._newline = b"\r\n" if script.kind == "crlf" else b"\n"

    async def play(self) -> web.StreamResponse:
        """Send the tokens, then the end that the script wants."""
        arrival, script = self._arrival, self._script
        await self._response.prepare(self._request)
        count = arrival.allowed(script.tokens) if script.kind == "obeys" else script.tokens
        await self._choices({"role": "assistant", "content": ""})
        for i, word in enumerate(script.words(count)):
            if i and script.gap_s:
                await asyncio.sleep(script.gap_s)
            await self._choices({"content": word})
            arrival.tokens_sent += arrival.choices
        await self._end("length" if count < script.tokens else "stop")
        return self._response

    async def _end(self, finish: str) -> None:
        match self._script.kind:
            case "stall_after":
                await asyncio.Event().wait()
            case "cut_mid_event":
                await self._response.write(b'data: {"id":"chatcmpl-0","object":"chat.completion.chunk","choi')
                self._arrival.state = "cut"
                if self._request.transport is not None:
                    self._request.transport.close()
            case "eof_without_done":
                self._arrival.state = "cut"
            case "error_event_in_200":
                await self._error("The model crashed")
            case "echo_key_in_stream":
                await self._error(f"Not good: {self._arrival.headers['Authorization'].removeprefix('Bearer ')}")
            case _:
                await self._finish(finish)

    async def _error(self, words: str) -> None:
        error = {"message": words, "type": "server_error", "param": None, "code": None}
        await self._event(orjson.dumps({"error": error}))

    async def _finish(self, finish: str) -> None:
        await self._choices({}, finish)
        await self._usage()
        if self._script.kind == "no_done":
            return
        await self._event(DONE)
        if self._script.kind == "done_twice_and_tail":
            await self._choices({"content": "tail"})
            await self._usage()
            await self._event(DONE)

    async def _usage(self) -> None:
        arrival = self._arrival
        arrival.usage = self._script.usage(arrival.prompt_tokens, arrival.tokens_sent)
        if arrival.wants_usage and arrival.usage is not None:
            chunk = {**_head(arrival, "chat.completion.chunk"), "choices": [], "usage": arrival.usage}
            await self._event(orjson.dumps(chunk))

    async def _choices(self, delta: dict[str, Any], finish: str | None = None) -> None:
        head = _head(self._arrival, "chat.completion.chunk")
        for i in range(self._arrival.choices):
            choice = {"index": i, "delta": delta, "finish_reason": finish}
            await self._event(orjson.dumps({**head, "choices": [choice]}))

    async def _event(self, data: bytes) -> None:
        await self._response.write(b"data: " + data + self._newline * 2)
