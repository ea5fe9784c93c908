"""What a run remembers is bounded, whatever clients send."""

import asyncio

import pytest

from otari.upstreams.stub import sessions as bounds
from otari.upstreams.stub.sessions import Entry, Sessions


def entry(session: str = "s", result: bounds.Result = "answered", rule: str = "r", body: bytes = b"x") -> Entry:
    return Entry(session, 1, result, rule, 200, body=body)


def test_the_journal_of_a_session_holds_its_last_entries() -> None:
    known = Sessions()
    for number in range(bounds.ENTRIES_MAX + 5):
        known.note(entry(body=b"%d" % number))
    journal = known.get("s").journal
    assert (len(journal), journal[0].body, journal[-1].body) == (bounds.ENTRIES_MAX, b"5", b"1004")


def test_a_large_body_is_cut_and_its_size_told() -> None:
    known = Sessions()
    known.note(entry(body=bytes(bounds.BODY_MAX_BYTES + 1)))
    (kept,) = known.get("s").journal
    assert (len(kept.body), kept.size) == (bounds.BODY_MAX_BYTES, bounds.BODY_MAX_BYTES + 1)


def test_all_bodies_together_are_bounded_and_room_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "BODIES_MAX_BYTES", 10)
    known = Sessions()
    for session in "abc":
        known.note(entry(session, body=b"12345"))
    assert [each.journal[0].body for each in known] == [b"12345", b"12345", b""]
    assert known.forget("a")
    known.note(entry("d", body=b"12345"))
    assert known.get("d").journal[0].body == b"12345"


def test_all_entries_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ALL_ENTRIES_MAX", 4)
    known = Sessions()
    for number in range(3):
        known.note(entry("a", rule=f"a{number}"))
        known.note(entry("b", rule=f"b{number}"))
    assert [[kept.rule for kept in each.journal] for each in known] == [["a1", "a2"], ["b1", "b2"]]
    known.note(entry("c"))
    assert len(known.get("c").journal) == 0


def test_of_too_many_sessions_the_one_that_was_quiet_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SESSIONS_MAX", 2)
    known = Sessions()
    for name in ("a", "b", "a", "c"):
        known.note(entry(name))
    assert [each.name for each in known] == ["a", "c"]


def test_counts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "COUNTS_MAX", 2)
    session = Sessions().get("s")
    assert [session.count(what) for what in "abac"] == [0, 0, 1, 0]
    assert (session.counted("a"), session.counted("b"), session.counted("c")) == (2, 0, 1)


def test_without_a_journal_misses_and_rules_are_counted_all_the_same() -> None:
    known = Sessions(keeps=False)
    known.note(entry(result="miss"))
    known.note(entry())
    assert (len(known.get("s").journal), known.misses, known.answered["r"]) == (0, 1, 1)


def test_forgetting_a_session_leaves_the_sums_of_the_run() -> None:
    known = Sessions()
    known.note(entry(result="miss"))
    known.note(entry())
    assert known.forget("s")
    assert not known.forget("s")
    assert (known.misses, known.answered["r"], len(known.missed)) == (1, 1, 1)


def test_several_can_wait_for_one_session() -> None:
    async def scene() -> None:
        known = Sessions()

        def call() -> None:
            known.get("s").calls += 1
            known.note(entry())

        waiting = [asyncio.create_task(known.wait("s", count, 20)) for count in (1, 2, 2)]
        await asyncio.sleep(0)
        call()
        assert await waiting[0] == 1
        assert not waiting[1].done()
        call()
        assert [await each for each in waiting[1:]] == [2, 2]
        assert await known.wait("s", 3, 0) == 2

    asyncio.run(scene())
