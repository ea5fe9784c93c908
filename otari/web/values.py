"""Times, amounts, rates and names as clients write them, read into what the store keeps.

Every function raises Unfit for a value of the right type that can not be meant; its text never repeats the value.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import orjson

from otari.domain import money

_LAST_MS = 253_402_300_799_999  # the end of the year 9999
_EPOCH_SECONDS = re.compile(r"\d{1,12}(\.\d{1,6})?")


class Unfit(ValueError):
    """A value of the right type that is wrong all the same. `kind` is the `type` that the client is told."""

    def __init__(self, msg: str, kind: str = "value_error") -> None:
        super().__init__(msg)
        self.kind = kind


def epoch_ms(text: str) -> int:
    """ISO 8601 or epoch seconds as epoch milliseconds; without an offset it is UTC."""
    try:
        if _EPOCH_SECONDS.fullmatch(text):
            at_ms = int(Decimal(text) * 1000)
        else:
            point = datetime.fromisoformat(text)
            at_ms = round((point if point.tzinfo else point.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        at_ms = -1
    if not 0 <= at_ms <= _LAST_MS:
        raise Unfit("This is not a time: write ISO 8601 or epoch seconds", "datetime_parsing")
    return at_ms


def nano_usd(amount: Decimal) -> int:
    """USD as nano-USD, exactly."""
    return _exactly(money.exact_nano, amount)


def pico_per_token(usd_per_million: Decimal) -> int:
    """USD per million tokens as pico-USD per token, exactly."""
    return _exactly(money.rate, usd_per_million)


def pico_each(usd_each: Decimal) -> int:
    """USD per request, image, second or character as pico-USD, exactly."""
    return _exactly(money.unit_rate, usd_each)


def _exactly(read: Any, amount: Decimal) -> int:
    if amount.is_finite() and amount < 0:
        raise Unfit("Input should be greater than or equal to 0", "greater_than_equal")
    try:
        return int(read(amount))
    except ArithmeticError:
        raise Unfit("This number is not believable") from None
    except ValueError as error:
        raise Unfit(str(error)) from None


def model_key(text: str) -> str:
    """`provider:model`, also for what was written `provider/model`."""
    cut = min((at for at in (text.find(":"), text.find("/")) if at > 0), default=-1)
    if cut < 0 or cut == len(text) - 1:
        raise Unfit("Write the model as 'provider:model'")
    return f"{text[:cut]}:{text[cut + 1 :]}"


def batch_metadata(metadata: Mapping[str, str]) -> None:
    """The texts that a batch may carry along, as OpenAI has it."""
    if len(metadata) > 16 or any(not 1 <= len(name) <= 64 for name in metadata):
        raise Unfit("Send at most 16 texts, under names of 1 to 64 characters")


def metadata_text(metadata: Mapping[str, Any] | None) -> str:
    """Metadata as the JSON text that is stored; none is an empty object. Numbers of more than 64 bits become floats."""
    try:
        return orjson.dumps(orjson.loads(msgspec.json.encode(metadata or {}))).decode()
    except (orjson.JSONEncodeError, orjson.JSONDecodeError, RecursionError):
        raise Unfit("This is nested too deeply") from None
