"""The wire as OpenAI's own types and client see it, and requests and streams made for tests."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import httpx2
import openai
import orjson
from openai.types.responses import Response, ResponseStreamEvent

from otari.dialects import sse
from otari.dialects.openai_responses import OpenAIResponses
from otari.domain.chat import Doc, Event
from tests.dialects.told import frames_of

HERE = Path(__file__).parent
VECTORS = HERE / "vectors"
CASES = HERE / "cases"
STREAMS = sorted(path.name for path in VECTORS.glob("*.sse"))
RESPONSES = OpenAIResponses(clock=lambda: 1795000000.9)
_TYPES = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(ResponseStreamEvent)[0])
}

PATCH: Doc = {"type": "custom", "name": "apply_patch", "description": "Edits files."}
PATCH["format"] = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
SLEEP: Doc = {"type": "function", "name": "sleep", "description": "Waits.", "strict": False}
SLEEP["parameters"] = {"type": "object", "properties": {"ms": {"type": "number"}}, "required": ["ms"]}
CLOCK: Doc = {"type": "namespace", "name": "clock", "description": "Time.", "tools": [SLEEP]}
SEARCH: Doc = {"type": "tool_search", "execution": "client", "description": "Finds.", "parameters": {"type": "object"}}
OFFERED: list[Doc] = [SLEEP | {"name": "look"}, PATCH, CLOCK, {"type": "local_shell"}, SEARCH, {"type": "web_search"}]
ASKED: Doc = {"model": "m", "input": "Hi", "tools": OFFERED, "stream": True}


def cases(prefix: str) -> list[tuple[str, dict[str, Any]]]:
    """The golden cases of one kind: `cases/<prefix>.<what>.json`."""
    return [(path.stem, orjson.loads(path.read_bytes())) for path in sorted(CASES.glob(f"{prefix}.*.json"))]


def written(events: Iterable[Event], request_doc: Doc | None = None) -> bytes:
    """A whole stream."""
    writer = RESPONSES.writer(wants_usage=True, request_doc=request_doc)
    return b"".join(writer.write(event) for event in events)


def events_of(stream: bytes) -> list[Doc]:
    """The data of all events; each is named like its type and numbered, and OpenAI's types accept it."""
    docs: list[Doc] = []
    for number, frame in enumerate(frames_of(stream)):
        doc = orjson.loads(sse.data(frame))
        assert sse.event(frame) == doc["type"]
        assert doc["sequence_number"] == number
        _TYPES[doc["type"]].model_validate(doc, strict=True)
        docs.append(doc)
    return docs


def typed(doc: Doc) -> Response:
    """A whole answer as OpenAI's types see it."""
    return Response.model_validate(orjson.loads(orjson.dumps(doc)), strict=True)


def client_of(body: bytes, content_type: str = "text/event-stream") -> openai.OpenAI:
    """OpenAI's own client, to which every request is answered with `body`."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body, headers={"content-type": content_type})

    transport = httpx2.MockTransport(answer)
    return openai.OpenAI(api_key="k", base_url="http://test/v1", http_client=httpx2.Client(transport=transport))


def event(kind: str, **told: Any) -> Doc:
    """One event of a stream."""
    return {"type": kind, **told}


def response(**told: Any) -> Doc:
    """A response object with what a reader looks at."""
    return {"id": "resp_1", "object": "response", "created_at": 7, "model": "m", "output": [], **told}
