"""Reading `when` and `expect`: the conditions of a rule."""

import re
from collections.abc import Iterator, Mapping

from otari.upstreams.stub.fields import Fields, Problems, fields_of, kind_of, text_of, word_of
from otari.upstreams.stub.patterns import read_bound, read_pattern
from otari.upstreams.stub.places import read_place
from otari.upstreams.stub.rules import Bound, Pattern, Place, When
from otari.upstreams.stub.templates import NAMES

# Surfaces of the whole product: a rule for one that the stub does not serve yet just never fits.
SURFACES = (
    "chat",
    "messages",
    "responses",
    "gemini",
    "embeddings",
    "moderations",
    "rerank",
    "images",
    "speech",
    "transcription",
    "batches",
)
TEXTS = ("user", "system", "last", "tool_result", "thought")
FEATURES = ("image", "file", "schema", "thinking")
_DIGEST = re.compile(r"[0-9a-f]{8,64}")


def read_when(value: object, path: str, problems: Problems) -> When:
    """The conditions in the map `value`; conditions that are wrong are noted and left out."""
    fields = fields_of(value, path, problems)
    if fields is None:
        return When()
    when = When(
        surface=tuple(_words(fields, "surface", SURFACES)),
        model=tuple(read_texts(fields, "model")),
        texts={name: patterns for name in TEXTS if (patterns := read_patterns(fields, name))},
        tools=tuple(read_texts(fields, "tools")),
        turn=_bound(fields, "turn"),
        step=_bound(fields, "step"),
        stream=fields.flag("stream"),
        has=tuple(_words(fields, "has", FEATURES)),
        headers=read_headers(fields, "header"),
        body=tuple(_places(fields)),
        session=tuple(read_texts(fields, "session")),
        key=tuple(read_texts(fields, "key")),
        digest=_digest(fields),
    )
    fields.done()
    for name in groups_of(when):
        if name in NAMES:
            problems.note(path, f"the group name {name!r} is taken by the template ${{{name}}}; choose another")
    return when


def groups_of(when: When) -> set[str]:
    """The named groups of all regular expressions: what templates may use beside their own names."""
    several = (*when.texts.values(), *when.headers.values())
    patterns = [pattern for some in several for pattern in some]
    patterns += [place.wanted for place in when.body if isinstance(place.wanted, Pattern)]
    return {name for p in patterns if p.regex is not None for name in p.regex.groupindex}


def read_headers(fields: Fields, name: str) -> Mapping[str, tuple[Pattern, ...]]:
    """The map of header names to patterns under `name`."""
    inner = fields.fields(name)
    if inner is None:
        return {}
    return {header.lower(): read_patterns(inner, header) for header in list(inner.left)}


def _words(fields: Fields, name: str, known: tuple[str, ...]) -> Iterator[str]:
    for path, item in fields.one_or_more(name):
        word = word_of(item, known, path, fields.problems)
        if word is not None:
            yield word


def read_texts(fields: Fields, name: str) -> Iterator[str]:
    """A text or several under `name`, none of them empty."""
    for path, item in fields.one_or_more(name):
        text = text_of(item, path, fields.problems)
        if text == "":
            fields.problems.note(path, "must not be empty")
        elif text is not None:
            yield text


def read_patterns(fields: Fields, name: str) -> tuple[Pattern, ...]:
    """A pattern or several under `name`."""
    read = (read_pattern(item, path, fields.problems) for path, item in fields.one_or_more(name))
    return tuple(pattern for pattern in read if pattern is not None)


def _bound(fields: Fields, name: str) -> Bound | None:
    value = fields.take(name)
    return None if value is None else read_bound(value, fields.at(name), fields.problems)


def _places(fields: Fields) -> Iterator[Place]:
    inner = fields.fields("body")
    for path in list(inner.left) if inner is not None else ():
        assert inner is not None
        wanted, steps = inner.take(path), read_place(path)
        if steps is None:
            inner.note(path, "is not a place in the body; write it as messages[0].content")
        elif isinstance(wanted, str):
            pattern = read_pattern(wanted, inner.at(path), inner.problems)
            if pattern is not None:
                yield Place(path, steps, pattern)
        elif wanted is None or isinstance(wanted, bool | int | float):
            yield Place(path, steps, wanted)
        else:
            inner.note(path, f"must be text, a number, true, false or null, not {kind_of(wanted)}")


def _digest(fields: Fields) -> str:
    digest = fields.text("hash")
    if digest is not None and not _DIGEST.fullmatch(digest):
        fields.note("hash", "must be 8 to 64 hexadecimal digits, as a recording has them")
    return digest or ""
