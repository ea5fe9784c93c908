"""Files and batches of a stub run: the same ids, times and bytes in every run."""

import asyncio
from pathlib import Path
from typing import Any

import orjson

from tests.flows.batches_client import Batches, ask, jsonl, line
from tests.flows.house import play
from tests.flows.stage import Stage

RULES = "stub: 1\nrules:\n- {id: any, when: {}, reply: Hi}\n"
NOON_2026_S = 1_767_225_600  # the clock of scripts that set none


async def kept(stage: Stage, session: str) -> list[Any]:
    """What a session that sends files and batches is told, in its order."""
    batches, key = Batches(stage), f"sk-stub-{session}"
    told = [(await batches.files.send(content, key=key)).json for content in (b"one", b"one", b"two")]
    lines = [line(f"r{number}", ask(f"text {number}", "gpt-x")) for number in range(5)]
    for _ in range(2):
        begun = await batches.send_file(jsonl([*lines, line("bad", {"model": "gpt-x"})]), key=key)
        told += [begun.json, batch := await batches.ended(begun, key)]
        for name in (batch["output_file_id"], batch["error_file_id"]):
            told.append((await batches.files.ask("GET", f"/{name}", key=key)).json)
            told.append((await batches.files.ask("GET", f"/{name}/content", key=key)).body.decode())
    told.append((await batches.files.ask("GET", key=key)).json)
    return told


def run(folder: Path, *sessions: str, rules: str = RULES, at_once: bool = True) -> dict[str, list[Any]]:
    """What each session is told in a run of its own."""
    told: dict[str, list[Any]] = {}

    async def scene() -> None:
        async with Stage(folder, rules) as stage:

            async def one(session: str) -> None:
                told[session] = await kept(stage, session)

            if at_once:
                await asyncio.gather(*map(one, sessions))
            else:
                for session in sessions:
                    await one(session)

    folder.mkdir()
    play(scene())
    return told


def test_two_runs_tell_the_same(tmp_path: Path) -> None:
    assert run(tmp_path / "a", "x") == run(tmp_path / "b", "x")


def test_how_sessions_are_interleaved_makes_no_difference(tmp_path: Path) -> None:
    names = ["x", "y", "z"]
    together = run(tmp_path / "a", *names)
    assert together == run(tmp_path / "b", *reversed(names), at_once=False)
    assert all(ids(told) for told in together.values())
    assert not ids(together["x"]) & ids(together["y"])


def test_another_seed_gives_other_ids(tmp_path: Path) -> None:
    seeded = RULES + "defaults: {seed: 7}\n"
    assert not ids(run(tmp_path / "a", "x")["x"]) & ids(run(tmp_path / "b", "x", rules=seeded)["x"])


def test_times_are_those_of_the_script_and_lists_in_order(tmp_path: Path) -> None:
    *_, batch, _, _, _, _, listed = run(tmp_path / "a", "x")["x"]
    times = {key: value for key, value in batch.items() if key.endswith("_at") and value is not None}
    assert set(times) == {"created_at", "in_progress_at", "finalizing_at", "completed_at", "expires_at"}
    assert {value for key, value in times.items() if key != "expires_at"} == {NOON_2026_S}
    sent = [file for file in listed["data"] if file["purpose"] != "batch_output"]
    assert [file["id"] for file in sent] == sorted((file["id"] for file in sent), reverse=True)
    assert {file["created_at"] for file in listed["data"]} == {NOON_2026_S}


def ids(told: list[Any]) -> set[str]:
    """The ids of files, batches and requests in what was told."""
    found = orjson.dumps(told).decode().replace("\\", "").split('"')
    return {word for word in found if word.startswith(("file-", "batch_", "req_")) and len(word) > 30}
