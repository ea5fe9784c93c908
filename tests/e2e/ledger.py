"""Reading a gateway's ledger from outside: plain SQL on its file, read-only."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_PATIENCE_S = 5.0

# Every account, of a user or of a key with a budget: what it says, what its rows cost and hold, and how much of that
# cost belongs to earlier periods.
_ACCOUNTS = """
WITH sums AS MATERIALIZED (
    SELECT user_id, key_id, counts_toward_budget AS of_user, counts_toward_key AS of_key,
        coalesce(sum(cost_nano), 0) AS rows_nano, sum(CASE state WHEN 'open' THEN hold_nano ELSE 0 END) AS held_nano
    FROM usage GROUP BY user_id, key_id, of_user, of_key)
SELECT user_id AS account, spend_nano, reserved_nano,
    (SELECT coalesce(sum(rows_nano), 0) FROM sums s WHERE s.user_id = users.user_id AND of_user = 1) AS rows_nano,
    (SELECT coalesce(sum(held_nano), 0) FROM sums s WHERE s.user_id = users.user_id AND of_user = 1) AS held_nano,
    (SELECT coalesce(sum(previous_spend_nano), 0) FROM budget_resets r
     WHERE r.user_id = users.user_id AND r.key_id IS NULL) AS earlier_nano
FROM users
UNION ALL
SELECT key_id, spend_nano, reserved_nano,
    (SELECT coalesce(sum(rows_nano), 0) FROM sums s WHERE s.key_id = keys.key_id AND of_key = 1),
    (SELECT coalesce(sum(held_nano), 0) FROM sums s WHERE s.key_id = keys.key_id AND of_key = 1),
    (SELECT coalesce(sum(previous_spend_nano), 0) FROM budget_resets r WHERE r.key_id = keys.key_id)
FROM keys
"""

_CAPPED = """
SELECT user_id AS account, spend_nano, reserved_nano, max_nano FROM users JOIN budgets USING (budget_id)
UNION ALL
SELECT key_id, spend_nano, reserved_nano, max_nano FROM keys JOIN budgets USING (budget_id)
"""


class Ledger:
    """The ledger file of a gateway, running or not."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ask(self, sql: str, *values: object) -> list[Row]:
        """The rows of a query."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=_PATIENCE_S)
        ) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, values)]

    def usage(self) -> list[Row]:
        """All usage rows, oldest first."""
        return self.ask("SELECT * FROM usage ORDER BY rowid")

    def open_rows(self) -> int:
        """How many requests are not settled yet."""
        return int(self.ask("SELECT count(*) AS n FROM usage WHERE state = 'open'")[0]["n"])

    def reserved(self) -> int:
        """What all accounts have on hold together, in nano-USD."""
        return sum(int(account["reserved_nano"]) for account in self.ask(_ACCOUNTS))

    def is_quiet(self) -> bool:
        """Whether nothing is under way: no open row, nothing on hold."""
        return self.open_rows() == 0 and self.reserved() == 0

    def out_of_balance(self) -> list[Row]:
        """The accounts that are not the sum of their rows: charges since the last reset, and open holds."""
        return [
            account
            for account in self.ask(_ACCOUNTS)
            if account["spend_nano"] != account["rows_nano"] - account["earlier_nano"]
            or account["reserved_nano"] != account["held_nano"]
        ]

    def beyond_cap(self) -> list[Row]:
        """The accounts whose spend and holds together are more than their budget right now."""
        return [row for row in self.ask(_CAPPED) if row["spend_nano"] + row["reserved_nano"] > row["max_nano"]]

    def assert_balanced(self) -> None:
        """What must hold whenever nothing is under way: the file is sound, every account equals the sum of its rows."""
        assert self.ask("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        assert (self.open_rows(), self.reserved()) == (0, 0)
        assert self.out_of_balance() == []
