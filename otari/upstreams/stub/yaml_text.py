"""Plain values → YAML that people read: maps and lists in blocks, short ones in a line, long texts line by line.

Nothing of YAML's cleverness is used: what could be taken for something else than text stands in quotes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_./-]|[ :](?=[A-Za-z0-9_./-]))*(?<![:])|\d+(?:ms|-[a-z][a-z0-9-]*)")
_WORDS = frozenset(["true", "false", "null", "yes", "no", "on", "off", "y", "n"])  # taken for something else by some
_WIDTH = 110
_INDENT = "  "


def yaml_text(value: Any) -> str:
    """A document, ending with a line break. Keys are texts; numbers must be finite."""
    return "\n".join(_block(value, 0)) + "\n"


def _block(value: Any, depth: int) -> Iterator[str]:
    """The lines of a value that stands by itself, `depth` levels in."""
    inside = _INDENT * depth
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _entry(f"{inside}{_scalar(key)}:", item, depth)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for item in value:
            yield from _item(inside, item, depth)
    else:
        yield inside + str(_line(value))


def _entry(begin: str, value: Any, depth: int) -> Iterator[str]:
    """A key and its value."""
    flat = _flat(value, _WIDTH - len(begin))
    if flat is not None:
        yield f"{begin} {flat}"
    elif isinstance(value, str):
        yield from _literal(begin, value, depth + 1)
    elif isinstance(value, Mapping):
        yield begin
        yield from _block(value, depth + 1)
    else:
        yield begin
        for item in value:
            yield from _item(_INDENT * depth, item, depth)  # the dash stands below the key


def _item(inside: str, value: Any, depth: int) -> Iterator[str]:
    """One entry of a list: its first line stands behind the dash."""
    flat = _flat(value, _WIDTH - len(inside) - 2)
    if isinstance(value, Mapping) and len(value) == 1:
        ((key, only),) = value.items()
        yield from _entry(f"{inside}- {_scalar(key)}:", only, depth + 1)
    elif flat is not None:
        yield f"{inside}- {flat}"
    elif isinstance(value, str):
        yield from _literal(f"{inside}-", value, depth + 1)
    else:
        first, *rest = _block(value, depth + 1)
        yield f"{inside}- {first.removeprefix(inside + _INDENT)}"
        yield from rest


def _flat(value: Any, room: int) -> str | None:
    """A value in one line; None when there is no room for it, or it is a text of several lines."""
    text = _line(value)
    numbers = isinstance(value, list) and all(isinstance(item, int | float) for item in value)
    many = isinstance(value, Mapping | list | tuple) and bool(value) and not numbers
    return None if text is None or (many and len(text) > room) else text


def _line(value: Any) -> str | None:
    if isinstance(value, Mapping):
        parts = [(_scalar(key), _line(item)) for key, item in value.items()]
        return None if any(item is None for _, item in parts) else f"{{{', '.join(f'{k}: {v}' for k, v in parts)}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        items = [_line(item) for item in value]
        return None if None in items else f"[{', '.join(map(str, items))}]"
    if isinstance(value, str) and "\n" in value and _literal_fits(value):
        return None
    return _scalar(value)


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            text = repr(value)
            return text if "." in text or "e" not in text else text.replace("e", ".0e")
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return str(value)
    return f'"{"".join(map(_quoted, value))}"'


def _quoted(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[char]
    if _is_plain(char):
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_plain(char: str) -> bool:
    """Whether every reader of YAML takes the character as it is."""
    return " " <= char <= "~" or (char >= "\xa0" and char.isprintable() and char not in "\u2028\u2029\ufeff")


def _literal_fits(text: str) -> bool:
    """Whether a text can stand line by line as it is."""
    return not text.startswith("\n") and all(_is_plain(char) or char == "\n" for char in text) and text.strip() != ""


def _literal(begin: str, text: str, depth: int) -> Iterator[str]:
    """A text line by line, with exactly the line breaks at its end that it has."""
    body = text.rstrip("\n")
    ends = len(text) - len(body)
    chomp = {0: "-", 1: ""}.get(ends, "+")
    yield f"{begin} |{len(_INDENT)}{chomp}"
    for line in body.split("\n"):
        yield f"{_INDENT * depth}{line}" if line else ""
    yield from [""] * max(0, ends - 1)
