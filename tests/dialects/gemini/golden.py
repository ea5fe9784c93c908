"""The golden cases and vectors of this dialect, and how frames of it are made."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

HERE = Path(__file__).parent
VECTORS = HERE / "vectors"
STREAMS = sorted(path.name for path in VECTORS.glob("*.sse"))


def cases(prefix: str) -> list[tuple[str, dict[str, Any]]]:
    """The cases of one kind: `cases/<prefix>.<what>.json`."""
    found = sorted((HERE / "cases").glob(f"{prefix}.*.json"))
    return [(path.stem, orjson.loads(path.read_bytes())) for path in found]


def vector(name: str) -> Any:
    """A vector that is JSON."""
    return orjson.loads((VECTORS / name).read_bytes())


def stream_of(frames: Iterable[Any]) -> bytes:
    """Frames as a stream: a string as it is, anything else as data, framed as Google's are."""
    return b"".join(map(frame_of, frames))


def frame_of(frame: Any) -> bytes:
    """One frame."""
    return frame.encode() if isinstance(frame, str) else b"data: " + orjson.dumps(frame) + b"\r\n\r\n"


def answer(*parts: Any, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """What a frame with these parts holds."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "responseId": "r", "modelVersion": "g", **more}
