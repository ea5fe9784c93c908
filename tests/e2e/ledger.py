"""Reading a gateway's ledger from outside: plain SQL on its file, read-only."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_PATIENCE_S = 5.0


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
        """What all users have on hold together, in nano-USD."""
        return int(self.ask("SELECT coalesce(sum(reserved_nano), 0) AS n FROM users")[0]["n"])

    def is_quiet(self) -> bool:
        """Whether nothing is under way: no open row, nothing on hold."""
        return self.open_rows() == 0 and self.reserved() == 0

    def assert_balanced(self) -> None:
        """What must hold whenever nothing is under way: the file is sound, every account equals the sum of its rows."""
        assert self.ask("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        assert self.open_rows() == 0
        accounts = self.ask(
            "SELECT user_id, reserved_nano, spend_nano,"
            " (SELECT coalesce(sum(cost_nano), 0) FROM usage WHERE usage.user_id = users.user_id) AS rows_nano"
            " FROM users"
        )
        for account in accounts:
            assert account["reserved_nano"] == 0, account
            assert account["spend_nano"] == account["rows_nano"], account
