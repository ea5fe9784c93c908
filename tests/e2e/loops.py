"""The task that every coding client does in these tests, and what must come of it: the model thinks, calls a tool that
writes a file, is told that it worked, and says so. Two requests, two settled rows, no retry.

Clients hide a broken stream by asking again, so that a right file alone proves little. The number of requests does.
"""

from base64 import b64decode
from pathlib import Path
from typing import Any

from tests.e2e.coding import CodingClient, Run
from tests.e2e.gateway import Gateway, stub
from tests.e2e.ledger import Row

CONTENT = 'Hello from a scripted model.\nÄpfel, 日本語, "quotes" and a tab:\t.\n'
THOUGHT = "I must write the note."
LAST_WORDS = "The note is written."
# What providers speak, and a model of each: how a request is written for them depends on the name.
MODELS = {"chat": "agent", "messages": "claude-sonnet-4-5", "responses": "gpt-5.2", "gemini": "gemini-3-pro"}
UPSTREAMS = tuple(MODELS)

Step = dict[str, Any]


def writing(call: Step, tool: str, told: str, **expect: str) -> Step:
    """A rule of the stub: first the model makes `call`, a call of `tool`; its result must hold `told`, and the second
    request must fit `expect` in all. The client is asked to write the note to a path, which `call` has as `${path}`.
    """
    when = {"user": r"/write the note to (?P<path>[\w./-]+)/", "tools": [tool]}
    steps = [
        {"think": THOUGHT, "say": "I write the note.", "call": call},
        {"expect": {"tool_result": told, **expect}, "say": LAST_WORDS},
    ]
    return {"id": f"note by {tool}", "when": when, "steps": steps}


GOES_ON = "And on it goes."
GOING_ON: Step = {"id": "on", "when": {"user": "/and then/i"}, "reply": {"think": THOUGHT, "say": GOES_ON}}

# A picture of 8 × 8 pixels, all of them red.
PICTURE = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="
)


def aliases(*names: str) -> dict[str, str]:
    """Names that clients ask for: what a client does depends on the name as well. `name-dialect` leads to the model of
    that dialect's provider.
    """
    return {f"{name}-{dialect}": f"{dialect}:{model}" for name in names for dialect, model in MODELS.items()}


def upstreams(rules: list[Step], folder: Path) -> dict[str, Any]:
    """The `providers` of a gateway: one stub for each dialect, named like it and speaking nothing else. The one that
    speaks Chat Completions wants its reasoning back, as many servers do.
    """
    providers: dict[str, Any] = {}
    for dialect in UPSTREAMS:
        providers |= stub({"rules": rules}, folder, dialect)
        providers[dialect]["dialects"] = [dialect]
    providers["chat"]["quirks"] = {"reasoning_replay": True}
    return providers


def run_loop(client: CodingClient, gateway: Gateway) -> tuple[Run, list[Row]]:
    """One run of the task; how it ended, and the rows that it left. The file is as it must be, and alone."""
    before = len(gateway.ledger.usage())
    note = client.work / "note.txt"
    run = client.run(f"Please write the note to {note}")
    assert run.code == 0, f"{run.out}\n{run.err}"
    assert note.read_bytes() == CONTENT.encode()
    assert LAST_WORDS in run.out
    assert sorted(path.name for path in client.work.iterdir()) == [note.name]
    assert run.reached == ()
    return run, gateway.wait_quiet().usage()[before:]


def assert_requests(rows: list[Row], endpoint: str, count: int = 2) -> None:
    """Exactly so many requests, all streamed to their end and paid for by what the provider told."""
    told = [(row["endpoint"], row["state"], row["status"], row["http_status"], row["flags"]) for row in rows]
    assert told == [(endpoint, "settled", "success", 200, "")] * count, told
    assert all(row["stream"] == 1 for row in rows)
    assert all(row["input_tokens"] > 0 and row["output_tokens"] > 0 for row in rows)


def assert_dropped(rows: list[Row], always: set[str], later: set[str] | None = None) -> None:
    """What the rows say was lost on the way to the provider: `always`, and `later` in the second request only."""
    first, second = (set(row["dropped"].splitlines()) for row in rows)
    expected = always, always | (later or set())
    assert (first, second) == expected, f"dropped {first} and {second}, not {expected}"
