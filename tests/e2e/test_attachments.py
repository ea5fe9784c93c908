"""Documents in conversations of the built gateway: real ones are quoted, and traps cost the gateway nothing."""

import base64
import re
import time
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
from tests.extraction import makers

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
}
MODEL = "reader:text-only"
ANSWERED_WITHIN_S = 10.0  # of which reading is at most two; the machine may be busy
GROWTH_MAX_MIB = 32


@pytest.fixture(scope="module")
def gateway(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("attachments")
    config = {
        "durability": "normal",
        "require_pricing": False,
        "providers": stub(SCRIPT, folder, "reader"),
        "model_capabilities": {MODEL: {"supports_image": False, "supports_pdf": False}},
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


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (partial(makers.bomb, 1024), "bomb.docx", "unpacks to more than can be read"),
        (partial(makers.many_pages, 10_000), "pages.pdf", "has more than 1000 pages"),
        (makers.slow_pdf, "slow.pdf", "takes too long to read"),
        (partial(makers.pdf_bomb, 40), "bomb.pdf", "takes too long to read"),
        (partial(makers.pdf, "x", password="secret"), "locked.pdf", "is encrypted"),
        (makers.scanned_pdf, "scanned.pdf", "holds no text"),
        (makers.deep_xml, "deep.docx", "is damaged|takes too long"),
    ],
)
def test_a_trap_is_refused_and_the_gateway_does_not_feel_it(
    client: OpenAI, gateway: Gateway, make: Callable[[], bytes], name: str, words: str
) -> None:
    file = client.files.create(file=(name, make()), purpose="user_data")  # as bytes it is harmless
    before = memory_mib(gateway)
    forget_peak(gateway)
    began = time.monotonic()
    with pytest.raises(openai.BadRequestError, match=words):
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": file.id}}]}],
        )
    assert time.monotonic() - began < ANSWERED_WITHIN_S
    assert memory_mib(gateway, "VmHWM") - before <= GROWTH_MAX_MIB
    assert client.files.retrieve(file.id) == file
