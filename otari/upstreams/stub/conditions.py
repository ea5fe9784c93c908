"""Reading `when` and `expect`: the conditions of a rule."""

from collections.abc import Iterator

from otari.upstreams.stub.fields import Fields, Problems, fields_of, text_of, word_of
from otari.upstreams.stub.patterns import read_bound, read_pattern
from otari.upstreams.stub.rules import Bound, Pattern, When
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


def read_when(value: object, path: str, problems: Problems) -> When:
    """The conditions in the map `value`; conditions that are wrong are noted and left out."""
    fields = fields_of(value, path, problems)
    if fields is None:
        return When()
    when = When(
        surface=tuple(_words(fields, "surface", SURFACES)),
        model=tuple(_texts(fields, "model")),
        texts={name: patterns for name in TEXTS if (patterns := _patterns(fields, name))},
        tools=tuple(_texts(fields, "tools")),
        turn=_bound(fields, "turn"),
        step=_bound(fields, "step"),
        stream=fields.flag("stream"),
        has=tuple(_words(fields, "has", FEATURES)),
    )
    fields.done()
    for name in groups_of(when):
        if name in NAMES:
            problems.note(path, f"the group name {name!r} is taken by the template ${{{name}}}; choose another")
    return when


def groups_of(when: When) -> set[str]:
    """The named groups of all regular expressions: what templates may use beside their own names."""
    patterns = (pattern for some in when.texts.values() for pattern in some)
    return {name for p in patterns if p.regex is not None for name in p.regex.groupindex}


def _words(fields: Fields, name: str, known: tuple[str, ...]) -> Iterator[str]:
    for path, item in fields.one_or_more(name):
        word = word_of(item, known, path, fields.problems)
        if word is not None:
            yield word


def _texts(fields: Fields, name: str) -> Iterator[str]:
    for path, item in fields.one_or_more(name):
        text = text_of(item, path, fields.problems)
        if text == "":
            fields.problems.note(path, "must not be empty")
        elif text is not None:
            yield text


def _patterns(fields: Fields, name: str) -> tuple[Pattern, ...]:
    read = (read_pattern(item, path, fields.problems) for path, item in fields.one_or_more(name))
    return tuple(pattern for pattern in read if pattern is not None)


def _bound(fields: Fields, name: str) -> Bound | None:
    value = fields.take(name)
    return None if value is None else read_bound(value, fields.at(name), fields.problems)
