"""Text that comes in pieces: its lines do not depend on them."""

from hypothesis import given
from hypothesis import strategies as st

from otari.domain.line_cutter import LineCutter


@given(st.lists(st.binary(max_size=12), max_size=12), st.data(), st.integers(1, 12))
def test_lines_are_cut_the_same_however_the_pieces_come(parts: list[bytes], data: st.DataObject, most: int) -> None:
    whole = b"\n".join(parts)
    cutter, found, rest = LineCutter(most), list[bytes | None](), whole
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += cutter.feed(rest[:size])
        rest = rest[size:]
    found += cutter.end()
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert found == [line if len(line) <= most else None for line in expected]
