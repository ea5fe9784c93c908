"""Rows of files: whose they are decides who sees them, and limits hold in the statement that adds one."""

import sqlite3

import pytest

from otari.domain.errors import OtariError
from otari.domain.files import StoredFile
from otari.domain.names import RANDOM_NAMES
from otari.store import accounts, files
from otari.store.files import FileLimits, Listing
from tests.store.ground import NOON, in_memory

LIMITS = FileLimits(file_bytes=100, user_files=3, user_bytes=150)
HOUR_MS = 3_600_000


@pytest.fixture
def conn() -> sqlite3.Connection:
    conn = in_memory()
    for user in ("alice", "bob"):
        accounts.add_user(conn, user, now_ms=NOON)
    return conn


def a_file(user_id: str = "alice", size_bytes: int = 10, at_ms: int = NOON, **more: object) -> StoredFile:
    return StoredFile(
        RANDOM_NAMES.file(user_id, at_ms), user_id, "a.txt", "text/plain", "user_data", size_bytes, b"d" * 32, at_ms
    )._replace(**more)  # type: ignore[arg-type]


def add(conn: sqlite3.Connection, file: StoredFile) -> StoredFile:
    files.add_file(conn, file, LIMITS)
    files.show_file(conn, file.file_id)
    return file


def ids(conn: sqlite3.Connection, which: Listing, user_id: str = "alice", now_ms: int = NOON) -> list[str]:
    return [file.file_id for file in files.list_files(conn, user_id, which, now_ms)[0]]


def test_a_file_is_seen_when_it_is_whole(conn: sqlite3.Connection) -> None:
    file = a_file()
    files.add_file(conn, file, LIMITS)
    with pytest.raises(OtariError, match="File not found"):
        files.get_file(conn, "alice", file.file_id, NOON)
    assert ids(conn, Listing(10)) == []
    files.show_file(conn, file.file_id)
    assert files.get_file(conn, "alice", file.file_id, NOON) == file
    assert ids(conn, Listing(10)) == [file.file_id]


@pytest.mark.parametrize(
    "file_id", ["", "file-", "file-" + "0" * 32, "../../etc/passwd", "file-" + "0" * 31 + "\0", "FILE-" + "0" * 32]
)
def test_what_is_not_there_is_not_found(conn: sqlite3.Connection, file_id: str) -> None:
    for act in (files.get_file, files.hide_file):
        with pytest.raises(OtariError) as caught:
            act(conn, "alice", file_id, NOON)
        assert (caught.value.status, caught.value.message) == (404, "File not found")


def test_a_file_of_somebody_else_is_no_file(conn: sqlite3.Connection) -> None:
    file = add(conn, a_file("bob"))
    with pytest.raises(OtariError) as missing:
        files.get_file(conn, "alice", "file-" + "0" * 32, NOON)
    for act in (files.get_file, files.hide_file):
        with pytest.raises(OtariError) as caught:
            act(conn, "alice", file.file_id, NOON)
        assert str(caught.value) == str(missing.value)
    assert files.get_file(conn, "bob", file.file_id, NOON) == file
    assert ids(conn, Listing(10)) == []


def test_ids_grow_with_time() -> None:
    made = [RANDOM_NAMES.file("alice", NOON + at) for at in range(50)]
    assert sorted(made) == made
    assert all(map(files.is_file_id, made))


def test_a_list_goes_on_behind_what_was_seen_even_if_it_is_gone(conn: sqlite3.Connection) -> None:
    made = [add(conn, a_file(at_ms=NOON + at)).file_id for at in range(3)]
    assert ids(conn, Listing(10)) == made[::-1]
    assert ids(conn, Listing(10, oldest_first=True)) == made
    assert files.list_files(conn, "alice", Listing(2), NOON)[1]
    assert not files.list_files(conn, "alice", Listing(3), NOON)[1]
    files.hide_file(conn, "alice", made[1], NOON)
    files.forget_files(conn, [made[1]])
    assert ids(conn, Listing(10, earlier_than=made[1])) == [made[0]]
    assert ids(conn, Listing(10, later_than=made[1])) == [made[2]]


def test_a_purpose_is_compared_and_never_a_pattern(conn: sqlite3.Connection) -> None:
    batch = add(conn, a_file(purpose="batch"))
    add(conn, a_file())
    assert ids(conn, Listing(10, purpose="batch")) == [batch.file_id]
    assert ids(conn, Listing(10, purpose="%")) == []


def test_a_list_of_nobody_is_refused(conn: sqlite3.Connection) -> None:
    with pytest.raises(OtariError, match="User 'ghost' not found"):
        files.list_files(conn, "ghost", Listing(10), NOON)
    with pytest.raises(OtariError) as caught:
        files.list_files(conn, "alice", Listing(10, later_than="file-x"), NOON)
    assert caught.value.status == 400


def test_an_expired_file_is_gone_at_once_and_swept_later(conn: sqlite3.Connection) -> None:
    file = add(conn, a_file(expires_at_ms=NOON + HOUR_MS))
    stays = add(conn, a_file())
    assert files.get_file(conn, "alice", file.file_id, NOON + HOUR_MS - 1) == file
    assert ids(conn, Listing(10), now_ms=NOON + HOUR_MS) == [stays.file_id]
    assert files.hide_useless(conn, NOON + HOUR_MS - 1) == []
    assert files.hide_useless(conn, NOON + HOUR_MS) == [file.file_id]
    assert files.hide_useless(conn, NOON + HOUR_MS) == []
    files.forget_files(conn, [file.file_id, stays.file_id])
    assert conn.execute("SELECT file_id FROM files").fetchall() == [(stays.file_id,)]


def test_the_files_of_a_deleted_user_are_swept(conn: sqlite3.Connection) -> None:
    file = add(conn, a_file())
    add(conn, a_file("bob"))
    accounts.remove_user(conn, "alice", NOON)
    assert files.hide_useless(conn, NOON) == [file.file_id]


def test_many_are_swept_a_part_at_a_time(conn: sqlite3.Connection) -> None:
    many = FileLimits(100, 1_000, 100_000)
    for _ in range(files.SWEPT_AT_ONCE + 5):
        file = a_file(expires_at_ms=NOON)
        files.add_file(conn, file, many)
        files.show_file(conn, file.file_id)
    assert len(files.hide_useless(conn, NOON)) == files.SWEPT_AT_ONCE
    assert len(files.hide_useless(conn, NOON)) == 5


def test_limits_hold_for_each_user(conn: sqlite3.Connection) -> None:
    assert files.room(conn, "alice", LIMITS) == 100
    add(conn, a_file(size_bytes=90))
    assert files.room(conn, "alice", LIMITS) == 60
    with pytest.raises(OtariError) as caught:
        files.add_file(conn, a_file(size_bytes=61), LIMITS)
    assert (caught.value.status, caught.value.code) == (403, "too_many_bytes")
    files.add_file(conn, a_file(size_bytes=60), LIMITS)  # what is coming counts too
    with pytest.raises(OtariError) as caught:
        files.room(conn, "alice", LIMITS)
    assert caught.value.code == "too_many_bytes"
    assert files.room(conn, "bob", LIMITS) == 100
    for _ in range(3):
        add(conn, a_file("bob"))
    with pytest.raises(OtariError) as caught:
        files.room(conn, "bob", LIMITS)
    assert (caught.value.status, caught.value.code) == (403, "too_many_files")


def test_who_may_not_keep_files(conn: sqlite3.Connection) -> None:
    accounts.change_user(conn, "alice", {"blocked": True}, NOON)
    accounts.remove_user(conn, "bob", NOON)
    for user, status in (("alice", 403), ("bob", 404), ("ghost", 404)):
        with pytest.raises(OtariError) as caught:
            files.room(conn, user, LIMITS)
        assert caught.value.status == status


def test_a_file_whose_bytes_are_missing_is_hidden_until_they_are_there_again(conn: sqlite3.Connection) -> None:
    there, missing, short = (add(conn, a_file(size_bytes=at)) for at in (10, 11, 12))
    sizes = {there.file_id: 10, short.file_id: 11, "stranger": 5}
    assert files.mark_lost(conn, sizes) == (2, 0)
    assert ids(conn, Listing(10)) == [there.file_id]
    assert files.mark_lost(conn, sizes) == (2, 0)
    assert files.mark_lost(conn, {**sizes, missing.file_id: 11}) == (1, 1)
    assert set(ids(conn, Listing(10))) == {there.file_id, missing.file_id}


def test_what_was_coming_or_going_is_known_after_a_stop(conn: sqlite3.Connection) -> None:
    coming, going, stays = a_file(), add(conn, a_file()), add(conn, a_file())
    files.add_file(conn, coming, LIMITS._replace(user_files=10))
    files.hide_file(conn, "alice", going.file_id, NOON)
    left = files.partial_files(conn)
    assert set(left) == {coming.file_id, going.file_id}
    files.forget_files(conn, left)
    assert ids(conn, Listing(10)) == [stays.file_id]
