"""Reading one answer of a script: text, a map of blocks in a row, `blocks`, or `error`."""

import re
from collections.abc import Iterable, Iterator

from otari.domain.chat import Finish
from otari.upstreams.stub.blocks import IN_A_ROW, BlockReader
from otari.upstreams.stub.conditions import groups_of, read_when
from otari.upstreams.stub.fields import Fields, Problems, duration_of, fields_of, kind_of, text_of
from otari.upstreams.stub.rules import Answer, Block, Cut, ErrorReply, Pace, Say, Tokens, When

FINISHES = {
    "end": Finish.END,
    "stop": Finish.END,
    "end_turn": Finish.END,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "tools": Finish.TOOLS,
    "tool_calls": Finish.TOOLS,
    "tool_use": Finish.TOOLS,
    "filter": Finish.FILTER,
    "content_filter": Finish.FILTER,
    "refusal": Finish.FILTER,
}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OWN_HEADERS = ("content-type", "content-length", "content-encoding", "transfer-encoding", "x-stub-rule")


def read_answer(value: object, path: str, problems: Problems, groups: Iterable[str], *, step: bool) -> Answer:
    """The answer that `value` tells.

    `groups` are names that templates may use; only a `step` has an `expect`.
    """
    if isinstance(value, str):
        blocks = BlockReader(problems, frozenset(groups))
        text = blocks.template(value, path)
        return Answer((Say(text),) if text is not None else ())
    if not isinstance(value, dict):
        problems.note(path, f"must be text or a map, not {kind_of(value)}")
        return Answer()
    fields = Fields(value, path, problems)
    expect: When | None = None
    if step and fields.has("expect"):
        expect = read_when(fields.take("expect"), fields.at("expect"), problems)
    reader = BlockReader(problems, frozenset(groups) | (groups_of(expect) if expect else frozenset()))
    if fields.has("error"):
        refusal = read_refusal(fields, reader)
        for key in fields.left:
            fields.note(key, "can not stand beside error; an error is the whole answer")
        return Answer(refusal=refusal, expect=expect)
    blocks_read = tuple(_blocks(fields, reader))
    answer = Answer(
        blocks=blocks_read,
        expect=expect,
        tokens=_tokens(fields),
        finish=_finish(fields),
        model=fields.text("model"),
        id=fields.text("id"),
        status=fields.whole("status", 200, 299) or 200,
        headers=dict(_headers(fields)),
        pace=_pace(fields),
    )
    fields.text("exact")  # of a recording: whoever reads recordings knows what belongs to it
    fields.done([*IN_A_ROW, "cut_args_at", "blocks", "error", "stream", "timing", *(["expect"] if step else [])])
    return answer


def _pace(fields: Fields) -> Pace | None:
    """The pace of a reply: `stream` as in the defaults, or `timing`, as a recording has it."""
    if fields.has("timing") and fields.has("stream"):
        fields.note("timing", "is a pace too; give one of timing and stream")
    if fields.has("stream"):
        fields.take("timing")
        return read_pace(fields, "stream")
    if not fields.has("timing"):
        return None
    told = fields.items("timing")
    read = [duration_of(value, path, fields.problems) for path, value in told]
    if len(read) != 2:
        fields.note("timing", "must be two durations: to the first frame, and between tokens, as [640ms, 31ms]")
        return None
    first, gap = (seconds or 0.0 for seconds in read)
    return Pace(first, 1 / gap if gap else 0.0)


def read_pace(fields: Fields, name: str) -> Pace:
    """The map under `name`: ttft, tps, jitter, chunk."""
    inner = fields.fields(name)
    if inner is None:
        return Pace()
    pace = Pace(
        ttft_s=inner.duration("ttft") or 0.0,
        tps=inner.number("tps") or 0.0,
        jitter=inner.number("jitter", most=1.0) or 0.0,
    )
    inner.word("chunk", ("token",))
    inner.done()
    return pace


def _blocks(fields: Fields, reader: BlockReader) -> Iterator[Block]:
    for key in ("pause", "cut"):
        if fields.has(key):
            fields.take(key)
            fields.note(key, "stands in blocks only, as in `blocks: [{say: …}, {pause: 1s}, {cut: reset}]`")
    in_a_row = [key for key in fields.left if key in IN_A_ROW]
    if not fields.has("blocks"):
        if not in_a_row:
            reader.problems.note(fields.path, "says nothing; give say, think, call, json, blocks or error")
        cut_at = reader.cut_at(fields) if "call" in in_a_row else None
        for key in in_a_row:
            yield from reader.block(key, fields.take(key), fields.at(key), cut_at=cut_at)
        return
    if in_a_row:
        reader.problems.note(fields.path, f"has blocks and {', '.join(in_a_row)}; put everything into blocks")
        for key in in_a_row:
            fields.take(key)
    torn = False
    for path, item in fields.items("blocks"):
        if torn:
            reader.problems.note(path, "comes after a cut and would never be sent")
            break
        for block in reader.item(item, path):
            torn = torn or isinstance(block, Cut)
            yield block


def read_refusal(fields: Fields, reader: BlockReader) -> ErrorReply | None:
    """The HTTP error under `error`: a status, or a map with status, retry_after and message."""
    path = fields.at("error")
    value = fields.take("error")
    if isinstance(value, int) and not isinstance(value, bool):
        if 400 <= value <= 599:
            return ErrorReply(value)
        reader.problems.note(path, "must be an HTTP error status from 400 to 599")
        return None
    inner = fields_of(value, path, reader.problems)
    if inner is None:
        return None
    if not inner.has("status"):
        inner.note("status", "is missing: the HTTP error status from 400 to 599")
    status = inner.whole("status", 400, 599)
    message = inner.text("message")
    if message is not None:
        reader.template(message, inner.at("message"))
    refusal = ErrorReply(status or 500, _retry_after(inner), message)
    inner.done()
    return refusal


def _retry_after(fields: Fields) -> float | None:
    value = fields.take("retry_after")
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 86_400:
        return float(value)
    if isinstance(value, str):
        return duration_of(value, fields.at("retry_after"), fields.problems)
    fields.note("retry_after", "must be a number of seconds from 0 to 86400, or a duration such as 2s")
    return None


def _tokens(fields: Fields) -> Tokens:
    inner = fields.fields("usage")
    if inner is None:
        return Tokens()
    tokens = Tokens(*(inner.whole(name) for name in ("input", "output", "cached", "reasoning")))
    inner.done()
    for part, whole in (("cached", "input"), ("reasoning", "output")):
        some, every = getattr(tokens, part), getattr(tokens, whole)
        if some is not None and every is not None and some > every:
            inner.note(part, f"is a part of {whole} and can not be larger")
    return tokens


def _finish(fields: Fields) -> Finish | None:
    word = fields.word("finish", FINISHES)
    return None if word is None else FINISHES[word]


def _headers(fields: Fields) -> Iterator[tuple[str, str]]:
    inner = fields.fields("headers")
    for name in list(inner.left) if inner is not None else ():
        assert inner is not None
        value = text_of(inner.take(name), inner.at(name), inner.problems)
        if not _HEADER_NAME.fullmatch(name):
            inner.note(name, "is not a header name")
        elif name.lower() in _OWN_HEADERS:
            inner.note(name, "is set by the stub itself")
        elif value is not None and not (value.isascii() and value.isprintable()):
            inner.note(name, "must be printable ASCII")
        elif value is not None:
            yield name.lower(), value
