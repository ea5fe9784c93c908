"""What a start does with what the last process left: open rows come to an end, and the clock goes on."""

import sqlite3
from collections import Counter
from typing import Literal, NamedTuple

from otari.domain.money import MAX_NANO_USD

OnCrash = Literal["hold", "prompt_only", "release"]


class Recovery(NamedTuple):
    """What a start found: rows that were open, and what was charged for them."""

    rows: int
    charged_nano: int


_CHARGES = {
    "hold": "hold_nano",
    "prompt_only": "hold_prompt_nano",
    "release": "0",
}

# Batches that are, or may be, with a provider that carries them out as one.
_GOING_ON = "SELECT batch_id FROM batches WHERE remote_state = 'submitting' OR remote_state = 'sent'"

_OPEN = """
SELECT user_id, key_id, counts_toward_budget, counts_toward_key, count(*), sum({charge})
FROM usage WHERE state = 'open' AND id NOT IN ({going_on})
GROUP BY user_id, key_id, counts_toward_budget, counts_toward_key
"""

# An unpriced row (it has no rates) has no cost, only an end.
_RECOVER = """
UPDATE usage SET
    state = 'recovered', status = 'error', usage_source = 'estimated', flags = 'estimated',
    cost_nano = CASE WHEN rates IS NULL AND hold_nano = 0 THEN NULL ELSE {charge} END,
    error = 'the gateway stopped while this request was under way',
    settled_at_ms = CASE WHEN created_at_ms > ?1 THEN created_at_ms ELSE ?1 END
WHERE state = 'open' AND id NOT IN ({going_on})
"""

# A sum stops at the largest value of its column.
_CHARGE_USER = """
UPDATE users SET spend_nano = CASE
    WHEN spend_nano > 9000000000000000000 - ?1 THEN 9000000000000000000 ELSE spend_nano + ?1 END
WHERE user_id = ?2
"""

_CHARGE_KEY = """
UPDATE keys SET spend_nano = CASE
    WHEN spend_nano > 9000000000000000000 - ?1 THEN 9000000000000000000 ELSE spend_nano + ?1 END
WHERE key_id = ?2
"""

# What is left open goes on holding its money.
_USERS_RESERVE_THE_REST = """
UPDATE users SET reserved_nano = coalesce((
    SELECT sum(hold_nano) FROM usage
    WHERE state = 'open' AND usage.user_id = users.user_id AND counts_toward_budget = 1), 0)
WHERE reserved_nano <> 0
"""

_KEYS_RESERVE_THE_REST = """
UPDATE keys SET reserved_nano = coalesce((
    SELECT sum(hold_nano) FROM usage
    WHERE state = 'open' AND usage.key_id = keys.key_id AND counts_toward_key = 1), 0)
WHERE reserved_nano <> 0
"""


def recover(conn: sqlite3.Connection, on_crash: OnCrash, now_ms: int) -> Recovery:
    """End every open row: its process is gone, and what the provider did for it will never be known.

    The rows of batches that their providers carry out stay open: whoever carries them on learns how they end. Charged
    is the hold, the prompt's part of it, or nothing. Only for the start, when no other request is under way.
    """
    words = {"charge": _CHARGES[on_crash], "going_on": _GOING_ON}
    rows = 0
    charged: Counter[str] = Counter()
    charged_to_keys: Counter[str] = Counter()
    total_nano = 0
    for user_id, key_id, of_user, of_key, count, charged_nano in conn.execute(_OPEN.format(**words)).fetchall():
        rows += count
        total_nano += charged_nano
        charged[user_id] += charged_nano * of_user
        if of_key:
            charged_to_keys[key_id] += charged_nano
    conn.execute(_RECOVER.format(**words), (now_ms,))
    conn.executemany(_CHARGE_USER, _amounts(charged))
    conn.executemany(_CHARGE_KEY, _amounts(charged_to_keys))
    conn.execute(_USERS_RESERVE_THE_REST)
    conn.execute(_KEYS_RESERVE_THE_REST)
    return Recovery(rows, total_nano)


def _amounts(charged: Counter[str]) -> list[tuple[int, str]]:
    return [(min(amount_nano, MAX_NANO_USD), name) for name, amount_nano in charged.items()]


_LAST_STAMP = "SELECT max(created_at_ms) FROM usage"


def last_stamp(conn: sqlite3.Connection) -> int:
    """The newest `created_at_ms` of all rows, 0 when there is none: no later row may be older."""
    stamp = conn.execute(_LAST_STAMP).fetchone()[0]
    return 0 if stamp is None else int(stamp)
