"""Cuts text that comes in pieces into its lines: the files of batches are longer than what fits into memory."""


class LineCutter:
    """Pieces of a file → its lines. Of a line that is too long nothing is kept but that it was there (None)."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0

    def feed(self, piece: bytes) -> list[bytes | None]:
        """The lines that this piece ends."""
        first, *rest = piece.split(b"\n")
        self._hold(first)
        if not rest:
            return []
        lines = [self._line()]
        lines += [line if len(line) <= self._most else None for line in rest[:-1]]
        self._hold(rest[-1])
        return lines

    def end(self) -> list[bytes | None]:
        """What stands behind the last line break, if anything does."""
        return [self._line()] if self._held_bytes else []

    def _hold(self, part: bytes) -> None:
        self._held_bytes += len(part)
        if self._held_bytes <= self._most:
            self._held.append(part)
        else:
            self._held.clear()

    def _line(self) -> bytes | None:
        line = b"".join(self._held) if self._held_bytes <= self._most else None
        self._held, self._held_bytes = [], 0
        return line
