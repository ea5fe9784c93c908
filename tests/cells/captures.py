"""Requests as clients really send them, their long texts replaced by their length: `captures/<client>.<what>.json`."""

from pathlib import Path
from typing import NamedTuple

import orjson

from otari.domain.chat import Doc

FOLDER = Path(__file__).parent / "captures"


class Capture(NamedTuple):
    """One request: `client` names the dialect it is written in."""

    name: str
    client: str
    body: Doc


def captures() -> list[Capture]:
    """All of them, by name."""
    found = ((path, orjson.loads(path.read_bytes())) for path in sorted(FOLDER.glob("*.json")))
    return [Capture(path.stem, doc["client"], doc["body"]) for path, doc in found]
