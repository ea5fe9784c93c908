"""The golden cases and vectors of this dialect, and how frames of it are made."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

HERE = Path(__file__).parent
VECTORS = HERE / "vectors"


def cases(prefix: str) -> list[tuple[str, dict[str, Any]]]:
    """The cases of one kind: `cases/<prefix>.<what>.json`."""
    found = sorted((HERE / "cases").glob(f"{prefix}.*.json"))
    return [(path.stem, orjson.loads(path.read_bytes())) for path in found]


def vector(name: str) -> Any:
    """A vector that is JSON."""
    return orjson.loads((VECTORS / name).read_bytes())


def stream_of(frames: Iterable[Any]) -> bytes:
    """Frames as a stream: an object as an event of its type, a string as it is."""
    return b"".join(map(frame_of, frames))


def frame_of(frame: Any) -> bytes:
    """One frame."""
    if isinstance(frame, str):
        return frame.encode()
    kind: str = frame["type"]
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(frame) + b"\n\n"
