"""Batches that their providers carry out: the money that is held for them, and how their lines are charged.

A batch has one open row in the ledger, called as the batch, which holds the money of all lines from before it is
handed in until all its results are here. Every line gets a row of its own when its result is read. Functions on a
connection inside a transaction; times in epoch milliseconds.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from otari.domain.batch import Ending, Kept, LineProblem, LineResult
from otari.store import batches, ledger
from otari.store.ledger import Hold, Settlement


class LineEnd(NamedTuple):
    """The result of a line, and its row; `row` None: it was not carried out, so that it has none."""

    result: LineResult
    row: tuple[Hold, Settlement] | None


_SUBMITTING = "UPDATE batches SET remote_state = 'submitting' WHERE batch_id = ?1 AND remote_state IS NULL"


def note_submitting(conn: sqlite3.Connection, batch_id: str) -> None:
    """It is about to be handed in; its hold is taken in the same transaction."""
    assert conn.execute(_SUBMITTING, (batch_id,)).rowcount == 1  # it is carried out by one task


_SENT = "UPDATE batches SET remote_state = 'sent', remote_id = ?2 WHERE batch_id = ?1 AND remote_state = 'submitting'"


def note_sent(conn: sqlite3.Connection, batch_id: str, remote_id: str) -> None:
    """The provider has it, and calls it so."""
    conn.execute(_SENT, (batch_id, remote_id))


_HELD = """
SELECT id, user_id, key_id, key_name, endpoint, selector, provider, model, stream, hold_nano, hold_prompt_nano,
    hold_estimated, counts_toward_budget, counts_toward_key, rates, price_source, created_at_ms
FROM usage WHERE id = ?1 AND state = 'open'
"""


def find_hold(conn: sqlite3.Connection, batch_id: str) -> Hold | None:
    """What is held for a batch; None when nothing is any more."""
    row = conn.execute(_HELD, (batch_id,)).fetchone()
    return None if row is None else Hold(*row)


_UNSENT = "UPDATE batches SET remote_state = NULL WHERE batch_id = ?1 AND remote_state = 'submitting'"

_TAKE_BACK = "DELETE FROM usage WHERE id = ?1 AND state = 'open'"


def take_back(conn: sqlite3.Connection, batch_id: str) -> None:
    """It was not handed in after all, which is known for sure: it stands as before."""
    held = find_hold(conn, batch_id)
    if held is not None and conn.execute(_UNSENT, (batch_id,)).rowcount == 1:
        ledger.give_back(conn, held)
        conn.execute(_TAKE_BACK, (batch_id,))


def keep_ends(conn: sqlite3.Connection, batch_id: str, ends: Iterable[LineEnd]) -> None:
    """Results of lines, each with its charge; what was kept before is neither kept nor charged again."""
    for result, row in ends:
        new = batches.keep_result(conn, Kept(batch_id, result), None if row is None else row[1])
        if new and row is not None:
            assert ledger.book(conn, *row)  # a line has its result and its row, or neither


_COLLECTED = """
UPDATE batches SET remote_state = 'collected' WHERE batch_id = ?1 AND remote_state IN ('submitting', 'sent')
"""


def close_batch(
    conn: sqlite3.Connection, held: Hold, end: Settlement, ending: Ending, problems: Sequence[LineProblem], now_ms: int
) -> None:
    """All results are here, or there will be none: the batch's own row ends, and so will the batch."""
    ledger.settle(conn, held, end)
    conn.execute(_COLLECTED, (held.id,))
    batches.wind_up(conn, held.id, ending, problems, now_ms)
