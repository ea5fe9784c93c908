"""Mistral's files and batch jobs."""

from collections.abc import Sequence

import orjson
from aiohttp import web

from tests.vendors.vendor import CREATED, Doc, Vendor, docs, json, jsonl, uploaded


class MistralVendor(Vendor):
    flavour = "mistral"
    root = "/v1"
    key_header = "authorization"
    running, done = "QUEUED", "SUCCESS"

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/files", self._upload),
            web.get("/v1/files/{id}/content", self._content),
            web.post("/v1/batch/jobs", self._create),
            web.get("/v1/batch/jobs", self._list),
            web.get("/v1/batch/jobs/{id}", self._get),
            web.post("/v1/batch/jobs/{id}/cancel", self._cancel),
        ]

    def end(self, job: str, state: str, lines: Sequence[bytes], errors: Sequence[bytes] = (), words: str = "") -> None:
        told = self.jobs[job]
        told["status"] = state
        for key, some in (("output_file", lines), ("error_file", errors)):
            if some:
                told[key] = name = f"{key}-{job}"
                self.files[name] = jsonl(some)
        told["errors"] = [{"message": words, "count": 1}] if words else []
        told.update(
            succeeded_requests=len(lines), failed_requests=len(errors), completed_requests=len(lines) + len(errors)
        )

    def good(self, name: str, answer: Doc) -> bytes:
        return orjson.dumps(
            {"id": f"r{name}", "custom_id": name, "response": {"status_code": 200, "body": answer}, "error": None}
        )

    def bad(self, name: str, status: int, message: str) -> bytes:
        response = {
            "status_code": status,
            "body": {"object": "error", "message": message, "type": "invalid", "code": 1},
        }
        return orjson.dumps({"id": f"r{name}", "custom_id": name, "response": response, "error": None})

    def expired(self, name: str) -> bytes:
        return self._undone(name, "batch_expired")

    def cancelled(self, name: str) -> bytes:
        return self._undone(name, "batch_cancelled")

    def _undone(self, name: str, code: str) -> bytes:
        return orjson.dumps({"custom_id": name, "response": None, "error": {"code": code, "message": "not done"}})

    async def _upload(self, request: web.Request) -> web.Response:
        name, data = await uploaded(request)
        file = f"00000000-0000-0000-0000-{len(self.files) + 1:012d}"
        self.files[file] = data
        told = {"id": file, "object": "file", "bytes": len(data), "created_at": CREATED, "filename": name}
        return json({**told, "purpose": "batch", "sample_type": "batch_request", "source": "upload"})

    async def _content(self, request: web.Request) -> web.StreamResponse:
        return await self.give(request, request.match_info["id"], "application/octet-stream")

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        (file,) = asked["input_files"]
        job = f"11111111-0000-0000-0000-{len(self.jobs) + 1:012d}"
        lines = docs(self.files[file])
        self.asked[job] = {line["custom_id"]: line["body"] for line in lines}
        hours = asked.pop("timeout_hours")
        assert 1 <= hours <= 168
        numbers = {"total_requests": len(lines), "completed_requests": 0, "succeeded_requests": 0, "failed_requests": 0}
        self.jobs[job] = {
            "id": job,
            "object": "batch",
            "status": self.running,
            "created_at": CREATED,
            "errors": [],
            "output_file": None,
            "error_file": None,
            **numbers,
            **asked,
        }
        return json(self.jobs[job])

    async def _list(self, request: web.Request) -> web.Response:
        size, page = int(request.query.get("page_size", 100)), int(request.query.get("page", 0))
        newest = list(self.jobs.values())[::-1]
        return json({"object": "list", "data": newest[page * size : (page + 1) * size], "total": len(newest)})

    async def _get(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["id"])
        return json(job) if job is not None else json({"object": "error", "message": "Job not found"}, 404)

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self.jobs[request.match_info["id"]]
        if job["status"] not in ("QUEUED", "RUNNING"):
            return json({"object": "error", "message": "the job has ended", "type": "invalid", "code": 1}, 400)
        job["status"] = "CANCELLATION_REQUESTED"
        return json(job)
