"""The cases of `hostile/cases.yaml`: each is sent, answered as it says, and leaves nothing behind.

After every one of them: the process answers, no status is 500, no traceback and no secret is in the answer or the log,
nothing is held or open, no provider was asked who should not be, and no version is told.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from tests.extraction import makers
from tests.flows.files_client import Files
from tests.flows.house import MASTER, PROVIDER_KEY, Answer, House, play
from tests.scripted import ScriptedProvider
from tests.scripted.given import Given

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "hostile" / "cases.yaml").read_text())
NOBODYS = f"file-{'0' * 32}"
LOOP_MAX_S = 0.25  # of processor time that may pass before somebody else has a turn
_ODD_COUNTS = {"negative": -5, "huge": 1e30, "text": "7", "null": None}


@dataclass(frozen=True)
class Ground:
    """A gateway with two users, of whom the second has a file, and a provider that notes what it is asked."""

    house: House
    provider: ScriptedProvider
    file_b: str
    key_a: str
    key_b: str

    def filled(self, text: str, file_id: str | None = None) -> str:
        return text.replace("{file_b}", file_id or self.file_b)

    async def send(self, case: Mapping[str, Any], file_id: str | None = None) -> Answer:
        """Send what a case says, with another file's id in it if that is told."""
        method, path = self.filled(case["send"], file_id).split(" ")
        body, content_type = self._body(case, file_id)
        key = MASTER if case.get("as") == "master" else self.key_a
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        received = await self.house.raw(head.encode() + body)  # as it stands: no client mends the path
        told, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = told.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return Answer(int(first.split(" ")[1]), headers, rest, True)

    def _body(self, case: Mapping[str, Any], file_id: str | None) -> tuple[bytes, str]:
        match case:
            case {"json": document}:
                return self.filled(orjson.dumps(document).decode(), file_id).encode(), "application/json"
            case {"text": text}:
                return text.encode(), case.get("type", "application/json")
            case {"nested": [opening, inside, closing, depth]}:
                return (opening * depth + inside + closing * depth).encode(), "application/json"
            case {"letters": count}:
                return b"a" * count, "application/json"
            case {"long": count}:
                said = [{"role": "user", "content": "a" * count}]
                return orjson.dumps({"model": "up:ok-n3", "max_tokens": 9, "messages": said}), "application/json"
            case {"form": parts}:
                return b"".join(map(_part, parts)) + b"--B--\r\n", "multipart/form-data; boundary=B"
        return b"", "application/json"


def _part(part: Mapping[str, Any]) -> bytes:
    name = f'form-data; name="{part["name"]}"' + (f'; filename="{part["filename"]}"' if "filename" in part else "")
    content = makers.bomb(part["bomb"]) if "bomb" in part else part["body"].encode()
    return f"--B\r\nContent-Disposition: {name}\r\n\r\n".encode() + content + b"\r\n"


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    async with ScriptedProvider() as provider:
        for name, count in _ODD_COUNTS.items():
            message = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 5, "completion_tokens": count, "total_tokens": 5}
            answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [message]}
            body = orjson.dumps({**answer, "usage": usage})
            provider.given[f"usage-{name}"] = Given((body,), "application/json")
        price = {"input_price_per_million": 1, "output_price_per_million": 2}
        odd = {f"up:usage-{name}": price for name in _ODD_COUNTS}
        up = {"type": "openai_compatible", "api_base": provider.base_url, "api_key": PROVIDER_KEY}
        config: dict[str, Any] = {
            "providers": {"up": up, "stub": {"type": "stub"}},
            "require_pricing": True,
            "pricing": {"up:ok-n3": price, "up:dear": price, "stub:text": price, **odd},
            "model_capabilities": {"stub:text": {}},
        }
        async with House(folder, **config) as house:
            master = {"Authorization": f"Bearer {MASTER}"}
            budget = (await house.post({"max_budget": 1.0}, path="/v1/budgets", headers=master)).json["budget_id"]
            keys = []
            for user in ("a", "b"):
                await house.post({"user_id": user, "budget_id": budget}, path="/v1/users", headers=master)
                keys.append(await Files(house).another_user(user))
            file_b = (await Files(house).send(b"of b", key=keys[1])).json["id"]
            yield Ground(house, provider, file_b, *keys)


# ---- what else must hold, by the names that cases use ----

Check = Callable[[Ground, Mapping[str, Any], Answer], Awaitable[None]]


async def one_model(ground: Ground, case: Mapping[str, Any], answer: Answer) -> None:
    """The provider was told one model, and that one is billed."""
    (arrival,) = ground.provider.requests
    assert arrival.body.count(b'"model"') == 1
    assert arrival.doc["model"] == ground.house.rows()[0]["model"]


async def counted_here(ground: Ground, case: Mapping[str, Any], answer: Answer) -> None:
    """Numbers that can not be are replaced by a count of our own, which says so."""
    (row,) = ground.house.rows()
    assert row["state"] == "settled"
    assert row["usage_source"] in ("estimated", "partial")  # all of them, or what was missing
    assert 0 < row["cost_nano"] < 1_000_000


async def same_as_none(ground: Ground, case: Mapping[str, Any], answer: Answer) -> None:
    """Nothing tells a file of somebody else from one that never was, and its owner still has it."""
    none = await ground.send(case, NOBODYS)
    assert none.status == answer.status
    assert none.body.replace(NOBODYS.encode(), ground.file_b.encode()) == answer.body
    plain = {name for name in (*none.headers, *answer.headers) if not name.lower().endswith(("date", "request-id"))}
    assert {name: none.headers.get(name) for name in plain} == {name: answer.headers.get(name) for name in plain}
    owned = await Files(ground.house).ask("GET", f"/{ground.file_b}/content", key=ground.key_b)
    assert (owned.status, owned.body) == (200, b"of b")


async def refused_in_a_conversation(ground: Ground, case: Mapping[str, Any], answer: Answer) -> None:
    """Whoever refers to it is told that it can not be read."""
    part = {"type": "file", "file": {"file_id": answer.json["id"]}}
    asked = {"model": "stub:text", "messages": [{"role": "user", "content": [part]}]}
    refused = await ground.house.post(asked, headers={"Authorization": f"Bearer {ground.key_a}"})
    assert refused.status == 400
    assert "unpacks to more than can be read" in refused.json["detail"]


CHECKS: dict[str, Check] = {
    check.__name__: check for check in (one_model, counted_here, same_as_none, refused_in_a_conversation)
}


async def _turns(longest: list[float]) -> None:
    """Note the longest time, of this thread's own work, between two turns of the event loop."""
    while True:
        began = time.thread_time()
        await asyncio.sleep(0)
        longest.append(max(longest.pop(), time.thread_time() - began))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_hostile_input_is_answered_and_leaves_nothing(
    tmp_path: Path, case: dict[str, Any], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def scene() -> None:
        async with ground(tmp_path) as at:
            longest = [0.0]
            watching = asyncio.ensure_future(_turns(longest)) if case.get("then") == "loop_is_free" else None
            answer = await at.send(case)
            if watching is not None:
                watching.cancel()
                assert longest[0] <= LOOP_MAX_S
            assert answer.status in case["status"], (case["why"], answer.body[:500])
            _judge(case, answer)
            if case.get("then") in CHECKS:
                await CHECKS[case["then"]](at, case, answer)
            assert len(at.provider.requests) == case.get("calls", 0)
            assert (await at.house.get("/health/liveness")).status == 200
            await at.house.eventually(at.house.balanced)
            written = f"{caplog.text} {capfd.readouterr().err}"
            for secret in (at.key_a, at.key_b, MASTER, PROVIDER_KEY, str(tmp_path), at.provider.origin):
                assert secret not in written
                assert secret.encode() not in answer.body

    play(scene())


def _judge(case: Mapping[str, Any], answer: Answer) -> None:
    """What every answer must look like."""
    assert b"Traceback" not in answer.body
    assert not re.search(r"[\d/]", answer.headers.get("Server", ""))
    if answer.status < 400:
        return
    told = answer.json
    assert len(answer.body) <= 1_000
    assert case.get("says", "") in answer.body.decode()
    error = told["error"]
    if case.get("shape") == "anthropic":
        assert told["type"] == "error"
        assert set(error) >= {"type", "message"}
    else:
        assert set(error) == {"message", "type", "param", "code"}


def test_every_case_has_a_name_and_a_check_that_there_is() -> None:
    assert len({case["id"] for case in CASES}) == len(CASES)
    assert {case["then"] for case in CASES if "then" in case} == {*CHECKS, "loop_is_free"}
