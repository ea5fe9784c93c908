"""What a database needs before it can serve anybody: a master key, and one virtual key to begin with.

Both are minted once, told once by the caller, and kept as digests only.
"""

import sqlite3
import uuid

from otari.domain.access import MASTER_KEY_PREFIX, key_digest, mint_key
from otari.domain.secret import Secret
from otari.store import accounts
from otari.store.keys import Key, add_key, issue

_MASTER_KEY = "master_key_digest"

_FIND_SETTING = "SELECT value FROM settings WHERE name = ?1"


def find_setting(conn: sqlite3.Connection, name: str) -> str | None:
    """The value of a setting, or None."""
    row = conn.execute(_FIND_SETTING, (name,)).fetchone()
    return None if row is None else str(row[0])


_SET_SETTING = """
INSERT INTO settings (name, value) VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""


def set_setting(conn: sqlite3.Connection, name: str, value: str) -> None:
    """Write a setting."""
    conn.execute(_SET_SETTING, (name, value))


def master_key(conn: sqlite3.Connection) -> tuple[bytes, Secret | None]:
    """The digest of the master key when none is configured; on the first start also the key, which is now minted."""
    stored = find_setting(conn, _MASTER_KEY)
    if stored is not None:
        return bytes.fromhex(stored), None
    token = mint_key(MASTER_KEY_PREFIX)
    set_setting(conn, _MASTER_KEY, key_digest(token).hex())
    return key_digest(token), Secret(token)


_ANY_KEY = "SELECT 1 FROM keys LIMIT 1"


def bootstrap(conn: sqlite3.Connection, now_ms: int) -> tuple[Key, Secret] | None:
    """The first key and the user that it belongs to; None when there is a key already."""
    if conn.execute(_ANY_KEY).fetchone() is not None:
        return None
    key_id = str(uuid.uuid4())
    user_id = f"apikey-{key_id}"
    accounts.add_user(conn, user_id, alias="Virtual user for API key: bootstrap", now_ms=now_ms)
    key, token = issue(user_id, key_id=key_id, key_name="bootstrap", metadata='{"bootstrap":true}', now_ms=now_ms)
    return add_key(conn, key), token
