"""Lines as they come, and the body that waits on disk."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.errors import Kind, OtariError
from otari.upstreams.batches import api
from otari.upstreams.batches.spool import Spool
from tests.gateway.fakes import attempt

ACME = attempt("acme")


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(ends)]


def lines(pieces: Sequence[bytes]) -> list[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def read() -> list[bytes]:
        return [line async for line in api.whole_lines(ACME, chunks())]

    return asyncio.run(read())


@given(st.lists(st.binary(max_size=9)), st.lists(st.integers(min_value=0), max_size=9))
def test_lines_are_the_same_wherever_they_are_cut(wanted: list[bytes], places: list[int]) -> None:
    data = b"\n".join(line.replace(b"\n", b"x") for line in wanted)
    assert lines(cut(data, places)) == [line for line in data.split(b"\n") if line.strip()]


def test_a_line_that_is_too_long_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "LINE_MAX_BYTES", 10)
    long = [b"y" * 8] * 20
    assert lines([b"first\n", *long, b"\nlast\n", *long]) == [b"first", b"", b"last", b""]


def test_a_line_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "LINE_MAX_BYTES", 10)
    monkeypatch.setattr(api, "UNREADABLE_MAX_BYTES", 100)
    with pytest.raises(OtariError) as raised:
        lines([b"y" * 8] * 20)
    assert (raised.value.kind, raised.value.code) == (Kind.UPSTREAM, "upstream_format")


@given(st.lists(st.binary(max_size=100_000), max_size=4))
def test_a_spool_gives_back_what_was_written_as_often_as_it_is_asked(parts: list[bytes]) -> None:
    with Spool(None, 1 << 20) as spool:
        for part in parts:
            spool.write(part)
        spool.seal()
        assert spool.size == len(b"".join(parts))
        assert b"".join(spool.pieces()) == b"".join(spool.pieces()) == spool.read() == b"".join(parts)


def test_a_spool_has_a_limit_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with Spool(tmp_path, 3 << 20) as spool:
        spool.write(b"x" * (3 << 20))
        with pytest.raises(OtariError, match="larger than the 3 MiB") as raised:
            spool.write(b"x")
        assert list(tmp_path.iterdir()) == []
    assert (raised.value.kind, raised.value.code) == (Kind.TOO_LARGE, "batch_too_large")


@pytest.mark.parametrize(
    ("told", "number"),
    [(3, 3), ("12", 12), (-1, 0), ("-1", 0), (True, 0), (1.5, 0), (None, 0), ("1e9", 0), ("9" * 30, 0), ("٣", 0)],
)
def test_numbers_of_lines(told: object, number: int) -> None:
    assert api.count(told) == number
