"""The golden files of Chat Completions."""

from pathlib import Path
from typing import Any

import orjson

HERE = Path(__file__).parent
VECTORS = HERE / "vectors"
STREAMS = sorted(path.name for path in VECTORS.glob("0*_cc_*.sse"))


def cases(prefix: str) -> list[tuple[str, dict[str, Any]]]:
    """The golden cases of one kind: `cases/<prefix>.<what>.json`."""
    return [(path.stem, orjson.loads(path.read_bytes())) for path in sorted((HERE / "cases").glob(f"{prefix}.*.json"))]
