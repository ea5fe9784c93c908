"""Answers kept for repeats: what stands under a token decides whether a request may be carried out."""

import sqlite3

import pytest

from otari.store import replays
from otari.store.replays import Claim, OtherRequest, Saved, Unanswered
from tests.store.ground import NOON, in_memory

DAY_MS = 86_400_000
PRINT, OTHER_PRINT = b"f" * 32, b"g" * 32
FIRST = Claim("key:k1", "token", PRINT, "req-1")
SECOND = FIRST._replace(request_id="req-2")

_ADD_ROW = """
INSERT INTO usage (
    id, request_id, user_id, endpoint, selector, provider, model, stream, state, status, hold_nano, hold_prompt_nano,
    hold_estimated, price_source, created_at_ms, settled_at_ms)
VALUES (?1, ?1, 'alice', '/v1/chat/completions', 's:m', 's', 'm', 0, ?2, ?3, 0, 0, 0, 'none', ?4, ?5)
"""


@pytest.fixture
def conn() -> sqlite3.Connection:
    conn = in_memory()
    conn.execute("INSERT INTO users (user_id, created_at_ms, updated_at_ms) VALUES ('alice', 1, 1)")
    return conn


def claim(conn: sqlite3.Connection, mine: Claim, now_ms: int = NOON) -> Saved | Unanswered | OtherRequest | None:
    return replays.claim(conn, mine, now_ms, DAY_MS)


def add_row(conn: sqlite3.Connection, request_id: str, state: str) -> None:
    ended = (None, None) if state == "open" else ("error", NOON)
    conn.execute(_ADD_ROW, (request_id, state, ended[0], NOON, ended[1]))


def test_a_new_token_is_taken_and_its_answer_given_again(conn: sqlite3.Connection) -> None:
    assert claim(conn, FIRST) is None
    replays.save(conn, FIRST, 200, b"the answer")
    assert claim(conn, SECOND) == Saved("req-1", 200, b"the answer")
    assert claim(conn, SECOND._replace(fingerprint=OTHER_PRINT)) == OtherRequest("req-1")


def test_scopes_and_tokens_do_not_share(conn: sqlite3.Connection) -> None:
    claim(conn, FIRST)
    replays.save(conn, FIRST, 200, b"the answer")
    assert claim(conn, SECOND._replace(scope="key:k2")) is None
    assert claim(conn, SECOND._replace(token="Token")) is None


def test_a_request_that_was_never_admitted_leaves_its_token_free(conn: sqlite3.Connection) -> None:
    claim(conn, FIRST)
    assert claim(conn, SECOND._replace(fingerprint=OTHER_PRINT)) is None
    replays.save(conn, FIRST, 200, b"too late: the token is another's by now")
    replays.save(conn, SECOND, 402, b"mine")
    assert claim(conn, SECOND._replace(fingerprint=OTHER_PRINT)) == Saved("req-2", 402, b"mine")


def test_a_released_request_leaves_its_token_free(conn: sqlite3.Connection) -> None:
    claim(conn, FIRST)
    add_row(conn, "req-1", "released")
    assert claim(conn, SECOND) is None


@pytest.mark.parametrize("state", ["open", "settled", "recovered"])
def test_a_request_that_may_have_cost_something_keeps_its_token(conn: sqlite3.Connection, state: str) -> None:
    claim(conn, FIRST)
    add_row(conn, "req-1", state)
    assert claim(conn, SECOND) == Unanswered("req-1", state)
    assert claim(conn, SECOND._replace(fingerprint=OTHER_PRINT)) == OtherRequest("req-1")
    assert claim(conn, SECOND) == Unanswered("req-1", state)


def test_the_first_answer_stands(conn: sqlite3.Connection) -> None:
    claim(conn, FIRST)
    replays.save(conn, FIRST, 200, b"one")
    replays.save(conn, FIRST, 500, b"two")
    replays.save_if_charged(conn, FIRST, 502, b"three")
    assert claim(conn, SECOND) == Saved("req-1", 200, b"one")


@pytest.mark.parametrize("state", [None, "released"])
def test_a_failure_that_cost_nothing_frees_its_token(conn: sqlite3.Connection, state: str | None) -> None:
    claim(conn, FIRST)
    if state is not None:
        add_row(conn, "req-1", state)
    replays.save_if_charged(conn, SECOND, 502, b"not the one that has the token")
    assert conn.execute("SELECT count(*) FROM replays").fetchone() == (1,)
    replays.save_if_charged(conn, FIRST, 502, b"the failure")
    assert conn.execute("SELECT count(*) FROM replays").fetchone() == (0,)


@pytest.mark.parametrize("state", ["open", "settled", "recovered"])
def test_a_failure_that_was_charged_is_kept(conn: sqlite3.Connection, state: str) -> None:
    claim(conn, FIRST)
    add_row(conn, "req-1", state)
    replays.save_if_charged(conn, FIRST, 502, b"the failure")
    assert claim(conn, SECOND) == Saved("req-1", 502, b"the failure")


def test_an_answer_is_kept_as_long_as_promised(conn: sqlite3.Connection) -> None:
    claim(conn, FIRST)
    replays.save(conn, FIRST, 200, b"the answer")
    assert claim(conn, SECOND, NOON + DAY_MS) == Saved("req-1", 200, b"the answer")
    assert claim(conn, SECOND, NOON + DAY_MS + 1) is None


def test_old_answers_are_forgotten_on_the_way(conn: sqlite3.Connection) -> None:
    for number in range(120):
        claim(conn, FIRST._replace(token=str(number)))
    later = NOON + DAY_MS + 1
    for number in range(3):
        claim(conn, FIRST._replace(token=f"new-{number}"), later)
    assert conn.execute("SELECT count(*) FROM replays").fetchone() == (3,)
