"""Anthropic's message batches."""

from collections.abc import Sequence

import orjson
from aiohttp import web

from tests.vendors.vendor import Doc, Vendor, json, jsonl

_WHEN = "2026-01-01T00:00:00Z"
_KINDS = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class AnthropicVendor(Vendor):
    """`results_host` stands in the address of results, where it is not the vendor's own."""

    flavour = "anthropic"
    root = "/v1"
    key_header = "x-api-key"
    running, done = "in_progress", "ended"
    results_host = ""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/messages/batches", self._create),
            web.get("/v1/messages/batches", self._list),
            web.get("/v1/messages/batches/{id}", self._get),
            web.get("/v1/messages/batches/{id}/results", self._results),
            web.post("/v1/messages/batches/{id}/cancel", self._cancel),
        ]

    def state_of(self, job: str) -> str:
        return str(self.jobs[job]["processing_status"])

    def end(self, job: str, state: str, lines: Sequence[bytes], errors: Sequence[bytes] = (), words: str = "") -> None:
        told, every = self.jobs[job], [*lines, *errors]
        self.files[job] = jsonl(every)
        origin = self.results_host or f"http://127.0.0.1:{self.port}"
        told.update(
            processing_status=state,
            ended_at=_WHEN,
            results_url=f"{origin}/v1/messages/batches/{job}/results",
            request_counts={
                "processing": 0,
                **{kind: _count(every, kind) for kind in ("succeeded", "errored", "canceled", "expired")},
            },
        )

    def good(self, name: str, answer: Doc) -> bytes:
        return orjson.dumps({"custom_id": name, "result": {"type": "succeeded", "message": answer}})

    def bad(self, name: str, status: int, message: str) -> bytes:
        error = {"type": "error", "request_id": "req_1", "error": {"type": _KINDS[status], "message": message}}
        return orjson.dumps({"custom_id": name, "result": {"type": "errored", "error": error}})

    def expired(self, name: str) -> bytes:
        return orjson.dumps({"custom_id": name, "result": {"type": "expired"}})

    def cancelled(self, name: str) -> bytes:
        return orjson.dumps({"custom_id": name, "result": {"type": "canceled"}})

    async def _create(self, request: web.Request) -> web.Response:
        assert request.headers["anthropic-version"]
        asked = await request.json()
        job = f"msgbatch_{len(self.jobs) + 1}"
        self.asked[job] = {line["custom_id"]: line["params"] for line in asked["requests"]}
        none = dict.fromkeys(("archived_at", "cancel_initiated_at", "ended_at", "results_url"))
        counts = {"processing": len(self.asked[job]), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        self.jobs[job] = {
            "id": job,
            "type": "message_batch",
            "processing_status": self.running,
            "request_counts": counts,
            "created_at": _WHEN,
            "expires_at": "2026-01-02T00:00:00Z",
            **none,
        }
        return json(self.jobs[job])

    async def _list(self, request: web.Request) -> web.Response:
        return json({"data": list(self.jobs.values())[::-1], "has_more": False, "first_id": None, "last_id": None})

    async def _get(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            return json({"type": "error", "error": {"type": "not_found_error", "message": "no such batch"}}, 404)
        return json(job)

    async def _results(self, request: web.Request) -> web.StreamResponse:
        return await self.give(request, request.match_info["id"], "application/x-jsonl")

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self.jobs[request.match_info["id"]]
        if job["processing_status"] == "ended":
            told = {"type": "invalid_request_error", "message": "The batch has ended already."}
            return json({"type": "error", "error": told}, 400)
        job.update(processing_status="canceling", cancel_initiated_at=_WHEN)
        return json(job)


def _count(lines: Sequence[bytes], kind: str) -> int:
    return sum(f'"result":{{"type":"{kind}"'.encode() in line for line in lines)
