"""Conversations for wires on which the system prompt stands apart and the user has the first word."""

from otari.domain.chat import Turn

GOES_ON = "Continue the conversation."  # said for the user where the assistant would be the first


def apart(turns: tuple[Turn, ...]) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
    """The system turns at the beginning, and all that follow."""
    count = 0
    while count < len(turns) and turns[count].role in ("system", "developer"):
        count += 1
    return turns[:count], turns[count:]
