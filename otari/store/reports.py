"""Reports to the control plane, kept until they are acknowledged: what became of every attempt.

Functions on a connection inside a transaction. A report is begun before its attempt is sent, so that a crash can not
make an attempt vanish; its body is JSON and holds neither a secret nor a word of the conversation.
"""

import sqlite3
from typing import NamedTuple

REFUSED_KEPT = 1_000  # reports that the platform did not want: so many are kept for the operator


class Report(NamedTuple):
    """A report that is to be sent. `tries` counts how often it was."""

    correlation_id: str
    body: bytes
    tries: int


class Tally(NamedTuple):
    """Reports, counted: how many wait for the platform now; and since the start of the process, how many it has taken
    or refused, and how many deliveries were in vain.
    """

    waiting: int
    taken: int
    refused: int
    in_vain: int


_BEGIN = """
INSERT INTO reports (correlation_id, body, state, due_at_ms, created_at_ms) VALUES (?1, ?2, 'open', ?3, ?3)
ON CONFLICT (correlation_id) DO NOTHING
"""


def begin(conn: sqlite3.Connection, correlation_id: str, crash_body: bytes, now_ms: int) -> bool:
    """An attempt is about to be sent; `crash_body` is its report if nothing more is heard of it.

    False, and nothing is written, when a report of that id is still kept.
    """
    return conn.execute(_BEGIN, (correlation_id, crash_body, now_ms)).rowcount == 1


_FINISH = "UPDATE reports SET body = ?2, state = 'due', due_at_ms = ?3 WHERE correlation_id = ?1 AND state = 'open'"


def finish(conn: sqlite3.Connection, correlation_id: str, body: bytes, due_at_ms: int) -> bool:
    """The attempt has ended; its report may be sent from `due_at_ms` on. False when it had ended already."""
    return conn.execute(_FINISH, (correlation_id, body, due_at_ms)).rowcount == 1


_WITHDRAW = "DELETE FROM reports WHERE correlation_id = ?1 AND state = 'open'"


def withdraw(conn: sqlite3.Connection, correlation_id: str) -> None:
    """The attempt was not sent after all: there is nothing to report."""
    conn.execute(_WITHDRAW, (correlation_id,))


_FORGET = "DELETE FROM reports WHERE correlation_id = ?1 AND state = 'due'"


def forget(conn: sqlite3.Connection, correlation_id: str) -> bool:
    """The report was acknowledged. False when it did not wait any more."""
    return conn.execute(_FORGET, (correlation_id,)).rowcount == 1


_POSTPONE = "UPDATE reports SET tries = tries + 1, due_at_ms = ?2 WHERE correlation_id = ?1 AND state = 'due'"


def postpone(conn: sqlite3.Connection, correlation_id: str, due_at_ms: int) -> bool:
    """The report could not be delivered; it is due again later. False when it does not wait any more."""
    return conn.execute(_POSTPONE, (correlation_id, due_at_ms)).rowcount == 1


_REFUSE = "UPDATE reports SET state = 'refused', tries = tries + 1 WHERE correlation_id = ?1 AND state = 'due'"
_PURGE = """
DELETE FROM reports WHERE state = 'refused'
  AND seq NOT IN (SELECT seq FROM reports WHERE state = 'refused' ORDER BY seq DESC LIMIT ?1)
"""


def refuse(conn: sqlite3.Connection, correlation_id: str) -> bool:
    """The platform does not want the report: it is not sent again. False when it does not wait any more."""
    refused = conn.execute(_REFUSE, (correlation_id,)).rowcount == 1
    conn.execute(_PURGE, (REFUSED_KEPT,))
    return refused


_DUE = """
SELECT correlation_id, body, tries FROM reports WHERE state = 'due' AND due_at_ms <= ?1 ORDER BY due_at_ms, seq LIMIT ?2
"""


def due(conn: sqlite3.Connection, now_ms: int, limit: int) -> list[Report]:
    """Reports that are to be sent now, those that wait longest first."""
    return [Report(*row) for row in conn.execute(_DUE, (now_ms, limit))]


_NEXT = "SELECT min(due_at_ms) FROM reports WHERE state = 'due'"


def next_due_ms(conn: sqlite3.Connection) -> int | None:
    """When the next report is due; None when there is none."""
    at_ms: int | None = conn.execute(_NEXT).fetchone()[0]
    return at_ms


_HURRY = "UPDATE reports SET due_at_ms = ?1 WHERE state = 'due' AND due_at_ms > ?1"


def hurry(conn: sqlite3.Connection, now_ms: int) -> None:
    """What was put off is due now."""
    conn.execute(_HURRY, (now_ms,))


_RECOVER = "UPDATE reports SET state = 'due', due_at_ms = ?1 WHERE state = 'open'"


def recover(conn: sqlite3.Connection, now_ms: int) -> int:
    """After a start: attempts that were under way when the last run ended are reported as they stand; their number.

    What was put off is due at once, for the platform may be there again.
    """
    count = conn.execute(_RECOVER, (now_ms,)).rowcount
    hurry(conn, now_ms)
    return count


_COUNT = "SELECT count(*) FROM reports WHERE state = 'due'"


def count_due(conn: sqlite3.Connection) -> int:
    """How many reports wait for the platform."""
    count: int = conn.execute(_COUNT).fetchone()[0]
    return count
