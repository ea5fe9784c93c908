"""Changes by name: what was given is laid over what stands there, and None clears."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

T = TypeVar("T")


def changed(record: T, changes: Mapping[str, Any], changeable: frozenset[str]) -> T:
    """A copy of a dataclass with `changes` laid over it. Raises TypeError for a fact that is not `changeable`."""
    unknown = changes.keys() - changeable
    if unknown:
        raise TypeError(f"can not be changed: {', '.join(sorted(unknown))}")
    return replace(record, **changes)  # type: ignore[type-var]  # every record is a dataclass
