"""What can go wrong with a command, and the exit code and line that tell it."""

import os
import sqlite3
import traceback

EXIT_FAILED = 1
EXIT_WRONG_WORDS = 2
EXIT_IN_USE = 3
EXIT_LEDGER = 4
EXIT_INTERRUPTED = 130  # 128 and the number of the signal, as shells say it


class Trouble(Exception):
    """The command can not be done. The message is one line for the person who typed it; `code` is the exit code."""

    def __init__(self, message: str, code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.code = code


def wrong(message: str) -> Trouble:
    """What was typed can not be meant."""
    return Trouble(message, EXIT_WRONG_WORDS)


def told(error: Exception) -> tuple[int, tuple[str, ...]]:
    """The exit code and the lines for whatever a command raised."""
    if isinstance(error, Trouble):
        return error.code, (str(error),)
    # Only a failing command needs these, and a command over HTTP would load them for nothing.
    from otari.config import ConfigError
    from otari.domain.errors import Kind, OtariError
    from otari.store.faults import StoreError, StoreInUse

    if isinstance(error, ConfigError):
        return EXIT_WRONG_WORDS, tuple(error.problems)
    if isinstance(error, StoreInUse):
        return EXIT_IN_USE, (str(error),)
    if isinstance(error, StoreError):
        return EXIT_LEDGER, (str(error),)
    if isinstance(error, OtariError):
        return (EXIT_LEDGER if error.kind is Kind.UNAVAILABLE else EXIT_FAILED), (error.message,)
    if isinstance(error, sqlite3.Error):
        return EXIT_LEDGER, (f"the ledger can not be used ({error})",)
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(where.filename)}:{where.lineno}"
    return EXIT_FAILED, (f"unexpected {type(error).__name__} in {place}: {error}",)
