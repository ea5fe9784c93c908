"""A file on its way: what is written can be read anywhere and often, and leaves no name behind."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.web.spool import Spool

MEBIBYTE = 1024 * 1024


@given(st.lists(st.binary(max_size=5_000), max_size=20), st.integers(0, 30_000), st.integers(0, 10_000))
def test_what_is_written_is_there(parts: list[bytes], offset: int, count: int) -> None:
    whole = b"".join(parts)
    with Spool() as spool:
        for part in parts:
            spool.write(part)
        assert spool.size == len(whole)
        assert spool.at(offset, count) == whole[offset : offset + count]
        assert b"".join(spool.pieces()) == whole
        assert b"".join(spool.pieces()) == whole


def test_two_readers_do_not_disturb_each_other() -> None:
    whole = os.urandom(3 * MEBIBYTE)
    with Spool() as spool:
        spool.write(whole)
        one, two = spool.pieces(), spool.pieces()
        first = next(one)
        assert b"".join(two) == whole
        assert first + b"".join(one) == whole
        assert max(map(len, spool.pieces())) == 64 * 1024


def test_a_large_file_is_on_disk_and_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Spool() as spool:
        spool.write(bytes(2 * MEBIBYTE))
        on_disk = [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if _is_link(number)]
        assert any(target.startswith(str(tmp_path)) for target in on_disk)
        assert list(tmp_path.iterdir()) == []


def _is_link(number: str) -> bool:
    return Path(f"/proc/self/fd/{number}").is_symlink()


def test_what_is_left_is_closed() -> None:
    with Spool() as spool:
        spool.write(b"x")
    with pytest.raises(ValueError, match="closed"):
        spool.at(0, 1)
