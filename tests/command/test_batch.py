"""`otari.pyz batch`: what it asks of a gateway, with which key, and how it shows a batch that comes along."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from otari.command import batch as command
from otari.command import errand
from otari.command.progress import Progress
from otari.command.screen import Screen
from tests.command.gateway import Scripted, scripted

ID = "batch_" + "0" * 32
_TIMES = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


def a_batch(status: str, total: int = 10, completed: int = 0, failed: int = 0, **more: object) -> dict[str, Any]:
    """A batch as a gateway tells it."""
    return {
        "id": ID,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "model": "stub:echo",
        "provider": "stub",
        "errors": None,
        "input_file_id": "",
        "completion_window": "24h",
        "status": status,
        "output_file_id": None,
        "error_file_id": None,
        "created_at": 1_795_000_000,
        "expires_at": 1_795_086_400,
        **{f"{word}_at": 1_795_000_060 if word == status else None for word in _TIMES},
        "request_counts": {"total": total, "completed": completed, "failed": failed},
        "usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12},
        "metadata": None,
        **more,
    }


def run(
    gateway: Scripted,
    capsys: pytest.CaptureFixture[str],
    *words: str,
    environ: Mapping[str, str] | None = None,
    code: int = 0,
) -> tuple[str, str]:
    """What a command writes to standard output and error."""
    asked_with = {"OTARI_API_KEY": "gw-alice"} if environ is None else environ
    ended = errand.run(["batch", *words, "--url", gateway.url], asked_with)
    out, err = capsys.readouterr()
    assert ended == code, err
    return out, err


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(command, "pause", waited.append)
    return waited


def test_a_pipe_gets_a_line_for_every_change(capsys: pytest.CaptureFixture[str], pauses: list[float]) -> None:
    looks = [
        a_batch("validating", 0),
        a_batch("in_progress"),
        a_batch("in_progress", completed=4),
        a_batch("in_progress", completed=4),
        a_batch("completed", completed=9, failed=1),
    ]
    with scripted(*((200, look) for look in looks)) as gateway:
        out, _ = run(gateway, capsys, "watch", ID, "--every", "3s")
    lines = ["validating\t0\t0\t0", "in_progress\t10\t0\t0", "in_progress\t10\t4\t0", "completed\t10\t9\t1"]
    assert out.splitlines() == lines
    assert pauses == [3, 3, 3, 3]
    assert {(asked.method, asked.target) for asked in gateway.asked} == {("GET", f"/v1/batches/{ID}")}
    assert {asked.authorization for asked in gateway.asked} == {"Bearer gw-alice"}


def test_json_is_a_document_per_change(capsys: pytest.CaptureFixture[str]) -> None:
    looks = [a_batch("in_progress"), a_batch("in_progress"), a_batch("completed", completed=10)]
    with scripted(*((200, look) for look in looks)) as gateway:
        out, _ = run(gateway, capsys, "watch", ID, "--json")
    assert [orjson.loads(line) for line in out.splitlines()] == [looks[0], looks[2]]


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (a_batch("cancelled", completed=2, failed=8), f"batch {ID} was cancelled"),
        (a_batch("expired", completed=2, failed=8), f"batch {ID} has expired"),
        (
            a_batch(
                "failed",
                errors={"object": "list", "data": [{"code": "c", "message": "No JSON.", "line": 3, "param": None}]},
            ),
            f"batch {ID} has failed: line 3: No JSON.",
        ),
    ],
)
def test_an_end_that_is_not_good_is_told_and_is_the_exit_code(
    capsys: pytest.CaptureFixture[str], last: dict[str, Any], words: str
) -> None:
    with scripted((200, last)) as gateway:
        _, err = run(gateway, capsys, "watch", ID, code=1)
    assert err == f"otari: {words}\n"


def test_a_gateway_that_starts_again_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    busy = {"detail": "The ledger can not be written at the moment, please retry", "error": {}}
    with scripted((503, busy), (503, busy), (200, a_batch("completed", completed=10))) as gateway:
        out, err = run(gateway, capsys, "watch", ID)
    assert out == "completed\t10\t10\t0\n"
    assert err.count("\n") == 1  # said once, not with every try
    assert "asking on for up to 120 s" in err


def test_who_has_seen_enough_may_leave(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "pause", leave)
    with scripted((200, a_batch("in_progress"))) as gateway:
        run(gateway, capsys, "watch", ID, code=130)


def test_it_is_not_waited_for_for_ever(capsys: pytest.CaptureFixture[str], pauses: list[float]) -> None:
    with scripted() as gateway:
        pass
    _, err = run(gateway, capsys, "watch", ID, "--every", "30s", code=1)
    assert "no gateway answers" in err
    assert sum(pauses) == 120


def test_a_batch_that_is_not_there_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted((404, {"detail": f"Batch '{ID}' not found", "error": {}})) as gateway:
        _, err = run(gateway, capsys, "watch", ID, code=1)
    assert err == f"otari: Batch '{ID}' not found\n"


def test_the_master_key_asks_for_a_user_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    page = {"data": [], "has_more": False, "last_id": None}
    with scripted((200, page)) as gateway:
        run(gateway, capsys, "list", "--user", "bob", environ={"OTARI_MASTER_KEY": "mk-secret"})
    (asked,) = gateway.asked
    assert (asked.target, asked.authorization) == ("/v1/batches?limit=20&user=bob", "Bearer mk-secret")
    with scripted() as gateway:
        _, err = run(gateway, capsys, "list", environ={"OTARI_MASTER_KEY": "mk-secret"}, code=2)
    assert "set OTARI_API_KEY to your key" in err
    assert gateway.asked == []


def test_a_refused_key_is_told_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted((401, {"detail": "Invalid API key", "error": {}})) as gateway:
        _, err = run(gateway, capsys, "show", ID, code=1)
    assert err == "otari: Invalid API key (the key comes from OTARI_API_KEY)\n"


def test_a_list_goes_on_until_there_are_enough(capsys: pytest.CaptureFixture[str]) -> None:
    pages = [
        {"data": [a_batch("completed")] * 100, "has_more": True, "last_id": "batch_x"},
        {"data": [a_batch("validating", 0)] * 20, "has_more": True, "last_id": "batch_y"},
    ]
    with scripted(*((200, page) for page in pages)) as gateway:
        out, _ = run(gateway, capsys, "list", "--limit", "120")
    assert len(out.splitlines()) == 120
    targets = [asked.target for asked in gateway.asked]
    assert targets == ["/v1/batches?limit=100", "/v1/batches?limit=20&after=batch_x"]


def test_one_batch_is_shown_as_facts(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted((200, a_batch("completed", completed=9, failed=1, output_file_id="file-1"))) as gateway:
        out, _ = run(gateway, capsys, "show", ID)
    facts = dict(line.split("\t") for line in out.splitlines())
    assert facts["status"] == "completed"
    assert (facts["total"], facts["completed"], facts["failed"]) == ("10", "9", "1")
    assert facts["ended_at"] == "2026-11-18T11:07:40+00:00"
    assert (facts["output_file_id"], facts["input_file_id"]) == ("file-1", "")


def test_results_are_a_document_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    results = [{"custom_id": "a", "result": {"n": 1.5}, "error": None}, {"custom_id": "b", "result": None, "error": {}}]
    with scripted((200, {"results": results}), (200, {"results": results})) as gateway:
        out, _ = run(gateway, capsys, "results", ID)
        assert [orjson.loads(line) for line in out.splitlines()] == results
        out, _ = run(gateway, capsys, "results", ID, "--json")
        assert orjson.loads(out) == {"results": results}


def test_cancelling_is_a_post(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted((200, a_batch("cancelling"))) as gateway:
        out, _ = run(gateway, capsys, "cancel", ID)
    (asked,) = gateway.asked
    assert (asked.method, asked.target) == ("POST", f"/v1/batches/{ID}/cancel")
    assert "status\tcancelling\n" in out


class Clock:
    """A clock that goes when it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_terminal_gets_a_bar_that_grows_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = Progress(Screen(terminal=True, width=100), as_json=False, clock=clock)
    progress.show(a_batch("validating", 0))
    progress.show(a_batch("in_progress", 1_000))
    clock.now = 60.0
    progress.show(a_batch("in_progress", 1_000, completed=490, failed=10))
    progress.show(a_batch("completed", 1_000, completed=990, failed=10))
    progress.end()
    _, first, begun, half, whole = capsys.readouterr().out.split("\r\x1b[K")
    assert first == "validating"
    assert begun == "░" * 30 + "  in_progress  0 of 1,000 (0 %)"
    assert half == "█" * 15 + "░" * 15 + "  in_progress  500 of 1,000 (50 %)  10 failed  1:00 left"
    assert whole == "█" * 30 + "  completed  1,000 of 1,000 (100 %)  10 failed\n"


def test_a_narrow_terminal_and_a_plain_one_are_not_overrun(capsys: pytest.CaptureFixture[str]) -> None:
    for width in (20, 40, 60):
        progress = Progress(Screen(terminal=True, width=width, unicode=False), as_json=False)
        progress.show(a_batch("in_progress", 1_000, completed=500))
        line = capsys.readouterr().out.removeprefix("\r\x1b[K")
        assert len(line) < width
        assert line.isascii()
