"""Keys, users and budgets, written and read directly in a ledger that no gateway holds."""

import sqlite3
from typing import Any

import orjson
import pytest

from otari.domain.access import key_digest
from tests.command.ground import NOON, Desk, furnish


@pytest.fixture
def key_id(desk: Desk) -> str:
    made: str = desk.write(furnish)
    return made


def stored(desk: Desk, sql: str) -> list[tuple[Any, ...]]:
    conn = sqlite3.connect(f"file:{desk.path}?mode=ro", uri=True)
    try:
        return conn.execute(sql).fetchall()
    finally:
        conn.close()


# ---- keys ----


@pytest.mark.usefixtures("key_id")
def test_a_new_key_stands_alone_on_standard_output_and_nowhere_else(desk: Desk) -> None:
    made = desk.run("keys", "create", "--user", "alice", "--name", "ci", "--expires", "30d", "--models", "openai:*,a:b")
    token = made.out.removesuffix("\n")
    assert made.code == 0
    assert token.startswith("gw-")
    assert len(token) == 67
    assert token not in made.err
    ((digest, models, expires),) = stored(
        desk, "SELECT digest, allowed_models, expires_at_ms FROM keys WHERE key_name = 'ci'"
    )
    assert digest == key_digest(token)
    assert (orjson.loads(models), expires) == (["openai:*", "a:b"], NOON + 30 * 86_400_000)
    assert token.encode() not in desk.path.read_bytes()


@pytest.mark.usefixtures("key_id")
def test_as_json_the_token_is_a_field_once(desk: Desk) -> None:
    made = desk.run("keys", "create", "--json", "--metadata", '{"team": "ü"}')
    doc = made.json
    assert (made.err, doc["metadata"], doc["user_id"]) == ("", {"team": "ü"}, f"apikey-{doc['id']}")
    assert doc["key"].startswith("gw-")
    assert "key" not in desk.run("keys", "show", doc["id"], "--json").json


@pytest.mark.usefixtures("key_id")
def test_a_key_for_an_unknown_user_makes_the_user(desk: Desk) -> None:
    assert desk.run("keys", "create", "--user", "carol").code == 0
    assert ["alias", "User carol"] in desk.run("users", "show", "carol").rows


def test_rotating_makes_another_token_for_the_same_key(desk: Desk, key_id: str) -> None:
    before = stored(desk, "SELECT digest FROM keys")
    turned = desk.run("keys", "rotate", key_id)
    after = stored(desk, "SELECT digest FROM keys")
    assert turned.code == 0
    assert before != after == [(key_digest(turned.out.strip()),)]


def test_revoking_shows_and_can_be_taken_back(desk: Desk, key_id: str) -> None:
    assert ["state", "revoked"] in desk.run("keys", "revoke", key_id).rows
    assert desk.run("keys").rows[0][4] == "revoked"
    assert ["state", "active"] in desk.run("keys", "change", key_id, "--active", "yes").rows
    assert ["state", "expired"] in desk.run("keys", "change", key_id, "--expires", "now").rows


def test_changing_leaves_what_is_not_named_and_none_clears(desk: Desk, key_id: str) -> None:
    desk.run("keys", "change", key_id, "--expires", "2030-01-01", "--models", "a:b", "--reject-user-mismatch", "no")
    named = desk.run("keys", "change", key_id, "--name", "desk", "--json").json
    assert (named["key_name"], named["allowed_models"], named["reject_user_mismatch"]) == ("desk", ["a:b"], False)
    assert named["expires_at"].startswith("2030-01-01T00:00:00")
    bare = desk.run("keys", "change", key_id, "--name", "none", "--expires", "none", "--models", "any", "--json").json
    assert (bare["key_name"], bare["allowed_models"], bare["expires_at"]) == (None, None, None)


def test_a_deleted_key_is_gone(desk: Desk, key_id: str) -> None:
    assert desk.run("keys", "delete", key_id).out == f"deleted key {key_id}\n"
    assert desk.run("keys").out == ""
    for words in (("show",), ("revoke",), ("rotate",), ("delete",)):
        assert desk.run("keys", *words, key_id).refused(1, f"API key with id '{key_id}' not found")


@pytest.mark.usefixtures("key_id")
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("keys", "create", "--user", "gone"), "User 'gone' has been deleted"),
        (("keys", "create", "--user", "alice", "--budget", "b"), "Budget with id 'b' not found"),
        (("users", "create", "alice"), "User with id 'alice' already exists"),
        (("users", "show", "'; DROP TABLE users; --"), "not found"),
        (("users", "show", "\x1b[2J"), "User with id '\\x1b[2J' not found"),
        (("users", "change", "alice", "--budget", "b"), "Budget with id 'b' not found"),
        (("budgets", "show", "b"), "Budget with id 'b' not found"),
        (("budgets", "resets", "b"), "Budget with id 'b' not found"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(desk: Desk, words: tuple[str, ...], line: str) -> None:
    desk.run("users", "create", "gone")
    desk.run("users", "delete", "gone")
    assert desk.run(*words).refused(1, line)


# ---- users ----


@pytest.mark.usefixtures("key_id")
def test_a_user_is_made_blocked_and_deleted(desk: Desk) -> None:
    made = desk.run("users", "create", "a/b 🙂", "--alias", "Zoë", "--json").json
    assert (made["user_id"], made["alias"], made["spend"], made["blocked"]) == ("a/b 🙂", "Zoë", 0, False)
    assert ["state", "blocked"] in desk.run("users", "block", "a/b 🙂").rows
    assert ["state", "active"] in desk.run("users", "unblock", "a/b 🙂").rows
    assert desk.run("users", "delete", "a/b 🙂", "--json").json == {"deleted": "a/b 🙂"}
    assert [row[0] for row in desk.run("users").rows] == ["alice", "bob/ü"]
    assert desk.run("users", "show", "a/b 🙂").refused(1, "not found")


def test_deleting_a_user_makes_its_keys_inactive(desk: Desk, key_id: str) -> None:
    desk.run("users", "delete", "alice")
    assert ["state", "revoked"] in desk.run("keys", "show", key_id).rows


# ---- budgets ----


@pytest.mark.usefixtures("key_id")
def test_a_budget_has_an_exact_cap_and_is_in_use_until_it_is_taken_away(desk: Desk) -> None:
    made = desk.run("budgets", "create", "--name", "team", "--max", "9000000000", "--every", "7d", "--json").json
    budget_id = made["budget_id"]
    desk.run("users", "change", "alice", "--budget", budget_id)
    row = desk.run("budgets").rows[0]
    assert row[:5] == [budget_id, "team", "9000000000", "every 7d", "1"]
    assert desk.run("budgets", "delete", budget_id).refused(1, "'alice'")
    desk.run("users", "change", "alice", "--budget", "none")
    assert desk.run("budgets", "delete", budget_id).code == 0


@pytest.mark.usefixtures("key_id")
def test_a_budgets_facts_can_be_cleared(desk: Desk) -> None:
    budget_id = desk.run("budgets", "create", "--max", "0.000000001", "--every", "90s", "--json").json["budget_id"]
    assert stored(desk, "SELECT max_nano, duration_s FROM budgets") == [(1, 90)]
    changed = desk.run("budgets", "change", budget_id, "--max", "none", "--every", "none", "--align", "month")
    assert ["max_budget", ""] in changed.rows
    assert ["period", "every month"] in changed.rows
    assert desk.run("budgets", "change", budget_id, "--every", "1d").refused(1, "not both")
    assert desk.run("budgets", "resets", budget_id).out == ""
