"""Plain values → the Structs of `settings`, by their annotations. Every mismatch is told, not only the first."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from msgspec import Struct, inspect

from otari.config.environment import Substituted
from otari.config.problems import Problems, below, nearest, shown_text
from otari.domain.secret import Secret

WRONG: Any = object()  # stands for a value that was not usable; its problem has been told

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")
_YAML_1_1_BOOLEANS = ("yes", "on", "no", "off")
_INTEGER = re.compile(r"\s*[-+]?[0-9]{1,18}\s*")
_NUMBER = re.compile(r"\s*[-+]?(?:[0-9]{1,14}(?:\.[0-9]{0,14})?|\.[0-9]{1,14})\s*")


@cache
def struct_type(cls: type[Struct]) -> inspect.StructType:
    """The annotations of a Struct, resolved."""
    kind = inspect.type_info(cls)
    assert isinstance(kind, inspect.StructType)
    return kind


class Typing:
    """Reads values by type. `labels` gives another name to top-level places (the variable that a value came from)."""

    def __init__(self, problems: Problems, labels: Mapping[str, str] | None = None) -> None:
        self._problems = problems
        self._labels = labels or {}
        self.literal_secrets: list[str] = []

    def struct(self, kind: inspect.StructType, value: object, path: str = "") -> Any:
        """An instance of the Struct; a key without a value, or with an unusable one, has its default."""
        if not isinstance(value, dict):
            return self._wrong(path, "a mapping of keys to values", value, show=False)
        fields = {field.name: field for field in kind.fields}
        for key in value:
            if key not in fields:
                self._problems.error(below(path, key), f"unknown key{nearest(key, fields)}")
        given: dict[str, Any] = {}
        incomplete = False
        for name, field in fields.items():
            item = value.get(name)
            place = below(path, name) if path else self._labels.get(name, name)
            if item is not None:
                result = self._read(field.type, item, place)
                if result is not WRONG:
                    given[name] = result
                    continue
                incomplete |= field.required
            elif field.required:
                self._problems.error(place, "is required")
                incomplete = True
        return WRONG if incomplete else kind.cls(**given)

    def _read(self, kind: inspect.Type, value: object, path: str) -> Any:
        match kind:
            case inspect.Metadata(type=inner):
                return self._read(inner, value, path)
            case inspect.UnionType(types=types):  # every union here is "something or None"
                return self._read(next(t for t in types if not isinstance(t, inspect.NoneType)), value, path)
            case inspect.StructType():
                return self.struct(kind, value, path)
            case inspect.DictType(value_type=inner):
                return self._mapping(inner, value, path)
            case inspect.VarTupleType(item_type=inner):
                return self._list(inner, value, path)
            case inspect.BoolType():
                return self._bool(value, path)
            case inspect.IntType():
                return self._int(kind, value, path)
            case inspect.FloatType():
                return self._float(kind, value, path)
            case inspect.DecimalType():
                return self._decimal(value, path)
            case inspect.DateTimeType():
                return self._datetime(value, path)
            case inspect.LiteralType(values=words):
                return self._word([str(word) for word in words], value, path)
            case inspect.CustomType(cls=cls) if cls is Secret:
                return self._secret(value, path)
            case _:
                return self._text(value, path)

    def _mapping(self, kind: inspect.Type, value: object, path: str) -> Any:
        if not isinstance(value, dict):
            return self._wrong(path, "a mapping of names to values", value, show=False)
        items = {}
        for key, item in value.items():
            place = below(path, key)
            # a name with nothing behind it (`ollama:`) means: this one, with its defaults
            result = self._read(kind, {} if item is None and isinstance(kind, inspect.StructType) else item, place)
            if result is not WRONG:
                items[key] = result
        return items

    def _list(self, kind: inspect.Type, value: object, path: str) -> Any:
        if not isinstance(value, list):
            return self._wrong(path, "a list", value, show=False)
        items = [self._read(kind, item, f"{path}[{index}]") for index, item in enumerate(value)]
        return tuple(item for item in items if item is not WRONG)

    def _text(self, value: object, path: str) -> Any:
        if not isinstance(value, str):
            return self._wrong(path, "text (put it in quotes)", value, show=False)
        if not value.isprintable() or not value.strip():
            self._problems.error(path, "must not be blank or hold control characters")
            return WRONG
        return str(value)

    def _secret(self, value: object, path: str) -> Any:
        if not isinstance(value, str):
            return self._wrong(path, "text (put it in quotes)", value, show=False)
        if not isinstance(value, Substituted):
            self.literal_secrets.append(path)
        return Secret(str(value))

    def _bool(self, value: object, path: str) -> Any:
        if isinstance(value, bool):
            return value
        if isinstance(value, str):
            word = value.strip().lower()
            if word in (_TRUE + _FALSE if isinstance(value, Substituted) else _YAML_1_1_BOOLEANS):
                return word in _TRUE
        return self._wrong(path, "true or false", value)

    def _int(self, kind: inspect.IntType, value: object, path: str) -> Any:
        if isinstance(value, Substituted) and _INTEGER.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not _within(kind, value):
            return self._wrong(path, f"a whole number from {kind.ge} to {kind.le}", value)
        return value

    def _float(self, kind: inspect.FloatType, value: object, path: str) -> Any:
        if isinstance(value, Substituted) and _NUMBER.fullmatch(value):
            value = Decimal(value.strip())
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not _within(kind, value):
            return self._wrong(path, f"a number from {kind.ge} to {kind.le}", value)
        return float(value)

    def _decimal(self, value: object, path: str) -> Any:
        if isinstance(value, Substituted) and _NUMBER.fullmatch(value):
            return Decimal(value.strip())
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            return self._wrong(path, "a number (without quotes)", value)
        return Decimal(value)

    def _datetime(self, value: object, path: str) -> Any:
        """ISO 8601; a time without an offset is UTC."""
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else None
            if moment is not None:
                return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        return self._wrong(path, "a date or time such as 2026-01-31 or 2026-01-31T12:00:00Z", value)

    def _word(self, words: list[str], value: object, path: str) -> Any:
        if isinstance(value, str) and value.strip().lower() in words:
            return value.strip().lower()
        return self._wrong(path, "one of " + ", ".join(words), value)

    def _wrong(self, path: str, wanted: str, value: object, *, show: bool = True) -> Any:
        """Tell a mismatch. `show` is off where a stray key may stand instead of what belongs there."""
        self._problems.error(path or "the configuration", f"must be {wanted}, not {_kind(value, show)}")
        return WRONG


def _within(kind: inspect.IntType | inspect.FloatType, value: int | Decimal) -> bool:
    return (kind.ge is None or value >= kind.ge) and (kind.le is None or value <= kind.le)


def _kind(value: object, show: bool) -> str:
    """What a value is, in words that can be printed: what came from the environment is never shown."""
    match value:
        case Substituted():
            return "what the environment says"
        case None:
            return "nothing"
        case bool():
            return str(value).lower() if show else "true or false"
        case str():
            return f"the text {shown_text(value)}" if show else "text"
        case int() | Decimal():
            return str(value) if show else "a number"
        case list():
            return "a list"
        case _:
            return "a mapping"
