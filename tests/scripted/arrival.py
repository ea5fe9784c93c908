"""What the scripted provider notes about each request: in memory, and as lines of a journal."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

_IN_PATH = re.compile(r"/models/([^/:]+):")
# Headers that a journal may show as they are.
_PLAIN = ("accept", "accept-encoding", "content-type", "cookie", "user-agent", "x-request-id")


@dataclass(slots=True)
class Arrival:
    """One request.

    `state` is "open" while it is answered, then "done", "refused", "cut" (the script broke it off) or "aborted" (the
    client left). `tokens_sent` counts over all choices; `usage` is what was reported, if anything was.
    `peer_port` tells connections apart.
    """

    number: int
    id: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    doc: dict[str, Any]
    peer_port: int
    state: str = "open"
    tokens_sent: int = 0
    usage: dict[str, object] | None = None

    @property
    def model(self) -> str:
        """The model asked for; Google's API names it in the path."""
        named = _IN_PATH.search(self.path)
        return named[1] if named else str(self.doc.get("model", ""))

    @property
    def stream(self) -> bool:
        return self.doc.get("stream") is True

    @property
    def choices(self) -> int:
        return int(self.doc.get("n") or 1)

    @property
    def prompt_tokens(self) -> int:
        """The words of all messages: this provider's idea of a token."""
        return sum(len(_text(message.get("content")).split()) for message in self.doc.get("messages", ()))

    @property
    def wants_usage(self) -> bool:
        return bool((self.doc.get("stream_options") or {}).get("include_usage"))

    def allowed(self, tokens: int) -> int:
        """At most as many of `tokens` as the request allows for one choice."""
        limits: list[int] = [self.doc[name] for name in ("max_tokens", "max_completion_tokens") if self.doc.get(name)]
        return min([tokens, *limits])


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(part["text"] for part in parts if part.get("type") == "text")


@dataclass(slots=True)
class Journal:
    """A file with a line for the start and one for the end of every request, each written at once."""

    path: Path
    _file: int = field(init=False)

    def __post_init__(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def started(self, arrival: Arrival) -> None:
        headers = {name: arrival.headers[name] for name in _PLAIN if name in arrival.headers}
        authorization = arrival.headers.get("authorization", "")
        self._write(
            event="start",
            id=arrival.id,
            number=arrival.number,
            path=arrival.path,
            model=arrival.model,
            stream=arrival.stream,
            headers=headers,
            authorization_sha256=hashlib.sha256(authorization.encode()).hexdigest(),
            body_sha256=hashlib.sha256(arrival.body).hexdigest(),
            prompt_tokens=arrival.prompt_tokens,
        )

    def ended(self, arrival: Arrival) -> None:
        self._write(
            event="end",
            id=arrival.id,
            number=arrival.number,
            state=arrival.state,
            tokens_sent=arrival.tokens_sent,
            usage=arrival.usage,
        )

    def close(self) -> None:
        os.close(self._file)

    def _write(self, **line: object) -> None:
        os.write(self._file, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
