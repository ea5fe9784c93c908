"""Reading what a rule wants of a single-shot answer or a batch: embed, rank, flag, image, audio, text, batch."""

import re
from collections.abc import Iterator

from otari.upstreams.stub.blocks import BlockReader
from otari.upstreams.stub.fields import Fields, Problems, fields_of, kind_of, word_of
from otari.upstreams.stub.rules import Answer, BatchPlan, When, Wish
from otari.upstreams.stub.singles import HARM

# The surface that each of them belongs to.
WISHES = {
    "embed": "embeddings",
    "rank": "rerank",
    "flag": "moderations",
    "image": "images",
    "audio": "speech",
    "text": "transcription",
    "batch": "batches",
}
SINGLE_SURFACES = tuple(WISHES.values())
_DIMS_MAX = 4096
_POLLS_MAX = 1_000
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def read_wish(fields: Fields, name: str, when: When, groups: set[str]) -> Answer:
    """The answer that the key `name` wants; its rule must be for the surface that the key belongs to."""
    if when.surface != (WISHES[name],):
        fields.note(name, f"belongs to a rule with when: {{surface: {WISHES[name]}}}")
    value, path, problems = fields.take(name), fields.at(name), fields.problems
    match name:
        case "embed":
            return Answer(wish=Wish(dims=_dims(value, path, problems)))
        case "rank":
            return Answer(wish=Wish(scores=_scores(value, path, problems)))
        case "flag":
            return Answer(wish=Wish(flags=_flags(value, path, problems)))
        case "image":
            return Answer(wish=Wish(fill=_fill(value, path, problems)))
        case "audio":
            word_of(value, ("silence",), path, problems)
            return Answer(wish=Wish())
        case "batch":
            return Answer(wish=Wish(batch=_plan(value, path, problems)))
    return Answer(wish=Wish(text=BlockReader(problems, frozenset(groups)).template(value, path)))


def check_surface(fields: Fields, when: When, answers: tuple[Answer, ...]) -> None:
    """Note answers that speak on a surface where nothing can be said."""
    mute = [surface for surface in when.surface if surface in SINGLE_SURFACES]
    if mute and any(answer.blocks for answer in answers):
        wish = next(name for name, surface in WISHES.items() if surface == mute[0])
        fields.problems.note(fields.path, f"says something, which {mute[0]} can not carry; give {wish}, or an error")


def _dims(value: object, path: str, problems: Problems) -> int | None:
    fields = fields_of(value, path, problems)
    if fields is None:
        return None
    dims = fields.whole("dims", 1, _DIMS_MAX)
    fields.done()
    return dims


def _plan(value: object, path: str, problems: Problems) -> BatchPlan:
    fields = fields_of(value, path, problems)
    if fields is None:
        return BatchPlan()
    polls = fields.whole("polls", 1, _POLLS_MAX) or 1
    fail = frozenset(_lines(fields))
    fields.done()
    return BatchPlan(polls, fail)


def _lines(fields: Fields) -> Iterator[int]:
    """The lines that fail, counted from 1."""
    for path, item in fields.one_or_more("fail"):
        if isinstance(item, int) and not isinstance(item, bool) and item >= 1:
            yield item
        else:
            fields.problems.note(path, "must be the number of a line; the first one is 1")


def _scores(value: object, path: str, problems: Problems) -> dict[str, float] | None:
    if value == "overlap":
        return None
    if not isinstance(value, dict):
        problems.note(path, f"must be overlap, or a map of documents to scores, not {kind_of(value)}")
        return None
    fields = Fields(value, path, problems)
    found = {text: fields.number(text, most=1.0) for text in list(fields.left)}
    return {text: score for text, score in found.items() if score is not None}


def _flags(value: object, path: str, problems: Problems) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    words = [word_of(item, HARM, f"{path}[{number}]", problems) for number, item in enumerate(listed)]
    return tuple(word for word in words if word is not None)


def _fill(value: object, path: str, problems: Problems) -> str | None:
    fields = fields_of(value, path, problems)
    if fields is None:
        return None
    fill = fields.text("fill")
    if fill is not None and not _COLOUR.fullmatch(fill):
        fields.note("fill", 'must be a colour such as "#336699"')
        fill = None
    fields.done()
    return fill
