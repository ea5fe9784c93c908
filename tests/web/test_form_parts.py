"""Forms from bytes to parts: whatever the cuts, the same parts; and what is not sure is refused."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.web.form_parts import HEAD_MAX_BYTES, Malformed, PartEnd, PartHead, Splitter, boundary_of

BOUNDARY = b"xYzZY"
Read = list[tuple[PartHead, bytes]]


def read(pieces: Iterable[bytes], boundary: bytes = BOUNDARY, max_parts: int = 8) -> Read:
    """Heads and contents of a body that came in these pieces."""
    splitter = Splitter(boundary, max_parts)
    parts: Read = []
    whole = 0
    for piece in pieces:
        for found in splitter.feed(piece):
            match found:
                case PartHead():
                    assert whole == len(parts)
                    parts.append((found, b""))
                case PartEnd():
                    whole += 1
                case _:
                    assert whole == len(parts) - 1
                    parts[-1] = (parts[-1][0], parts[-1][1] + found)
    splitter.end()
    assert whole == len(parts)
    return parts


def part(content: bytes, disposition: str = 'form-data; name="a"', *more: str) -> bytes:
    lines = [f"Content-Disposition: {disposition}", *more]
    return b"--xYzZY\r\n" + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + content + b"\r\n"


END = b"--xYzZY--\r\n"
TWO = (
    part(b"user_data", 'form-data; name="purpose"')
    + part(b"%PDF\r\n--xYz\r\n-", 'form-data; name="file"; filename="a b.pdf"', "Content-Type: application/pdf")
    + END
)
TWO_READ: Read = [
    (PartHead("purpose"), b"user_data"),
    (PartHead("file", "a b.pdf", "application/pdf"), b"%PDF\r\n--xYz\r\n-"),
]


def test_a_form_is_its_parts() -> None:
    assert read([TWO]) == TWO_READ


@given(st.lists(st.integers(0, len(TWO)), max_size=12))
def test_cuts_make_no_difference(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(TWO)]
    assert read(TWO[a:b] for a, b in pairwise(places)) == TWO_READ


def test_a_body_may_come_byte_by_byte() -> None:
    assert read(TWO[at : at + 1] for at in range(len(TWO))) == TWO_READ


@given(st.lists(st.binary(max_size=300), max_size=8), st.binary(max_size=40), st.integers(1, 64))
def test_what_was_put_in_comes_out(contents: list[bytes], around: bytes, step: int) -> None:
    if any(b"--xYzZY" in content for content in (*contents, around)):
        return
    body = around + b"\r\n" + b"".join(map(part, contents)) + END + around
    parts = read(body[at : at + step] for at in range(0, len(body), step))
    assert parts == [(PartHead("a"), content) for content in contents]


@given(st.binary(max_size=400), st.integers(1, 16))
def test_any_bytes_are_a_form_or_malformed(body: bytes, step: int) -> None:
    told = []
    for cut in (step, len(body) + 1):
        try:
            told.append(read(body[at : at + cut] for at in range(0, len(body), cut)))
        except Malformed:
            told.append([])
    assert told[0] == told[1]


def test_an_empty_part_may_have_no_line_of_its_own() -> None:
    assert read([b'--xYzZY\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + END]) == [(PartHead("a"), b"")]
    assert read([part(b"") + END]) == [(PartHead("a"), b"")]


def test_blanks_may_follow_a_boundary() -> None:
    assert read([part(b"1").replace(b"--xYzZY\r", b"--xYzZY \t\r") + END]) == [(PartHead("a"), b"1")]


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('form-data; name="a"; filename="plain.txt"', "plain.txt"),
        ("form-data; name=a; filename=plain.txt", "plain.txt"),
        ('form-data; name="a"; filename="a\\"b\\\\c.txt"', 'a"b\\c.txt'),
        ('form-data; name="a"; filename="a%22b.txt"', 'a"b.txt'),
        ('form-data; name="a"; filename="C:\\dir\\f.txt"', "C:\\dir\\f.txt"),
        ('form-data; name="a"; filename="Ærø 👋.txt"', "Ærø 👋.txt"),
        ("form-data; name=\"a\"; filename*=utf-8''%C3%86r%C3%B8.txt", "Ærø.txt"),
        ('form-data; name="a"; filename="x.txt"; filename*=UTF-8\'en\'%C3%86.txt', "Æ.txt"),
        ('Form-Data ; NAME="a" ; FileName=""', ""),
    ],
)
def test_names_of_files_are_read_as_clients_write_them(disposition: str, filename: str) -> None:
    assert read([part(b"1", disposition) + END]) == [(PartHead("a", filename), b"1")]


LONG = "x" * HEAD_MAX_BYTES


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "ends before"),
        (b"x", "ends before"),
        (TWO[:-6], "ends before"),
        (TWO[: TWO.index(b"%PDF") + 2], "ends before"),
        (TWO[: TWO.index(b"Content-Type")], "ends before"),
        (TWO.replace(b"xYzZY", b"other"), "ends before"),
        (part(b"1").replace(b"\r\n", b"\n") + END, "begins with the boundary"),
        (part(b"--xYzZYmore") + b"\r\n--xYzZYmore" + END, "begins with the boundary"),
        (part(b"1") * 9 + END, "more than 8 parts"),
        (part(b"1", "attachment; name=a") + END, "Content-Disposition"),
        (b"--xYzZY\r\nContent-Type: text/plain\r\n\r\n1\r\n" + END, "Content-Disposition"),
        (b"--xYzZY\r\n\r\n1\r\n" + END, "Content-Disposition"),
        (part(b"1", "form-data") + END, "no name"),
        (part(b"1", 'form-data; name=""') + END, "no name"),
        (part(b"1", 'form-data; name="a"; name="b"') + END, "stands twice"),
        (part(b"1", 'form-data; name="a"; filename=x"y"') + END, "can not be read"),
        (part(b"1", 'form-data; name="a', "X: y") + END, "can not be read"),
        (part(b"1", "form-data; name=\"a\"; filename*=latin1''%E6") + END, "not UTF-8"),
        (part(b"1", 'form-data; name="a"', "Content-Disposition: form-data; name=b") + END, "stands twice"),
        (part(b"1", 'form-data; name="a"', "no colon") + END, "malformed"),
        (part(b"1", 'form-data; name="a"', " folded: x") + END, "malformed"),
        (part(b"1", 'form-data; name="a"', "X : y") + END, "malformed"),
        (part(b"1", 'form-data; name="a"', "X: a\0b") + END, "control characters"),
        (part(b"1", 'form-data; name="a"', "X: a\nY: b") + END, "control characters"),
        (part(b"1", 'form-data; name="a"', "Content-Transfer-Encoding: base64") + END, "Content-Transfer-Encoding"),
        (part(b"1", f'form-data; name="{LONG}"') + END, "longer than"),
        (b"--xYzZY" + b" " * 20_000 + b"\r\n" + END, "blanks"),
        (b"x" * 20_000 + part(b"1") + END, "too much before"),
        (TWO + b"x" * 20_000, "behind its last"),
    ],
)
def test_what_is_not_sure_is_refused(body: bytes, why: str) -> None:
    for step in (len(body) + 1, 7):
        with pytest.raises(Malformed, match=why):
            read([body[at : at + step] for at in range(0, len(body), step)])


def test_a_reason_repeats_nothing_of_the_form() -> None:
    with pytest.raises(Malformed) as caught:
        read([part(b"1", 'form-data; name="a"', "SECRET") + END])
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ("multipart/form-data; boundary=xYz", b"xYz"),
        ('multipart/form-data; charset=utf-8; Boundary="a b=c"', b"a b=c"),
        (f"multipart/form-data; boundary={'x' * 70}", b"x" * 70),
    ],
)
def test_the_boundary_is_read(header: str, boundary: bytes) -> None:
    assert boundary_of(header) == boundary


@pytest.mark.parametrize(
    "header",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="x "',
        f"multipart/form-data; boundary={'x' * 71}",
        "multipart/form-data; boundary=\u00e6",
        "multipart/form-data; boundary=a; boundary=b",
        'multipart/form-data; boundary="a\r\nb"',
        "multipart/form-data; boundary=a[]",
    ],
)
def test_a_boundary_that_can_not_be_used_is_refused(header: str) -> None:
    with pytest.raises(Malformed):
        boundary_of(header)
