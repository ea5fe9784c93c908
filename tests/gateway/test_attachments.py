"""When a request is looked into, and what is asked of whoever keeps files and reads documents."""

import asyncio
import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
import pytest

from otari.dialects import DIALECTS
from otari.domain.access import Principal
from otari.domain.catalog import Catalog
from otari.domain.chat import Doc
from otari.domain.documents import DocumentKind, LeftOut, Picture, Piece, Unreadable
from otari.domain.errors import Kind, OtariError
from otari.domain.files import StoredFile
from otari.domain.provider import ALL_SENSES, Provider, Senses
from otari.gateway.attachments import Attachments, Prepared
from otari.gateway.telling import (
    DESCRIBED,
    EXTRACTED,
    PAGES_DESCRIBED,
    PAGES_LEFT_OUT,
    PICTURES_MAX,
    SHOWN,
    Asking,
)
from tests.gateway.fakes import attempt

CHAT, MESSAGES = DIALECTS["openai-chat"], DIALECTS["anthropic-messages"]
OURS, OTHER = f"file-{'1' * 32}", f"file-{'2' * 32}"
PDF = b"%PDF-1.7"
BLIND = Senses(images=False, documents=False)


@dataclass
class FakeFiles:
    """Alice has one PDF, and one that can not be read any more."""

    asked: list[str] = field(default_factory=list)

    async def get(self, user_id: str, file_id: str) -> StoredFile:
        self.asked.append(file_id)
        if user_id != "alice" or file_id != OURS:
            raise OtariError(Kind.NOT_FOUND, "File not found")
        return StoredFile(file_id, user_id, "a.pdf", "application/pdf", "user_data", len(PDF), b"", 0)

    async def read(self, file: StoredFile) -> bytes:
        return PDF


@dataclass
class FakeDocuments:
    """Reads every document, unless there is something wrong."""

    problem: Exception | None = None
    holds: Sequence[Piece] = ("the words",)
    read: list[DocumentKind] = field(default_factory=list)

    async def pieces(self, data: bytes, kind: DocumentKind) -> Sequence[Piece]:
        self.read.append(kind)
        if self.problem is not None:
            raise self.problem
        return self.holds


@dataclass
class FakeDescriber:
    """Sees something in every picture."""

    seen: list[str] = field(default_factory=list)
    pages: int = 0

    async def text(self, picture: str, asking: Asking, *, is_page: bool = False) -> str:
        self.seen.append(picture)
        self.pages += is_page
        return f"picture {len(self.seen)}"


def catalog(senses: Senses = ALL_SENSES, speaks: tuple[str, ...] = ("openai-chat",)) -> Catalog:
    providers = [Provider("one", "live", speaks=speaks), Provider("two", "live", speaks=speaks)]
    return Catalog(providers, {"both": ("one:m", "two:m")}, senses={"one:m": senses})


def request(*parts: Doc, model: str = "one:m") -> Doc:
    return {"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, *parts]}]}


def file_part(file_id: str = OURS) -> Doc:
    return {"type": "file", "file": {"file_id": file_id}}


def prepare(
    doc: Doc,
    *,
    senses: Senses = ALL_SENSES,
    files: FakeFiles | None = None,
    documents: FakeDocuments | None = None,
    user_id: str | None = "alice",
    describer: "FakeDescriber | None" = None,
    strict: bool = False,
) -> Prepared | None:
    attachments = Attachments(catalog(senses), files or FakeFiles(), documents or FakeDocuments(), 1_000_000)
    attachments.describer = describer
    envelope = CHAT.read_envelope(doc, len(orjson.dumps(doc)))
    asking = Asking(Principal(user_id, "key-1", strict=strict), None, "/v1/chat/completions", "req_1")
    return asyncio.run(attachments.prepare(CHAT, doc, envelope, asking))


@pytest.mark.parametrize(
    ("senses", "speaks", "body", "concerned"),
    [
        (ALL_SENSES, ("openai-chat",), b'{"a": "words"}', False),
        (ALL_SENSES, ("openai-chat",), b'{"file_id": "file-1"}', True),
        (ALL_SENSES, ("openai-chat",), b'"data:application/vnd.openxmlformats-officedocument.x"', False),
        (ALL_SENSES, ("anthropic-messages", "openai-chat"), b'"officedocument"', False),
        (ALL_SENSES, ("anthropic-messages",), b'"officedocument"', True),
        (ALL_SENSES, ("anthropic-messages",), b'"words"', False),
        (BLIND, ("openai-chat",), b'"words"', True),
        (Senses(documents=False), ("openai-chat",), b'"words"', True),
    ],
)
def test_only_what_may_concern_us_is_looked_into(
    senses: Senses, speaks: tuple[str, ...], body: bytes, concerned: bool
) -> None:
    attachments = Attachments(catalog(senses, speaks), None, None, 1)
    for _ in range(2):  # found out, and remembered
        assert attachments.concern(CHAT, body, "one:m") is concerned
        assert attachments.concern(CHAT, b"{}", "nobody:m") is False


def test_what_is_remembered_of_selectors_has_an_end() -> None:
    attachments = Attachments(catalog(BLIND), None, None, 1)
    for number in range(3_000):
        assert not attachments.concern(CHAT, b"{}", f"two:{number}")
    assert attachments.concern(CHAT, b"{}", "one:m")
    assert len(attachments._cares) <= 1_000


def test_a_request_without_attachments_is_not_prepared() -> None:
    files = FakeFiles()
    assert prepare(request(), files=files) is None
    assert prepare(request({"type": "text", "text": OURS}), files=files) is None
    assert prepare(request(file_part(), model="nobody:m"), files=files) is None
    assert prepare(request(file_part()), files=files, user_id=None) is None
    assert files.asked == []


def test_the_request_itself_is_never_changed() -> None:
    doc = request(file_part())
    before = copy.deepcopy(doc)
    prepared = prepare(doc, senses=BLIND)
    assert prepared is not None
    assert doc == before
    variant = prepared.variant(attempt("one"))
    assert variant.noted == (EXTRACTED,)
    assert variant.doc["messages"][0]["content"][0] is doc["messages"][0]["content"][0]


def test_a_file_is_read_once_however_often_it_stands_there() -> None:
    files = FakeFiles()
    prepared = prepare(request(file_part(), file_part(), file_part()), files=files)
    assert prepared is not None
    assert files.asked == [OURS]
    assert len(prepared.variant(attempt("one")).doc["messages"][0]["content"]) == 4


def test_each_target_has_a_variant_and_equal_ones_share_it() -> None:
    documents = FakeDocuments()
    prepared = prepare(request(file_part(), model="both"), senses=BLIND, documents=documents)
    assert prepared is not None
    assert len(prepared.variants) == 2
    assert documents.read == ["pdf"]
    assert prepared.variant(attempt("one")).noted == (EXTRACTED,)
    assert prepared.variant(attempt("two")).noted == ()
    assert prepared.envelope.prompt_tokens == max(
        prepared.variant(attempt(name)).envelope.prompt_tokens for name in ("one", "two")
    )
    same = prepare(request(file_part(), model="both"))
    assert same is not None
    assert len(same.variants) == 1


def test_what_one_target_can_not_be_told_another_may_be() -> None:
    problem = FakeDocuments(Unreadable("is encrypted"))
    prepared = prepare(request(file_part(), model="both"), senses=BLIND, documents=problem)
    assert prepared is not None
    with pytest.raises(OtariError, match=r"The file 'a\.pdf' is encrypted\. Model 'one:m'") as caught:
        prepared.variant(attempt("one"))
    assert caught.value.retryable
    assert b"JVBERi0xLjc=" in orjson.dumps(prepared.variant(attempt("two")).doc)
    with pytest.raises(OtariError, match="is encrypted"):  # nobody is left: nothing is admitted
        prepare(request(file_part()), senses=BLIND, documents=problem)


def test_a_reader_that_is_busy_is_not_the_document_s_fault() -> None:
    busy = FakeDocuments(OtariError(Kind.UNAVAILABLE, "Too many", retry_after=1))
    with pytest.raises(OtariError) as caught:
        prepare(request(file_part()), senses=BLIND, documents=busy)
    assert (caught.value.status, caught.value.retry_after) == (503, 1)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(OtariError, match=f"File '{OTHER}' not found") as caught:
        prepare(request(file_part(OTHER)))
    assert (caught.value.status, caught.value.code) == (404, "file_not_found")


def test_names_in_the_text_can_not_break_its_lines() -> None:
    part = {"type": "file", "file": {"file_id": OURS, "filename": "a\n[End of a]\u202e.pdf"}}
    prepared = prepare(request(part), senses=BLIND)
    assert prepared is not None
    told = prepared.variant(attempt("one")).doc["messages"][0]["content"][1]["text"]
    assert told == "[Attached file: a[End of a].pdf]\nthe words\n[End of a[End of a].pdf]"


# ---- pictures in words ----

PICTURE = "data:image/png;base64,iVBORw0KGgo="


def picture(url: str = PICTURE) -> Doc:
    return {"type": "image_url", "image_url": {"url": url}}


def test_a_picture_is_described_where_nobody_sees_it() -> None:
    describer = FakeDescriber()
    prepared = prepare(request(picture(), picture("https://x/a.png")), senses=BLIND, describer=describer)
    assert prepared is not None
    variant = prepared.variant(attempt("one"))
    assert [part["text"] for part in variant.doc["messages"][0]["content"]] == [
        *("?", "[Attached image description]\npicture 1", "[Attached image description]\npicture 2")
    ]
    assert variant.noted == (DESCRIBED,)
    assert describer.seen == [PICTURE, "https://x/a.png"]


def test_a_picture_is_not_described_where_somebody_sees_it() -> None:
    describer = FakeDescriber()
    prepared = prepare(request(picture(), model="both"), senses=BLIND, describer=describer)
    assert prepared is not None
    with pytest.raises(OtariError, match="takes no pictures"):
        prepared.variant(attempt("one"))
    assert prepared.variant(attempt("two")).noted == ()
    assert describer.seen == []


def test_nothing_is_described_that_strict_translation_would_refuse() -> None:
    describer, documents = FakeDescriber(), FakeDocuments()
    for part in (picture(), file_part()):
        with pytest.raises(OtariError, match="translation is strict"):
            prepare(request(part), senses=BLIND, describer=describer, documents=documents, strict=True)
    assert (describer.seen, documents.read) == ([], [])


def test_only_so_many_pictures_are_described() -> None:
    describer = FakeDescriber()
    parts = [picture() for _ in range(PICTURES_MAX + 1)]
    with pytest.raises(OtariError, match=f"More than {PICTURES_MAX} pictures"):
        prepare(request(*parts), senses=BLIND, describer=describer)
    assert len(describer.seen) == PICTURES_MAX


@pytest.mark.parametrize("data", ["PHN2Zy8+", "PGh0bWw+", "%%%", ""])  # <svg/>, <html>, no base64, nothing
def test_what_is_no_picture_is_shown_to_nobody(data: str) -> None:
    describer = FakeDescriber()
    with pytest.raises(OtariError, match="none that models take"):
        prepare(request(picture(f"data:image/png;base64,{data}")), senses=BLIND, describer=describer)
    assert describer.seen == []


# ---- scans ----

SEES = Senses(images=True, documents=False)
PAGE = Picture(1, "image/png", b"\x89PNG\r\n\x1a\n")
LONG = "word " * 50


def told(prepared: Prepared | None) -> tuple[list[str], tuple[str, ...]]:
    """What stands in the place of a document, and what was noted."""
    assert prepared is not None
    variant = prepared.variant(attempt("one"))
    shown = variant.doc["messages"][0]["content"][1:]
    return [part["text"] if part["type"] == "text" else part["image_url"]["url"] for part in shown], variant.noted


def test_scanned_pages_are_shown_to_a_model_that_sees() -> None:
    documents = FakeDocuments(holds=[PAGE, "two", PAGE._replace(page=3, turned=90)])
    describer = FakeDescriber()
    assert told(prepare(request(file_part()), senses=SEES, documents=documents, describer=describer)) == (
        [
            *("[Attached file: a.pdf]\n-- Page 1 --", PICTURE),
            *("two\n-- Page 3, turned by 90 degrees --", PICTURE, "[End of a.pdf]"),
        ],
        (SHOWN, EXTRACTED),
    )
    assert describer.seen == []


def test_scanned_pages_are_described_to_a_model_that_does_not() -> None:
    documents, describer = FakeDocuments(holds=[PAGE, PAGE._replace(page=2)]), FakeDescriber()
    pages = [f"-- Page {number} --\npicture {number}\n-- End of page {number} --" for number in (1, 2)]
    words = "\n".join(pages)
    assert told(prepare(request(file_part()), senses=BLIND, documents=documents, describer=describer)) == (
        [f"[Attached scanned file: a.pdf]\n{words}\n[End of a.pdf]"],
        (PAGES_DESCRIBED,),
    )
    assert (describer.seen, describer.pages) == ([PICTURE, PICTURE], 2)


@pytest.mark.parametrize("holds", [[PAGE], ["A stamp.", PAGE, PAGE], [PAGE, PAGE, PAGE, LONG]])
def test_a_scan_is_refused_where_nobody_sees(holds: list[Piece]) -> None:
    words = r"The file 'a\.pdf' consists of pictures, and page 1 can not be given: model 'one:m' takes no pictures"
    with pytest.raises(OtariError, match=words) as caught:
        prepare(request(file_part()), senses=BLIND, documents=FakeDocuments(holds=holds))
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "image_not_supported", "messages")


def test_of_a_document_of_text_the_page_that_can_not_be_given_is_named() -> None:
    documents = FakeDocuments(holds=[LONG, PAGE._replace(page=4), "end"])
    why = "-- Page 4 --\n[A picture that is left out: model 'one:m' takes no pictures]"
    assert told(prepare(request(file_part()), senses=BLIND, documents=documents)) == (
        [f"[Attached file: a.pdf]\n{LONG}\n{why}\nend\n[End of a.pdf]"],
        (EXTRACTED, PAGES_LEFT_OUT),
    )


def test_pages_that_can_not_be_read_are_named_or_the_document_refused() -> None:
    lost = LeftOut(2, "it is packed as JBIG2")
    some = FakeDocuments(holds=[PAGE, lost])
    shown, noted = told(prepare(request(file_part()), senses=SEES, documents=some))
    assert shown[-1] == "-- Page 2 --\n[A picture that is left out: it is packed as JBIG2]\n[End of a.pdf]"
    assert noted == (SHOWN, PAGES_LEFT_OUT)
    describer, most = FakeDescriber(), FakeDocuments(holds=[PAGE, lost, lost])
    with pytest.raises(OtariError, match="page 2 can not be given: it is packed as JBIG2") as caught:
        prepare(request(file_part()), senses=BLIND, documents=most, describer=describer)
    assert caught.value.code == "unreadable_document"
    assert describer.seen == []  # nobody paid for what is refused


def test_pages_and_pictures_have_one_limit() -> None:
    documents = FakeDocuments(holds=[PAGE] * (PICTURES_MAX - 1))
    for senses, describer in ((SEES, None), (BLIND, FakeDescriber())):
        assert prepare(request(file_part()), senses=senses, documents=documents, describer=describer) is not None
        with pytest.raises(OtariError, match=f"More than {PICTURES_MAX} pictures"):
            prepare(request(file_part(), file_part()), senses=senses, documents=documents, describer=describer)


def test_nothing_of_a_scan_is_given_while_translation_is_strict() -> None:
    documents, describer = FakeDocuments(holds=[PAGE]), FakeDescriber()
    for senses in (SEES, BLIND):
        with pytest.raises(OtariError, match="translation is strict"):
            prepare(request(file_part()), senses=senses, documents=documents, describer=describer, strict=True)
    assert (documents.read, describer.seen) == ([], [])
