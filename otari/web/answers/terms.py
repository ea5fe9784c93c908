"""The words that all answers share: amounts, times, counts."""

from datetime import datetime
from typing import Annotated, Any, ClassVar

from msgspec import Meta


class Amount:
    """An amount of USD, or a rate in USD: a JSON number that is written exactly and never negative."""

    json_schema: ClassVar[dict[str, Any]] = {"type": "number", "format": "decimal", "minimum": 0}


Absent = Annotated[
    None, Meta(description="Always null: client libraries look for it, and there is nothing of it here.")
]
Time = Annotated[datetime, Meta(tz=True)]  # UTC, with its offset
Count = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[int, Meta(ge=0)]
Nano = Annotated[int, Meta(ge=0, le=9_000_000_000_000_000_000)]  # so much fits the ledger
Pico = Annotated[int, Meta(ge=0)]
