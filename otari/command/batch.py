"""`otari.pyz batch …`: the batches of a user, and one of them as it comes along."""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from otari.command.caller import find_caller
from otari.command.errand import Errand
from otari.command.parsing import Parser, Verb, id_argument, limit_option, seconds, typed
from otari.command.progress import Progress
from otari.command.request import Request, path
from otari.command.screen import harmless
from otari.command.show import Column, Record, exact
from otari.command.trouble import EXIT_LEDGER, Trouble

FIND_PLACE = find_caller
pause: Callable[[float], None] = time.sleep

_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_PAGE = 100
_LISTED = 20
_PATIENCE_S = 120  # with a gateway that does not answer: it may be starting again
_COLUMNS = (
    Column("id", "id", "id"),
    Column("state", "status"),
    Column("model", "model"),
    Column("requests", "total", "count"),
    Column("answered", "completed", "count"),
    Column("failed", "failed", "count"),
    Column("created", "created_at", "time"),
)
_FACTS = (
    *_COLUMNS,
    Column("ended", "ended_at", "time"),
    Column("expires", "expires_at", "time"),
    Column("endpoint", "endpoint"),
    Column("input file", "input_file_id", "id"),
    Column("answers", "output_file_id", "id"),
    Column("failures", "error_file_id", "id"),
    Column("input tokens", "input_tokens", "count"),
    Column("output tokens", "output_tokens", "count"),
    Column("wrong", "problems"),
    Column("metadata", "metadata"),
)


def list_batches(errand: Errand) -> None:
    """Batches, newest first."""
    errand.show_table(_COLUMNS, list(_pages(errand, errand.options.limit or _LISTED)), "no batches", _shown)


def show_batch(errand: Errand) -> None:
    """One batch."""
    _show(errand, _get(errand))


def cancel_batch(errand: Errand) -> None:
    """End a batch early."""
    _show(errand, _ask(errand, Request("POST", path("batches", errand.options.id, "cancel"))))


def print_results(errand: Errand) -> None:
    """What became of every request, one JSON document per line."""
    doc = _ask(errand, Request("GET", path("batches", errand.options.id, "results")))
    if errand.options.json:
        sys.stdout.write(_json(doc))
        return
    for result in doc["results"]:
        sys.stdout.write(_json(result))


def watch_batch(errand: Errand) -> None:
    """Tell how a batch comes along, until it has ended. Trouble when it did not end well."""
    progress = Progress(errand.screen, as_json=errand.options.json)
    for batch in _looks(errand, errand.options.every):
        progress.show(batch)
    progress.end()
    if batch["status"] != "completed":
        raise Trouble(f"batch {batch['id']} {_why(batch)}")


def _looks(errand: Errand, every_s: int) -> Iterator[Record]:
    """How it stands, again and again, the end included."""
    silent_s = 0
    while True:
        try:
            batch = _get(errand)
        except Trouble as trouble:
            if not _may_pass(trouble) or silent_s >= _PATIENCE_S:
                raise
            if not silent_s:
                sys.stderr.write(f"otari: {harmless(str(trouble))}; asking on for up to {_PATIENCE_S} s\n")
            silent_s += every_s
        else:
            silent_s = 0
            yield batch
            if batch["status"] in _ENDED:
                return
        pause(every_s)


def _may_pass(trouble: Trouble) -> bool:
    from otari.command.client import Unreachable  # is loaded by now: it has been asked

    return isinstance(trouble, Unreachable) or trouble.code == EXIT_LEDGER


def _ask(errand: Errand, request: Request) -> Any:
    caller: Any = errand.place  # a `Caller`: `FIND_PLACE` has found it
    return caller.ask(request)


def _get(errand: Errand) -> Any:
    return _ask(errand, Request("GET", path("batches", errand.options.id)))


def _pages(errand: Errand, most: int) -> Iterator[Record]:
    after: str | None = None
    while most:
        page = _ask(errand, Request("GET", path("batches"), {"limit": min(most, _PAGE), "after": after}))
        yield from page["data"]
        most -= len(page["data"])
        after = page["last_id"]
        if not page["has_more"]:
            return


def _show(errand: Errand, batch: Record) -> None:
    errand.show_facts(_FACTS, batch, _shown)


def _shown(batch: Record) -> Record:
    """A batch with the words that people look for."""
    ended = next((batch[f"{word}_at"] for word in _ENDED if batch[f"{word}_at"] is not None), None)
    return {
        **batch,
        **batch["request_counts"],
        "input_tokens": batch["usage"]["input_tokens"],
        "output_tokens": batch["usage"]["output_tokens"],
        "created_at": _iso(batch["created_at"]),
        "expires_at": _iso(batch["expires_at"]),
        "ended_at": None if ended is None else _iso(ended),
        "input_file_id": batch["input_file_id"] or None,
        "problems": _problems(batch) or None,
    }


def _problems(batch: Record) -> list[str]:
    found = batch["errors"]["data"] if batch["errors"] else ()
    return [each["message"] if each["line"] is None else f"line {each['line']}: {each['message']}" for each in found]


def _why(batch: Record) -> str:
    """How it ended that is not completed, in words."""
    ended = {"failed": "has failed", "expired": "has expired", "cancelled": "was cancelled"}[batch["status"]]
    problems = _problems(batch)
    return f"{ended}: {problems[0]}" if problems else ended


def _iso(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat()


def _json(doc: object) -> str:
    return orjson.dumps(doc, default=exact).decode() + "\n"


def _user_option(parser: Parser) -> None:
    parser.add_argument("--user", default=None)


def _with_id(parser: Parser) -> None:
    id_argument(parser)
    _user_option(parser)


def _list_options(parser: Parser) -> None:
    limit_option(parser)
    _user_option(parser)


def _watch_options(parser: Parser) -> None:
    _with_id(parser)
    parser.add_argument("--every", type=typed(_length), default=1)


def _length(text: str) -> int:
    length = seconds(text)
    if length is None:
        raise ValueError("write how long to wait between two looks, such as 5s")
    return length


VERBS = {
    "list": Verb(list_batches, _list_options),
    "show": Verb(show_batch, _with_id),
    "watch": Verb(watch_batch, _watch_options),
    "results": Verb(print_results, _with_id),
    "cancel": Verb(cancel_batch, _with_id),
}
