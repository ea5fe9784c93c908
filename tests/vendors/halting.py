"""OpenAI's batches, told from outside where to halt and when a job ends."""

import asyncio

from aiohttp import web

from tests.vendors.openai import OpenAIVendor
from tests.vendors.vendor import Doc, json

FILLER = "and so on " * 100  # in every answer, so that reading and writing them takes a while


class HaltingVendor(OpenAIVendor):
    """Halts before the answer to an upload ("upload") or to a new job ("create"), or makes the job only a while after
    its client has gone ("late").
    """

    def __init__(self) -> None:
        super().__init__()
        self.halts_at = ""
        self.halted = ""
        self._goes_on = asyncio.Event()
        self._late: set[asyncio.Task[web.Response]] = set()

    def routes(self) -> list[web.RouteDef]:
        return [*super().routes(), web.get("/control", self._told), web.post("/control", self._control)]

    async def _told(self, request: web.Request) -> web.Response:
        """Where it halts right now, the names of jobs, and how often they were listed."""
        lists = sum(seen.method == "GET" and seen.path.startswith("/v1/batches?") for seen in self.seen)
        return json({"halted": self.halted, "jobs": list(self.jobs), "lists": lists})

    async def _control(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.halts_at, self.halted = asked.get("halt", ""), ""
        self._goes_on.set()
        if asked.get("end"):
            for job, lines in self.asked.items():
                self.end(job, self.done, [self.good(name, answer(int(name))) for name in lines])
        return json({})

    async def _upload(self, request: web.Request) -> web.Response:
        told = await super()._upload(request)
        await self._halt("upload")
        return told

    async def _create(self, request: web.Request) -> web.Response:
        if self.halts_at == "late":
            await request.json()  # while it can be read
            self._late.add(asyncio.ensure_future(self._create_late(request)))
            await self._halt("late")
        told = await super()._create(request)
        await self._halt("create")
        return told

    async def _create_late(self, request: web.Request) -> web.Response:
        self._goes_on.clear()
        await self._goes_on.wait()
        return await super()._create(request)

    async def _halt(self, place: str) -> None:
        if self.halts_at == place:
            self.halted = place
            await asyncio.Event().wait()  # its client goes


def answer(number: int) -> Doc:
    """What line `number` is answered."""
    prompt, output = used(number)
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1,
        "model": "m-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": f"said {number} {FILLER}"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output},
    }


def used(number: int) -> tuple[int, int]:
    """The tokens of line `number`: in its prompt, and in its answer."""
    return 10 + number % 7, 1 + number % 11
