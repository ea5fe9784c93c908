"""A client of `/v1/batches` for tests."""

import asyncio
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tests.flows.files_client import Files
from tests.flows.house import Answer, House

CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


def line(custom_id: object, body: object, url: str = CHAT, **more: object) -> dict[str, Any]:
    """One line of an input, as OpenAI has it."""
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body, **more}


def ask(text: str, model: str = "stub:echo", **more: object) -> dict[str, Any]:
    """The body of a chat request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def jsonl(lines: Iterable[object]) -> bytes:
    """Documents, or bytes as they are, as the lines of a file."""
    return b"\n".join(each if isinstance(each, bytes) else orjson.dumps(each) for each in lines)


class Batches:
    """The routes of batches, asked with the first key of a house unless another one is named."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.files = Files(house)

    async def ask(
        self,
        method: str,
        path: str = "",
        *,
        key: str | None = None,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        """One request below `/v1/batches`."""
        headers = {"Authorization": f"Bearer {key or self._house.key}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = io.BytesIO(body if isinstance(body, bytes) else orjson.dumps(body))
        return await self._house.request(method, f"/v1/batches{path}", headers, params=query, data=data)

    async def send(self, requests: Sequence[object], model: str = "stub:echo", **more: Any) -> Answer:
        """Begin a batch with its requests: texts, or bodies."""
        bodies = [{"messages": ask(each)["messages"]} if isinstance(each, str) else each for each in requests]
        named = [{"custom_id": f"r{index}", "body": body} for index, body in enumerate(bodies)]
        return await self.ask("POST", body={"model": model, "requests": named, **more})

    async def send_file(self, content: bytes, endpoint: str = CHAT, key: str | None = None, **more: object) -> Answer:
        """Send a file and begin a batch of its lines."""
        sent = await self.files.send(content, "in.jsonl", key=key, fields=[("purpose", "batch")])
        assert sent.status == 200, sent.body
        body = {"input_file_id": sent.json["id"], "endpoint": endpoint, "completion_window": "24h", **more}
        return await self.ask("POST", body=body, key=key)

    async def get(self, batch_id: str, key: str | None = None) -> dict[str, Any]:
        """How a batch stands."""
        answer = await self.ask("GET", f"/{batch_id}", key=key)
        assert answer.status == 200, answer.body
        return answer.json  # type: ignore[no-any-return]

    async def ended(self, begun: Answer | str, key: str | None = None) -> dict[str, Any]:
        """A batch once it has ended."""
        if isinstance(begun, Answer):
            assert begun.status == 200, begun.body
            begun = str(begun.json["id"])
        async with asyncio.timeout(20):
            while True:
                batch = await self.get(begun, key)
                if batch["status"] in ENDED:
                    return batch
                await asyncio.sleep(0.005)

    async def until(self, begun: Answer, done: int, key: str | None = None) -> dict[str, Any]:
        """A batch once so many of its requests are done."""
        async with asyncio.timeout(20):
            while True:
                batch = await self.get(begun.json["id"], key)
                if batch["request_counts"]["completed"] + batch["request_counts"]["failed"] >= done:
                    return batch
                await asyncio.sleep(0.002)

    async def lines(self, file_id: str | None, key: str | None = None) -> dict[str, Any]:
        """The lines of an output or error file, by their custom ids."""
        if file_id is None:
            return {}
        answer = await self.files.ask("GET", f"/{file_id}/content", key=key)
        assert answer.status == 200, answer.body
        docs = [orjson.loads(each) for each in answer.body.splitlines()]
        assert len({doc["custom_id"] for doc in docs}) == len(docs)
        return {doc["custom_id"]: doc for doc in docs}

    async def results(self, batch_id: str) -> dict[str, Any]:
        """What became of every request, by custom id."""
        answer = await self.ask("GET", f"/{batch_id}/results")
        assert answer.status == 200, answer.body
        return {each["custom_id"]: each for each in answer.json["results"]}


def script(folder: Path, *rules: Mapping[str, object]) -> dict[str, object]:
    """A stub's entry under `providers`, which answers by these rules."""
    path = folder / "stub.json"
    path.write_bytes(orjson.dumps({"stub": 1, "rules": list(rules)}))  # JSON is YAML
    return {"type": "stub", "script": str(path)}
