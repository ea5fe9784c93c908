"""Documents in conversations of the built gateway: real ones are quoted, and traps cost the gateway nothing."""

import base64
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from openai import OpenAI

from tests.e2e.gateway import Gateway, stub
from tests.e2e.test_files import forget_peak, memory_mib
from tests.extraction import makers, scans

SENTENCES = {
    "report.pdf": "The harbour master wrote three letters on a Tuesday.",
    "report.docx": "Nobody had repaired the northern pier since the great storm.",
    "report.xlsx": "Forty-one barrels of salt were never accounted for.",
    "report.pptx": "Our fleet will grow by two cutters before the autumn.",
}
MAKERS: dict[str, Callable[[str], bytes]] = {
    "report.pdf": makers.pdf,
    "report.docx": makers.word,
    "report.xlsx": makers.workbook,
    "report.pptx": makers.slides,
}
# The model knows nothing by itself: it says a sentence when it was told that sentence, in whatever words around it.
SCRIPT: dict[str, Any] = {
    "rules": [
        {"id": name.replace(".", "-"), "when": {"user": f"/{re.escape(sentence)}/"}, "reply": f"It says: {sentence}"}
        for name, sentence in SENTENCES.items()
    ]
    + [{"id": "page", "when": {"has": "image"}, "reply": "It shows a page."}]
}
MODEL, SEES = "reader:text-only", "reader:sees"
REFUSED_WITHIN_S = 2.0  # of processor time, the gateway's own and that of the process which reads
GROWTH_MAX_MIB = 32


@pytest.fixture(scope="module")
def gateway(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("attachments")
    config = {
        "durability": "normal",
        "require_pricing": False,
        "providers": stub(SCRIPT, folder, "reader"),
        "model_capabilities": {
            MODEL: {"supports_image": False, "supports_pdf": False},
            SEES: {"supports_image": True, "supports_pdf": False},
        },
    }
    with Gateway(pyz, folder / "gateway", config) as gateway:
        yield gateway
        gateway.ledger.assert_balanced()
        assert gateway.stop() == 0
        assert b"Traceback" not in gateway.written()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=60) as client:
        yield client


def worked_s(gateway: Gateway) -> float:
    """The processor time of the gateway and of the processes that it has started and seen end (proc(5), stat)."""
    fields = Path(f"/proc/{gateway.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("name", SENTENCES)
def test_a_document_is_quoted_by_a_model_that_takes_only_text(client: OpenAI, gateway: Gateway, name: str) -> None:
    sentence = SENTENCES[name]
    file = client.files.create(file=(name, MAKERS[name](sentence)), purpose="user_data")
    ask = client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What does it say?"},
                    {"type": "file", "file": {"file_id": file.id}},
                ],
            }
        ],
    )
    assert ask.headers["x-otari-dropped"] == "document extracted to text"
    assert ask.parse().choices[0].message.content == f"It says: {sentence}"
    response = client.responses.create(
        model=MODEL,
        input=[{"role": "user", "content": [{"type": "input_file", "file_id": file.id}]}],
    )
    assert response.output_text == f"It says: {sentence}"
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0, timeout=60) as other:
        message = other.beta.messages.create(
            model=MODEL,
            max_tokens=100,
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "document", "source": {"type": "file", "file_id": file.id}}],
                }
            ],
        )
        assert [block.text for block in message.content if block.type == "text"] == [f"It says: {sentence}"]


def test_a_document_in_the_request_itself_is_quoted_too(client: OpenAI) -> None:
    name = "report.pdf"
    data = base64.b64encode(MAKERS[name](SENTENCES[name])).decode()
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}", "filename": name}}
                ],
            }
        ],
    )
    assert answer.choices[0].message.content == f"It says: {SENTENCES[name]}"


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_a_scan_is_shown_to_a_model_that_sees(client: OpenAI, mode: str) -> None:
    file = client.files.create(file=("scan.pdf", scans.scanned(scans.page(mode=mode))), purpose="user_data")
    answer = client.responses.with_raw_response.create(
        model=SEES,
        input=[{"role": "user", "content": [{"type": "input_file", "file_id": file.id}]}],
    )
    assert answer.headers["x-otari-dropped"] == "document pages given as images"
    assert answer.parse().output_text == "It shows a page."


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (partial(makers.bomb, 1024), "bomb.docx", "unpacks to more than can be read"),
        (partial(makers.many_pages, 10_000), "pages.pdf", "has more than 1000 pages"),
        (makers.slow_pdf, "slow.pdf", "takes too long to read"),
        (partial(makers.pdf_bomb, 40), "bomb.pdf", "takes too long to read"),
        (partial(makers.pdf, "x", password="secret"), "locked.pdf", "is encrypted"),
        (makers.drawn_pdf, "drawn.pdf", "holds no text"),
        (lambda: scans.scanned(scans.page()), "scanned.pdf", "consists of pictures, and page 1 can not be given"),
        (makers.deep_xml, "deep.docx", "is damaged|takes too long"),
    ],
)
def test_a_trap_is_refused_and_the_gateway_does_not_feel_it(
    client: OpenAI, gateway: Gateway, make: Callable[[], bytes], name: str, words: str
) -> None:
    file = client.files.create(file=(name, make()), purpose="user_data")  # as bytes it is harmless
    before = memory_mib(gateway)
    forget_peak(gateway)
    worked = worked_s(gateway)
    with pytest.raises(openai.BadRequestError, match=words):
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": file.id}}]}],
        )
    assert worked_s(gateway) - worked < REFUSED_WITHIN_S
    assert memory_mib(gateway, "VmHWM") - before <= GROWTH_MAX_MIB
    assert client.files.retrieve(file.id) == file
