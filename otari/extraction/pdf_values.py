"""Values in the dictionaries of a PDF that strangers wrote, as what they should be."""

from typing import Any

from pypdf.generic import BooleanObject, DictionaryObject, StreamObject


def whole(value: Any) -> Any:
    """The value itself, where a reference to it stands."""
    return value.get_object() if hasattr(value, "get_object") else value


def value_of(owner: DictionaryObject, key: str, default: Any = None) -> Any:
    """The value at a key."""
    found = whole(owner.get(key))
    return default if found is None else found


def dictionary(value: Any) -> DictionaryObject:
    """A dictionary; an empty one in the place of anything else."""
    found = whole(value)
    return found if isinstance(found, DictionaryObject) else DictionaryObject()


def listed(value: Any) -> list[Any]:
    """The members of a list; one value is a list of it, and nothing one of nothing."""
    found = whole(value)
    if isinstance(found, list):
        return [whole(each) for each in found]
    return [] if found is None else [found]


def is_true(value: Any) -> bool:
    """Whether it says yes."""
    return isinstance(value, BooleanObject) and value.value


def size(stream: StreamObject) -> tuple[int, int]:
    """Width and height of a picture; zeros when they are not told."""
    width, height = value_of(stream, "/Width"), value_of(stream, "/Height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else (0, 0)
