"""What is wrong with a body or a query: all of it at once, field by field.

msgspec stops at the first fault that it finds, so values are looked at one by one, each with the type of its field. A
type may carry a reader of its own, `Meta(extra={"read": …})` (`values.py`): what it refuses is told beside the rest.
A problem says where (`loc`) and why (`msg`), and never repeats the value: it may be a secret in the wrong place.
"""

import difflib
import re
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Raw, Struct, structs

from otari.web.values import Unfit

Problem = dict[str, Any]  # type, loc, msg
Loc = tuple[str | int, ...]
V = TypeVar("V")

_HINTED = 20  # for so many unknown names the known one is looked for that was meant
_NAME_MAX_CHARACTERS = 100


def problem(loc: Loc, msg: str, kind: str = "value_error") -> Problem:
    """One field is wrong; `loc` begins with "body", "query" or "path"."""
    return {"type": kind, "loc": list(loc), "msg": msg}


def in_body(raw: bytes, into: type[Struct]) -> list[Problem]:
    """Everything that keeps a JSON object from being an `into`. Raises msgspec.DecodeError for what is no JSON."""
    return list(_in_value(raw, into, ("body",)))


def in_query(given: Mapping[str, str], into: type[Struct]) -> list[Problem]:
    """Everything that keeps the parameters of an address from being an `into`."""
    return list(_in_fields(given, into, ("query",), _in_parameter))


def _in_value(raw: bytes, hint: Any, loc: Loc) -> Iterator[Problem]:
    core, read = _opened(hint)
    first = raw.lstrip()[:1]
    if first == b"{" and isinstance(core, type) and issubclass(core, Struct):
        yield from _in_fields(msgspec.json.decode(raw, type=dict[str, Raw]), core, loc, _in_raw)
        return
    if first == b"[" and get_origin(core) is list:
        (item,) = get_args(core)
        items = enumerate(msgspec.json.decode(raw, type=list[Raw]))
        found = [each for index, one in items for each in _in_raw(one, item, (*loc, index))]
        if found:
            yield from found
            return
    # JSON has one kind of number, and 60.0 is a whole one. The entries of a list have been looked at already.
    lenient = first != b'"' if core is int else first == b"[" and get_origin(core) is list
    yield from _in_one(lambda: msgspec.json.decode(raw, type=hint, strict=not lenient), core, read, loc)


def _in_raw(raw: Raw, hint: Any, loc: Loc) -> Iterator[Problem]:
    return _in_value(bytes(raw), hint, loc)


def _in_parameter(text: str, hint: Any, loc: Loc) -> Iterator[Problem]:
    return _in_one(lambda: msgspec.convert(text, hint, strict=False), *_opened(hint), loc)


def _in_one(decode: Callable[[], Any], core: Any, read: Callable[[Any], object] | None, loc: Loc) -> Iterator[Problem]:
    """What is wrong with a value that has no fields."""
    try:
        value = decode()
        if read is not None and value is not None:
            read(value)
    except msgspec.ValidationError as error:
        yield problem(loc, *_reason(str(error), core))
    except Unfit as error:
        yield problem(loc, str(error), error.kind)


def _in_fields(
    given: Mapping[str, V], into: type[Struct], loc: Loc, in_one: Callable[[V, Any, Loc], Iterator[Problem]]
) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in structs.fields(into)}
    for name, field in fields.items():
        if name in given:
            yield from in_one(given[name], field.type, (*loc, name))
        elif field.required:
            yield problem((*loc, name), "Field required", "missing")
    if into.__struct_config__.forbid_unknown_fields:
        unknown = [name for name in given if name not in fields]
        for position, name in enumerate(unknown):
            near = difflib.get_close_matches(name, fields, 1) if position < _HINTED else []
            hint = f"; did you mean {near[0]}?" if near else ""
            yield problem((*loc, name[:_NAME_MAX_CHARACTERS]), f"This field is not known{hint}", "extra_forbidden")


def _opened(hint: Any) -> tuple[Any, Callable[[Any], object] | None]:
    """The type of a field without null and without what is said about it, and the reader that it carries."""
    read = None
    while True:
        if get_origin(hint) is Annotated:
            hint, *said = get_args(hint)
            read = next((m.extra["read"] for m in said if isinstance(m, Meta) and m.extra and "read" in m.extra), read)
        elif get_origin(hint) in (Union, types.UnionType):
            told = [one for one in get_args(hint) if one not in (types.NoneType, msgspec.UnsetType)]
            if len(told) != 1:
                return hint, read
            (hint,) = told
        else:
            return hint, read


# What msgspec says, as type and text of a problem. Types are the words that clients of such APIs know.
_OF_TYPE = {
    "str": ("string_type", "Input should be a text"),
    "int": ("int_type", "Input should be a whole number"),
    "bool": ("bool_type", "Input should be true or false"),
    "decimal": ("decimal_type", "Input should be a number"),
    "array": ("list_type", "Input should be a list"),
    "object": ("dict_type", "Input should be an object"),
    "null": ("none_required", "Input should be null: there is nothing of the kind here"),
}
_TYPE = re.compile(r"Expected `(\w+)[^`]*`, got ")
_BOUNDS = (
    (re.compile(r"Expected `int` >= (\S+)"), "greater_than_equal", "Input should be greater than or equal to {}"),
    (re.compile(r"Expected `int` <= (\S+)"), "less_than_equal", "Input should be less than or equal to {}"),
    (
        re.compile(r"Expected `str` of length >= (\d+)"),
        "string_too_short",
        "Input should be at least {} characters long",
    ),
    (re.compile(r"Expected `str` of length <= (\d+)"), "string_too_long", "Input should be at most {} characters long"),
    (re.compile(r"Expected `array` of length >= (\d+)"), "too_short", "Input should have at least {} entries"),
    (re.compile(r"Expected `array` of length <= (\d+)"), "too_long", "Input should have at most {} entries"),
)


def _reason(text: str, core: Any) -> tuple[str, str]:
    """Text and type of a problem, from what msgspec says."""
    if get_origin(core) is Literal:
        return "Input should be one of: " + ", ".join(map(str, get_args(core))), "literal_error"
    if told := _TYPE.match(text):
        kind, msg = _OF_TYPE.get(told[1], ("value_error", "Input should be of another type"))
        return msg, kind
    if text == "Invalid decimal string":
        return _OF_TYPE["decimal"][1], _OF_TYPE["decimal"][0]
    for pattern, kind, msg in _BOUNDS:
        if bound := pattern.match(text):
            return msg.format(bound[1]), kind
    return "Input is not valid here", "value_error"
