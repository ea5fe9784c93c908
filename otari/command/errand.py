"""One command from its words to its exit code, and what the verbs of all nouns print with."""

import argparse
import importlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from otari.command.parsing import Verb, parse
from otari.command.place import Place, find_place
from otari.command.request import Request
from otari.command.screen import Screen, harmless, stdout_screen
from otari.command.show import Column, Record, facts, print_json, print_lines, table, zone_line
from otari.command.trouble import EXIT_FAILED, EXIT_INTERRUPTED, told

# A page of a list on a connection: how many records at most, and the cursor of the last one that was seen.
Page = Callable[[sqlite3.Connection, int, str | None], Sequence[Record]]
_PAGE = 1_000


def _id(record: Record) -> str:
    return str(record["id"])


def _as_it_is(record: Record) -> Record:
    return record


@dataclass(frozen=True, slots=True)
class Errand:
    """What a verb is given: the words that were typed, where it is done, where it prints to, and the time."""

    options: argparse.Namespace
    place: Place
    screen: Screen
    now_ms: int

    def listed(self, directly: Page, request: Request, cursor: Callable[[Record], str] = _id) -> list[Record]:
        """All records of a list, page by page, or as many as `--limit` says. `cursor` is where one stands in it."""

        def page(limit: int, after: str | None) -> Sequence[Record]:
            asked = request._replace(query={**request.query, "limit": limit, "after": after})
            found: Sequence[Record] = self.place.read(lambda conn: directly(conn, limit, after), asked)
            return found

        most: int | None = self.options.limit
        records: list[Record] = []
        after: str | None = None
        while most is None or len(records) < most:
            limit = _PAGE if most is None else min(_PAGE, most - len(records))
            found = page(limit, after)
            records += found
            if len(found) < limit:
                break
            after = cursor(found[-1])
        return records

    def show_table(
        self,
        columns: Sequence[Column],
        records: Sequence[Record],
        none: str,
        shown: Callable[[Record], Record] = _as_it_is,
    ) -> None:
        """Print records as JSON, or as a table of what `shown` makes of them for people.

        `none` is said on a terminal when there are none.
        """
        if self.options.json:
            return print_json(records)
        if not records and self.screen.terminal:
            return print_lines([none])
        lines = table(columns, [shown(record) for record in records], self.screen)
        return print_lines([*lines, *zone_line(columns, self.screen)])

    def show_facts(
        self, fields: Sequence[Column], record: Record, shown: Callable[[Record], Record] = _as_it_is
    ) -> None:
        """Print one record as JSON, or as lines of what `shown` makes of it for people."""
        if self.options.json:
            return print_json(record)
        return print_lines([*facts(fields, shown(record), self.screen), *zone_line(fields, self.screen)])

    def show_secret(self, record: Record, secret: str, sentence: str) -> None:
        """Print a record with a token that is shown only now: the token stands alone on its line of standard output."""
        if self.options.json:
            return print_json(record)
        sys.stderr.write(f"otari: {harmless(sentence)}; save this key, it is shown only now:\n")
        return print_lines([secret])

    def note(self, text: str) -> None:
        """On a terminal, a faint line below what was shown."""
        if self.screen.terminal and not self.options.json:
            print_lines([self.screen.paint("faint", text)])

    def done(self, sentence: str, **doc: object) -> None:
        """Say what was done when there is no record to show."""
        if self.options.json:
            return print_json(doc)
        return print_lines([harmless(sentence)])


def run(words: Sequence[str], environ: Mapping[str, str] | None = None, now_ms: int | None = None) -> int:
    """Do what `words` say; the first is a noun, a file beside this one. The exit code comes back."""
    at_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    try:
        noun = importlib.import_module(f"otari.command.{words[0]}")
        verbs: Mapping[str, Verb] = noun.VERBS
        options = parse(words[0], verbs, list(words[1:]))
        find = getattr(noun, "FIND_PLACE", find_place)  # of those that are not about the ledger's file
        place = find(options, os.environ if environ is None else environ, at_ms)
        verbs[options.verb].perform(Errand(options, place, stdout_screen(local=options.local), at_ms))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough; nothing may be written to it at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # one line for the person who typed the command, whatever it was
        code, lines = told(error)
        for line in lines:
            sys.stderr.write(f"otari: {harmless(line)}\n")
        return code
    return 0
