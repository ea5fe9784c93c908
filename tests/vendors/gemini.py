"""The batches and files of the Gemini API."""

from collections.abc import Sequence

import orjson
from aiohttp import web

from tests.vendors.vendor import Doc, Vendor, docs, json, jsonl

_CODES = {400: 3, 404: 5, 429: 8, 401: 16}


class GeminiVendor(Vendor):
    """`upload_host` stands in the address that files are sent to, where it is not the vendor's own."""

    flavour = "gemini"
    root = "/v1beta/openai"
    key_header = "x-goog-api-key"
    running, done = "BATCH_STATE_PENDING", "BATCH_STATE_SUCCEEDED"
    upload_host = ""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/upload/v1beta/files", self._upload),
            web.post("/v1beta/models/{model}:batchGenerateContent", self._create),
            web.get("/v1beta/batches", self._list),
            web.get("/v1beta/batches/{id}", self._get),
            web.post("/v1beta/batches/{id}:cancel", self._cancel),
            web.get("/v1beta/files/{id}:download", self._download),
        ]

    def state_of(self, job: str) -> str:
        return str(self.jobs[job]["metadata"]["state"])

    def end(self, job: str, state: str, lines: Sequence[bytes], errors: Sequence[bytes] = (), words: str = "") -> None:
        told, every = self.jobs[job], [*lines, *errors]
        told["done"] = True
        told["metadata"]["state"] = state
        if words:
            told["error"] = {"code": 3, "message": words}
        if not every:
            return
        stats = {"requestCount": str(len(self.asked[job])), "successfulRequestCount": str(len(lines))}
        told["metadata"]["batchStats"] = {**stats, "failedRequestCount": str(len(errors))}
        if told["metadata"]["inputConfig"].get("fileName"):
            self.files[f"results-{job}"] = jsonl(every)
            output: Doc = {"responsesFile": f"files/results-{job}"}
        else:
            inlined = [_inlined(line) for line in every]
            output = {"inlinedResponses": {"inlinedResponses": inlined}}
        told["metadata"]["output"] = told["response"] = output

    def good(self, name: str, answer: Doc) -> bytes:
        return orjson.dumps({"key": name, "response": answer})

    def bad(self, name: str, status: int, message: str) -> bytes:
        return orjson.dumps({"key": name, "error": {"code": _CODES[status], "message": message}})

    def expired(self, name: str) -> bytes:
        return orjson.dumps({"key": name, "error": {"code": 4, "message": "The time is over."}})

    def cancelled(self, name: str) -> bytes:
        return orjson.dumps({"key": name, "error": {"code": 1, "message": "CANCELLED"}})

    async def _upload(self, request: web.Request) -> web.Response:
        command = request.headers["X-Goog-Upload-Command"]
        if command == "start":
            assert request.headers["X-Goog-Upload-Protocol"] == "resumable"
            assert "file" in await request.json()
            size = request.headers["X-Goog-Upload-Header-Content-Length"]
            origin = self.upload_host or f"http://127.0.0.1:{self.port}"
            answer = json({})
            answer.headers["X-Goog-Upload-URL"] = f"{origin}/upload/v1beta/files?upload_id=a%2Fb&size={size}"
            answer.headers["X-Goog-Upload-Status"] = "active"
            return answer
        assert (command, request.headers["X-Goog-Upload-Offset"]) == ("upload, finalize", "0")
        assert request.query["upload_id"] == "a/b"
        data = await request.read()
        assert len(data) == int(request.query["size"])
        name = f"in-{len(self.files) + 1}"
        self.files[name] = data
        answer = json({"file": {"name": f"files/{name}", "mimeType": "application/jsonl", "state": "ACTIVE"}})
        answer.headers["X-Goog-Upload-Status"] = "final"
        return answer

    async def _create(self, request: web.Request) -> web.Response:
        batch = (await request.json())["batch"]
        source = batch["inputConfig"]
        if "fileName" in source:
            lines = docs(self.files[source["fileName"].removeprefix("files/")])
            asked = {line["key"]: line["request"] for line in lines}
        else:
            listed = source["requests"]["requests"]
            asked = {line["metadata"]["key"]: line["request"] for line in listed}
        job = f"job{len(self.jobs) + 1}"
        self.asked[job] = asked
        self.jobs[job] = {
            "name": f"batches/{job}",
            "metadata": {
                "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
                "model": f"models/{request.match_info['model']}",
                "displayName": batch.get("displayName", ""),
                "inputConfig": source,
                "state": self.running,
                "createTime": "2026-01-01T00:00:00.000000Z",
                "batchStats": {"requestCount": str(len(asked)), "pendingRequestCount": str(len(asked))},
                "name": f"batches/{job}",
            },
        }
        return json(self.jobs[job])

    async def _list(self, request: web.Request) -> web.Response:
        start = int(request.query.get("pageToken") or 0)
        newest = list(self.jobs.values())[::-1]
        shown = newest[start : start + self.page]
        more = {"nextPageToken": str(start + self.page)} if len(newest) > start + self.page else {}
        return json({"operations": shown, **more})

    async def _get(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            return json({"error": {"code": 404, "message": "not found", "status": "NOT_FOUND"}}, 404)
        return json(job)

    async def _cancel(self, request: web.Request) -> web.Response:
        metadata = self.jobs[request.match_info["id"]]["metadata"]
        if metadata["state"] not in (self.running, "BATCH_STATE_RUNNING"):
            return json({"error": {"code": 400, "message": "it has ended", "status": "FAILED_PRECONDITION"}}, 400)
        metadata["state"] = "BATCH_STATE_CANCELLED"
        return json({})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        assert request.query["alt"] == "media"
        return await self.give(request, request.match_info["id"], "application/jsonl")


def _inlined(line: bytes) -> Doc:
    """A line as it stands in an operation: its key is in what was said of the request."""
    try:
        doc = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(doc, dict):
        return {}
    return {**{key: value for key, value in doc.items() if key != "key"}, "metadata": {"key": doc.get("key")}}
