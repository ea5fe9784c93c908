"""Answers kept for requests that may be repeated: who has an Idempotency-Key, and what became of its request.

Functions on a connection inside a transaction. What happened to a request without a kept answer is asked of its row
in `usage`: no row means that nothing was sent to a provider.
"""

import sqlite3
from typing import NamedTuple

PURGED_AT_ONCE = 50


class Claim(NamedTuple):
    """A request that wants to be carried out once.

    `scope` is whose `token` (the Idempotency-Key) it is; `fingerprint` is 32 bytes that tell route and body.
    """

    scope: str
    token: str
    fingerprint: bytes
    request_id: str


class Saved(NamedTuple):
    """The answer that was given to the first request."""

    request_id: str
    status: int
    body: bytes


class Unanswered(NamedTuple):
    """The first request went to a provider, but there is no answer to give again. `state` is that of its usage row."""

    request_id: str
    state: str


class OtherRequest(NamedTuple):
    """The token was used for a request with another fingerprint."""

    request_id: str


_FIND = """
SELECT r.fingerprint, r.request_id, r.http_status, r.body, u.state
FROM replays r LEFT JOIN usage u ON u.id = r.request_id
WHERE r.scope = ?1 AND r.token = ?2 AND r.created_at_ms >= ?3
"""

_TAKE = """
INSERT INTO replays (scope, token, fingerprint, request_id, created_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (scope, token) DO UPDATE SET
    fingerprint = excluded.fingerprint, request_id = excluded.request_id, http_status = NULL, body = NULL,
    created_at_ms = excluded.created_at_ms
"""


def claim(conn: sqlite3.Connection, mine: Claim, now_ms: int, kept_ms: int) -> Saved | Unanswered | OtherRequest | None:
    """Take the token for a request; None when it is taken, else what stands under it for the last `kept_ms`.

    A token whose request was never admitted, or was released (no provider worked for it and nothing was charged), is
    free again. The caller makes sure that no other request of this process is being carried out under the token.
    """
    _purge(conn, now_ms - kept_ms)
    row = conn.execute(_FIND, (mine.scope, mine.token, now_ms - kept_ms)).fetchone()
    if row is not None:
        fingerprint, request_id, status, body, state = row
        if status is not None or state not in (None, "released"):
            if fingerprint != mine.fingerprint:
                return OtherRequest(request_id)
            return Unanswered(request_id, state) if status is None else Saved(request_id, status, body)
    conn.execute(_TAKE, (*mine, now_ms))
    return None


_SAVE = """
UPDATE replays SET http_status = ?1, body = ?2
WHERE scope = ?3 AND token = ?4 AND request_id = ?5 AND http_status IS NULL
"""


def save(conn: sqlite3.Connection, mine: Claim, status: int, body: bytes) -> None:
    """Keep the answer to the request that has the token; does nothing when another one has it by now."""
    conn.execute(_SAVE, (status, body, mine.scope, mine.token, mine.request_id))


_SAVE_CHARGED = """
UPDATE replays SET http_status = ?1, body = ?2
WHERE scope = ?3 AND token = ?4 AND request_id = ?5 AND http_status IS NULL
  AND EXISTS (SELECT 1 FROM usage WHERE id = ?5 AND state <> 'released')
"""

_FREE = "DELETE FROM replays WHERE scope = ?1 AND token = ?2 AND request_id = ?3 AND http_status IS NULL"


def save_if_charged(conn: sqlite3.Connection, mine: Claim, status: int, body: bytes) -> None:
    """Keep an error if its request was charged all the same; else free the token, so that it can be tried again.

    A request without a row in `usage`, or with one that was released, has cost nothing.
    """
    conn.execute(_SAVE_CHARGED, (status, body, mine.scope, mine.token, mine.request_id))
    conn.execute(_FREE, (mine.scope, mine.token, mine.request_id))


_PURGE = """
DELETE FROM replays WHERE (scope, token) IN (
    SELECT scope, token FROM replays WHERE created_at_ms < ?1 ORDER BY created_at_ms LIMIT ?2)
"""


def _purge(conn: sqlite3.Connection, before_ms: int) -> None:
    """Forget some of what is too old; every claim does, so the table shrinks faster than it grows."""
    conn.execute(_PURGE, (before_ms, PURGED_AT_ONCE))
