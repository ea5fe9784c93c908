"""What the tests of operations share: places, answers, refusals."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from otari.domain.errors import Kind, OtariError
from otari.operations.operation import Came, Facts, Operation, Place, Told

VECTORS = Path(__file__).parent / "vectors"
FACTS = Facts("req_1", lambda: 42)


def vectors(name: str) -> Any:
    return orjson.loads((VECTORS / name).read_bytes())


def at(flavour: str, provider: str = "acme") -> Place:
    return Place(provider, "m", flavour)


def sent(operation: Operation[Any], request: Any, flavour: str) -> tuple[Any, tuple[str, ...]]:
    """The JSON that a provider gets, and what it is not told."""
    operation.read_envelope(request, len(orjson.dumps(request)))
    written = operation.write_request(request, at(flavour))
    assert isinstance(written.body, bytes)
    return orjson.loads(written.body), written.dropped


def told(operation: Operation[Any], request: Any, answer: Any, flavour: str) -> Told:
    return operation.read_answer(request, Came(orjson.dumps(answer)), at(flavour), FACTS)


def refusal(operation: Operation[Any], request: Any) -> OtariError:
    """How a request is refused before anything is asked."""
    with pytest.raises(OtariError) as raised:
        operation.read_envelope(request, 100)
    assert raised.value.kind is Kind.INVALID
    return raised.value
