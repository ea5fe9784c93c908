"""OpenAI's files and batches."""

from collections.abc import Sequence

import orjson
from aiohttp import web

from tests.vendors.vendor import CREATED, Doc, Vendor, docs, json, jsonl, uploaded


class OpenAIVendor(Vendor):
    flavour = "openai"
    root = "/v1"
    key_header = "authorization"
    running, done = "validating", "completed"

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/files", self._upload),
            web.get("/v1/files/{id}/content", self._content),
            web.post("/v1/batches", self._create),
            web.get("/v1/batches", self._list),
            web.get("/v1/batches/{id}", self._get),
            web.post("/v1/batches/{id}/cancel", self._cancel),
        ]

    def end(self, job: str, state: str, lines: Sequence[bytes], errors: Sequence[bytes] = (), words: str = "") -> None:
        told = self.jobs[job]
        told["status"] = state
        for key, some in (("output_file_id", lines), ("error_file_id", errors)):
            if some:
                told[key] = name = f"file-{key}-{job}"
                self.files[name] = jsonl(some)
        if words:
            told["errors"] = {"object": "list", "data": [{"code": "bad", "line": 3, "message": words, "param": None}]}
        total = len(self.asked[job])
        told["request_counts"] = {"total": total, "completed": len(lines), "failed": len(errors)}

    def good(self, name: str, answer: Doc) -> bytes:
        response = {"status_code": 200, "request_id": f"req-{name}", "body": answer}
        return orjson.dumps({"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": None})

    def bad(self, name: str, status: int, message: str) -> bytes:
        body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
        response = {"status_code": status, "request_id": f"req-{name}", "body": body}
        return orjson.dumps({"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": None})

    def expired(self, name: str) -> bytes:
        return self._undone(name, "batch_expired")

    def cancelled(self, name: str) -> bytes:
        return self._undone(name, "batch_cancelled")

    def _undone(self, name: str, code: str) -> bytes:
        error = {"code": code, "message": "This request was not executed."}
        return orjson.dumps({"id": f"batch_req_{name}", "custom_id": name, "response": None, "error": error})

    async def _upload(self, request: web.Request) -> web.Response:
        name, data = await uploaded(request)
        file = f"file-{len(self.files) + 1}"
        self.files[file] = data
        return json(
            {
                "id": file,
                "object": "file",
                "bytes": len(data),
                "created_at": CREATED,
                "filename": name,
                "purpose": "batch",
                "status": "processed",
            }
        )

    async def _content(self, request: web.Request) -> web.StreamResponse:
        return await self.give(request, request.match_info["id"], "application/octet-stream")

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        lines = docs(self.files[asked["input_file_id"]])
        assert all(line["url"] == asked["endpoint"] and line["method"] == "POST" for line in lines)
        job = f"batch_{len(self.jobs) + 1}"
        self.asked[job] = {line["custom_id"]: line["body"] for line in lines}
        self.jobs[job] = {
            "id": job,
            "object": "batch",
            "created_at": CREATED,
            "status": self.running,
            "errors": None,
            "output_file_id": None,
            "error_file_id": None,
            "model": None,
            **asked,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
        }
        return json(self.jobs[job])

    async def _list(self, request: web.Request) -> web.Response:
        newest = list(self.jobs.values())[::-1]
        after = request.query.get("after")
        if after:
            newest = newest[[job["id"] for job in newest].index(after) + 1 :]
        shown = newest[: self.page]
        ends = {"first_id": shown[0]["id"] if shown else None, "last_id": shown[-1]["id"] if shown else None}
        return json({"object": "list", "data": shown, "has_more": len(newest) > len(shown), **ends})

    async def _get(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            return json({"error": {"message": "No batch found", "type": "invalid_request_error"}}, 404)
        return json(job)

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self.jobs[request.match_info["id"]]
        if job["status"] not in ("validating", "in_progress", "finalizing"):
            told = f"Cannot cancel a batch with status '{job['status']}'."
            return json({"error": {"message": told, "type": "invalid_request_error"}}, 409)
        job["status"] = "cancelling"
        return json(job)
