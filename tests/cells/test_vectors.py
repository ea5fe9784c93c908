"""Recorded streams of providers through every client: valid and complete, or an error and never an invented ending."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from otari.domain.chat import Failed, fold
from tests.cells.cell import CHAT, CLIENTS, GEMINI, MESSAGES, RESPONSES, STILL, Cell, cut, streamed
from tests.cells.clients import BY_DIALECT
from tests.dialects import told
from tests.dialects.told import read_all

DIALECTS = Path(told.__file__).parent
EXPECTED: dict[str, Any] = orjson.loads((DIALECTS / "vectors" / "expected.json").read_bytes())
FOLDERS = {CHAT: "openai_chat", MESSAGES: "anthropic_messages", RESPONSES: "openai_responses", GEMINI: "gemini"}
VECTORS = [
    (server, path)
    for server, folder in FOLDERS.items()
    for path in sorted((DIALECTS / folder / "vectors").glob("[01]*.sse"))
    if server in STILL
]
FAILING = [(server, path) for server, path in VECTORS if EXPECTED[path.name].get("error")]
WHOLE = [(server, path) for server, path in VECTORS if not EXPECTED[path.name].get("error")]


def cells_of(vectors: list[tuple[str, Path]]) -> pytest.MarkDecorator:
    """Each of these streams with each client that its provider does not speak to as it is."""
    cases = [(Cell(client, server), path) for server, path in vectors for client in CLIENTS if client != server]
    return pytest.mark.parametrize(("cell", "path"), cases, ids=[f"{cell}-{path.stem}" for cell, path in cases])


def through(cell: Cell, stream: bytes, size: int = 0) -> bytes:
    """What the client gets of a stream that comes whole, or in pieces of one size."""
    exchange = cell.exchange(BY_DIALECT[cell.client].request(stream=True))
    return streamed(exchange, cut(stream, range(0, len(stream), size) if size else ()))


def test_all_vectors_are_here() -> None:
    told = {path.name for _, path in VECTORS}
    streams = {name for name in EXPECTED if name.endswith(".sse") and name[:2] in ("01", "02", "03", "04", "05")}
    assert streams <= told
    assert len(FAILING) >= 5


@cells_of(WHOLE)
def test_a_stream_arrives_whole(cell: Cell, path: Path) -> None:
    stream = path.read_bytes()
    out = through(cell, stream)
    client = BY_DIALECT[cell.client]
    client.check(out)
    client.gathered(out)
    expected = EXPECTED[path.name]
    found = told.told(read_all(STILL[cell.client].reader(), out))
    assert found.get("text", "") == expected.get("text", "")
    assert found.get("thinking", "") == expected.get("thinking", "")
    assert _calls(cell, found) == _calls(cell, expected)
    assert found["finish"] == _finish(cell, expected["finish"])
    for key in ("input_total", "output_total"):
        if key in expected.get("usage", {}):
            assert found["usage"][key] == expected["usage"][key], key
    for key in ("cache_read", "reasoning"):
        if expected.get("usage", {}).get(key):
            assert found["usage"][key] == expected["usage"][key], key


def _calls(cell: Cell, told: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """Gemini tells no ids."""
    return [("" if cell.server == GEMINI else call["id"], call["name"], call["args"]) for call in told.get("tools", ())]


def _finish(cell: Cell, told: str) -> str:
    """OpenAI's wires do not tell that a stop sequence ended an answer."""
    if told == "stop_sequence" and cell.client != MESSAGES:
        return "end"
    return told


@cells_of(FAILING)
def test_a_failure_is_told_and_nothing_looks_like_an_end(cell: Cell, path: Path) -> None:
    stream = path.read_bytes()
    out = through(cell, stream)
    error = BY_DIALECT[cell.client].check_failed(out)
    failed = fold(read_all(STILL[cell.server].reader(), stream))
    assert isinstance(failed, Failed)
    assert failed.message in error["message"]


@cells_of(VECTORS)
def test_any_cut_of_the_bytes_gives_the_same(cell: Cell, path: Path) -> None:
    stream = path.read_bytes()
    whole = through(cell, stream)
    for size in (1, 7, 61):
        assert _without_new_ids(through(cell, stream, size)) == _without_new_ids(whole)


def _without_new_ids(stream: bytes) -> bytes:
    """Ids that a provider left out are made up anew each time."""
    return re.sub(rb"(?<=_)[0-9a-f]{24}", b"new", stream)


@cells_of(WHOLE)
def test_a_stream_that_breaks_off_anywhere_never_looks_whole(cell: Cell, path: Path) -> None:
    """Cut off after each frame before the one that ends it."""
    stream = path.read_bytes()
    frames = told.frames_of(stream)
    client = BY_DIALECT[cell.client]
    for count in range(1, len(frames)):
        begun = b"".join(frames[:count])
        ending = fold(read_all(STILL[cell.server].reader(), begun))
        out = through(cell, begun)
        if isinstance(ending, Failed):
            client.check_failed(out)
        else:
            client.check(out)
