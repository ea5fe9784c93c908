"""Pictures in black and white as faxes and scanners pack them: CCITT Group 4 (ITU-T T.6), to rows of pixels.

A row is told by where its colour changes, and most changes by how far they lie from one in the row above.
"""

from collections.abc import Iterable, Iterator

from otari.domain.documents import Unreadable

_DAMAGED = "is damaged: a picture in it can not be unpacked"

# ---- the codes: runs of 0 to 63 pixels, then of 64, 128, … 1,728; beyond that both colours share theirs ----

_WHITE = (
    "00110101 000111 0111 1000 1011 1100 1110 1111 10011 10100 00111 01000 001000 000011 110100 110101 101010 101011"
    " 0100111 0001100 0001000 0010111 0000011 0000100 0101000 0101011 0010011 0100100 0011000 00000010 00000011"
    " 00011010 00011011 00010010 00010011 00010100 00010101 00010110 00010111 00101000 00101001 00101010 00101011"
    " 00101100 00101101 00000100 00000101 00001010 00001011 01010010 01010011 01010100 01010101 00100100 00100101"
    " 01011000 01011001 01011010 01011011 01001010 01001011 00110010 00110011 00110100"
)
_WHITE_LONG = (
    "11011 10010 010111 0110111 00110110 00110111 01100100 01100101 01101000 01100111 011001100 011001101 011010010"
    " 011010011 011010100 011010101 011010110 011010111 011011000 011011001 011011010 011011011 010011000 010011001"
    " 010011010 011000 010011011"
)
_BLACK = (
    "0000110111 010 11 10 011 0011 0010 00011 000101 000100 0000100 0000101 0000111 00000100 00000111 000011000"
    " 0000010111 0000011000 0000001000 00001100111 00001101000 00001101100 00000110111 00000101000 00000010111"
    " 00000011000 000011001010 000011001011 000011001100 000011001101 000001101000 000001101001 000001101010"
    " 000001101011 000011010010 000011010011 000011010100 000011010101 000011010110 000011010111 000001101100"
    " 000001101101 000011011010 000011011011 000001010100 000001010101 000001010110 000001010111 000001100100"
    " 000001100101 000001010010 000001010011 000000100100 000000110111 000000111000 000000100111 000000101000"
    " 000001011000 000001011001 000000101011 000000101100 000001011010 000001100110 000001100111"
)
_BLACK_LONG = (
    "0000001111 000011001000 000011001001 000001011011 000000110011 000000110100 000000110101 0000001101100"
    " 0000001101101 0000001001010 0000001001011 0000001001100 0000001001101 0000001110010 0000001110011 0000001110100"
    " 0000001110101 0000001110110 0000001110111 0000001010010 0000001010011 0000001010100 0000001010101 0000001011010"
    " 0000001011011 0000001100100 0000001100101"
)
_LONGER = (
    "00000001000 00000001100 00000001101 000000010010 000000010011 000000010100 000000010101 000000010110 000000010111"
    " 000000011100 000000011101 000000011110 000000011111"
)
_RUN_BITS = 13  # the longest code of a run

# How the next change is told: as a distance from the one above, or as one of these.
_PASS, _RUNS = 8, 9
_STEPS = {"1": 0, "011": 1, "000011": 2, "0000011": 3, "010": -1, "000010": -2, "0000010": -3}
_STEP_BITS = 7

_Table = list[tuple[int, int] | None]  # by the next bits: what they mean, and how many of them say so


def _table(codes: Iterable[tuple[str, int]], bits: int) -> _Table:
    table: _Table = [None] * (1 << bits)
    for code, meaning in codes:
        first = int(code, 2) << (bits - len(code))
        table[first : first + (1 << (bits - len(code)))] = [(meaning, len(code))] * (1 << (bits - len(code)))
    return table


def _runs(short: str, long: str) -> _Table:
    lengths = [*range(64), *range(64, 64 * 41, 64)]
    return _table(zip(f"{short} {long} {_LONGER}".split(), lengths, strict=True), _RUN_BITS)


_STEP_TABLE = _table([*_STEPS.items(), ("0001", _PASS), ("001", _RUNS)], _STEP_BITS)
_RUN_TABLES = (_runs(_WHITE, _WHITE_LONG), _runs(_BLACK, _BLACK_LONG))


def black_rows(data: bytes, width: int, height: int, *, aligned: bool) -> Iterator[int]:
    """The rows of a picture, from its top: numbers of `width` bits, in which 1 is black.

    `aligned`: each row begins with a byte of its own. A picture may end early; what is missing is white. Raises
    Unreadable.
    """
    bits = _Bits(data)
    above = [width] * 4
    for number in range(height):
        if aligned:
            bits.align()
        changes = _row(bits, above, width)
        if changes is None:  # the end
            yield from [0] * (height - number)
            return
        row = 0
        for place in changes:
            row ^= (1 << (width - place)) - 1
        yield row
        above = [*changes, width, width, width, width]


def _row(bits: "_Bits", above: list[int], width: int) -> list[int] | None:
    """Where the colour changes in the next row, which begins in white; None when there is no next row."""
    changes: list[int] = []
    at, colour, place = -1, 0, 0  # `place`: where to look in the row above
    while at < width:
        while above[place] <= at and above[place] < width:
            place += 2
        step = bits.read(_STEP_TABLE, _STEP_BITS)
        if step is None:
            if at < 0 and bits.at_end():
                return None
            raise Unreadable(_DAMAGED)
        if step == _PASS:
            at = above[place + 1]
        elif step == _RUNS:
            for each in (colour, 1 - colour):
                at = max(at, 0) + _run(bits, each)
                _change(changes, at, width)
        else:
            to = above[place] + step
            if to < at or to < 0:
                raise Unreadable(_DAMAGED)
            at = to
            _change(changes, at, width)
            colour = 1 - colour
            place = place - 1 if step < 0 and place else place + 1
    return changes


def _change(changes: list[int], at: int, width: int) -> None:
    if at > width:
        raise Unreadable(_DAMAGED)
    if changes and changes[-1] == at:  # and back: a run of no length
        changes.pop()
    elif at < width:
        changes.append(at)


def _run(bits: "_Bits", colour: int) -> int:
    length = 0
    while True:
        run = bits.read(_RUN_TABLES[colour], _RUN_BITS)
        if run is None:
            raise Unreadable(_DAMAGED)
        length += run
        if run < 64:
            return length


class _Bits:
    """Reads codes. Behind the end of the data there are zeros, which are no code."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._next = 0
        self._bits = 0
        self._left = 0  # how many of `_bits` are still to be read

    def read(self, table: _Table, width: int) -> int | None:
        """What the next code means; None when there is none. `width` is that of the table, in bits."""
        if self._left < width:
            self._more()
        found = table[(self._bits >> (self._left - width)) & ((1 << width) - 1)]
        if found is None:
            return None
        self._left -= found[1]
        return found[0]

    def _more(self) -> None:
        part = self._data[self._next : self._next + 8]
        self._next += 8
        left = self._bits & ((1 << self._left) - 1)
        self._bits = left << 64 | int.from_bytes(part.ljust(8, b"\0"), "big")
        self._left += 64

    def align(self) -> None:
        """Go on with the next whole byte."""
        self._left -= self._left % 8

    def at_end(self) -> bool:
        """Whether the mark of the end comes next, or nothing at all."""
        if self._left < 12:
            self._more()
        return (self._bits >> (self._left - 12)) & 0xFFF == 1 or self._next - self._left // 8 >= len(self._data)
