"""Documents are read apart: whatever is in them costs a process of its own, and not for long."""

import asyncio
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from otari.domain.documents import DocumentKind, LeftOut, Picture, Piece, Unreadable, kind_of
from otari.domain.errors import OtariError
from otari.extraction import reader, worker
from otari.extraction.pdf import pdf_pieces
from otari.extraction.pieces import write_pieces
from otari.extraction.reader import DocumentReader, read_apart
from tests.extraction import makers, scans
from tests.extraction.makers import SENTENCE

REFUSED_WITHIN_S = 2.0  # of processor time, with the start of the process: a busy machine takes longer, and no more


def worked_s() -> float:
    """The processor time of all processes that this one has started and seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    "make", [makers.word, makers.workbook, makers.slides, makers.pdf, f"<html><p>{SENTENCE}".encode]
)
def test_a_document_of_any_kind_is_read_in_a_process_of_its_own(make: Callable[[], bytes]) -> None:
    data = make()
    (text,) = read_apart(data, kind_of(data, None))
    assert isinstance(text, str)
    assert SENTENCE in text


def test_a_scan_comes_out_of_that_process_as_it_would_here() -> None:
    data = scans.mixed(SENTENCE, scans.page(mode="1"), scans.page(mode="RGB"))
    assert list(read_apart(data, "pdf")) == pdf_pieces(data)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (partial(makers.bomb, 256), "unpacks to more"),
        (partial(makers.many_pages, 10_000), "more than 1000 pages"),
        (makers.slow_pdf, "takes too long"),
        (partial(makers.pdf_bomb, 40), "takes too long"),
        (makers.deep_xml, "is damaged|takes too long"),
        (partial(makers.pdf, "x", password="secret"), "is encrypted"),
        (partial(makers.archive, a=b"x"), "is an archive"),
    ],
)
def test_a_trap_is_refused_soon(make: Callable[[], bytes], why: str) -> None:
    data = make()
    before = worked_s()
    with pytest.raises(Unreadable, match=why):
        read_apart(data, kind_of(data, None))
    assert 0 < worked_s() - before < REFUSED_WITHIN_S


def run_worker(code: str) -> "subprocess.CompletedProcess[bytes]":
    """The worker with something else to read documents with."""
    start = f"import otari.extraction.worker as w\ndef read(data):\n {code}\nw.reading = lambda kind: read\nw.main('x')"
    return subprocess.run(
        [sys.executable, "-c", start],
        input=b"x",
        capture_output=True,
        timeout=30,
    )


def test_a_worker_has_little_memory_and_time_and_writes_no_files(tmp_path: object) -> None:
    assert run_worker("return ['fine']").stdout == b"+" + write_pieces(["fine"])
    assert run_worker("return [str(len(bytearray(700_000_000)))]").stdout == b"-needs too much memory to be read"
    assert run_worker("while True: pass").returncode == -27  # SIGPROF
    assert run_worker("raise RuntimeError(data)").stdout == b"-is damaged"
    assert (
        run_worker(f"return [str(open({str(tmp_path)!r} + '/f', 'wb').write(b'x' * 99999))]").stdout == b"-is damaged"
    )


def test_a_worker_that_dies_is_a_document_that_can_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_START", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(Unreadable, match="can not be read"):
        read_apart(makers.pdf(), "pdf")
    monkeypatch.setattr(reader, "PATIENCE_S", 0.2)
    monkeypatch.setattr(reader, "_START", "import time; time.sleep(60)")
    with pytest.raises(Unreadable, match="takes too long"):
        read_apart(makers.pdf(), "pdf")


def test_answers_of_a_worker() -> None:
    assert worker.answer(lambda data: [data.decode()], b"text") == b"+" + write_pieces(["text"])
    assert worker.answer(lambda data: ["\ud800"], b"") == b"+" + write_pieces(["?"])


class Apart:
    """Stands for the processes: counts them, and can hold them up."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, data: bytes, kind: DocumentKind) -> Sequence[Piece]:
        self.read.append(data)
        assert self.go_on.wait(10)
        return (f"{kind} {data.decode()}",)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Apart:
    made = Apart()
    monkeypatch.setattr(reader, "read_apart", made)
    return made


def test_the_same_document_is_read_once(apart: Apart) -> None:
    async def scene() -> None:
        documents = DocumentReader()
        assert [await documents.pieces(b"a", "pdf") for _ in range(3)] == [("pdf a",)] * 3
        assert await documents.pieces(b"a", "html") == ("html a",)
        assert await documents.pieces(b"a", "text") == ("a",)
        assert apart.read == [b"a", b"a"]
        documents.close()

    asyncio.run(scene())


def test_only_some_documents_are_remembered(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "KEPT_MAX_SIZE", 12)

    async def scene() -> None:
        documents = DocumentReader()
        for data in (b"1", b"2", b"1", b"3", b"1", b"2"):  # room for two of them
            assert await documents.pieces(data, "pdf") == (f"pdf {data.decode()}",)
        assert apart.read == [b"1", b"2", b"3", b"2"]
        for _ in range(2):
            await documents.pieces(b"too much for all", "pdf")
        await documents.pieces(b"2", "pdf")  # what can not be remembered drives nothing out
        assert apart.read[4:] == [b"too much for all"] * 2
        documents.close()

    asyncio.run(scene())


def test_pictures_count_for_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "KEPT_MAX_SIZE", 1_000)
    read: list[int] = []

    def apart(data: bytes, kind: DocumentKind) -> Sequence[Piece]:
        read.append(len(data))
        return (Picture(1, "image/png", data), LeftOut(2, "why"))

    monkeypatch.setattr(reader, "read_apart", apart)

    async def scene() -> None:
        documents = DocumentReader()
        for size in (900, 900, 90, 90, 1_000, 1_000, 90):
            await documents.pieces(bytes(size), "pdf")
        assert read == [900, 90, 1_000, 1_000]
        documents.close()

    asyncio.run(scene())


def test_only_so_many_may_wait(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "WAITING_MAX", 3)

    async def scene() -> None:
        documents = DocumentReader()
        apart.go_on.clear()
        waiting = [asyncio.ensure_future(documents.pieces(b"%d" % n, "pdf")) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(OtariError) as caught:
            await documents.pieces(b"one too many", "pdf")
        assert (caught.value.status, caught.value.retry_after) == (503, 1)
        assert await documents.pieces(b"plain", "text") == ("plain",)  # costs nothing
        apart.go_on.set()
        assert await asyncio.gather(*waiting) == [("pdf 0",), ("pdf 1",), ("pdf 2",)]
        assert await documents.pieces(b"later", "pdf") == ("pdf later",)
        documents.close()

    asyncio.run(scene())


def test_plain_text_has_the_same_limit() -> None:
    async def scene() -> None:
        documents = DocumentReader()
        with pytest.raises(Unreadable, match="more text than can be given"):
            await documents.pieces(b"x" * 4_000_001, "text")
        documents.close()

    asyncio.run(scene())
