"""Requests as clients really send them, as every provider gets them: golden bodies, and the names of what is lost.

`OTARI_WRITE_GOLDEN=1 python -m pytest tests/cells/test_captures.py` writes `golden/` anew. Look at the difference: a
loss without a name is a defect.
"""

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from otari.domain.errors import OtariError
from tests.cells.captures import Capture, captures
from tests.cells.cell import SERVERS, WORDS, Cell
from tests.cells.readable import readable

GOLDEN = Path(__file__).parent / "golden"
WRITES = os.environ.get("OTARI_WRITE_GOLDEN") == "1"
CAPTURES = captures()


def written(capture: Capture, server: str) -> dict[str, Any]:
    """What the provider gets, and the names of what it does not get."""
    try:
        exchange = Cell(capture.client, server).exchange(capture.body)
    except OtariError as error:
        return {"refused": error.message}
    return {"dropped": list(exchange.dropped), "body": orjson.loads(exchange.body)}


@pytest.mark.parametrize("capture", CAPTURES, ids=[capture.name for capture in CAPTURES])
def test_every_provider_gets_what_the_client_meant(capture: Capture) -> None:
    told = {WORDS[server]: written(capture, server) for server in SERVERS if server != capture.client}
    path = GOLDEN / f"{capture.name}.json"
    if WRITES:
        path.write_text(readable(told))
    assert told == orjson.loads(path.read_bytes())


@pytest.mark.parametrize("capture", CAPTURES, ids=[capture.name for capture in CAPTURES])
def test_a_provider_of_the_same_dialect_gets_the_request_as_it_is(capture: Capture) -> None:
    told = written(capture, capture.client)
    assert told["dropped"] == []
    changed = {"model", "stream_options"}
    assert {k: v for k, v in told["body"].items() if k not in changed} == {
        k: v for k, v in capture.body.items() if k not in changed and not _ours(k)
    }


def _ours(key: str) -> bool:
    """Keys that speak to the gateway: no provider gets them."""
    return key in (
        "user",
        "guardrails",
        "max_tool_iterations",
        "mcp_server_ids",
        "mcp_servers",
        "session_label",
        "tools_header",
    )


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == {capture.name for capture in CAPTURES}
