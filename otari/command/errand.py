"""One command from its words to its exit code, and what the verbs of all nouns print with."""

import argparse
import importlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from otari.command.parsing import Verb, parse
from otari.command.place import Place, find_place
from otari.command.screen import Screen, harmless, stdout_screen
from otari.command.show import Column, Record, facts, print_json, print_lines, table, zone_line
from otari.command.trouble import EXIT_FAILED, EXIT_INTERRUPTED, told

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Errand:
    """What a verb is given: the words that were typed, where it is done, where it prints to, and the time."""

    options: argparse.Namespace
    place: Place
    screen: Screen
    now_ms: int

    def show_table(self, columns: Sequence[Column], records: Sequence[Record], none: str) -> None:
        """Print records as a table or JSON; `none` is said on a terminal when there are none."""
        if self.options.json:
            return print_json(records)
        if not records and self.screen.terminal:
            return print_lines([none])
        return print_lines([*table(columns, records, self.screen), *zone_line(columns, self.screen)])

    def show_facts(self, fields: Sequence[Column], record: Record) -> None:
        """Print one record as lines or JSON."""
        if self.options.json:
            return print_json(record)
        return print_lines([*facts(fields, record, self.screen), *zone_line(fields, self.screen)])

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


def every(
    fetch: Callable[[int, str | None], Sequence[Record]], cursor: Callable[[Record], str], most: int | None
) -> list[Record]:
    """All records of a list, page by page, or the first `most`. `fetch` takes how many and the last id seen."""
    records: list[Record] = []
    after: str | None = None
    while most is None or len(records) < most:
        asked = _PAGE if most is None else min(_PAGE, most - len(records))
        page = fetch(asked, after)
        records += page
        if len(page) < asked:
            break
        after = cursor(page[-1])
    return records
