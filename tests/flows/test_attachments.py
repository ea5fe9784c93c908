"""Files and documents in conversations: every client over every provider, and models that read them or do not."""

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from otari.domain.chat import Doc, Finish, Reply, Text, Usage
from otari.domain.documents import Picture
from otari.extraction.pdf import pdf_pieces
from tests.cells.cell import CELLS, CHAT, CLIENTS, GEMINI, MESSAGES, RESPONSES, STILL, WORDS, Cell
from tests.extraction import makers, scans
from tests.extraction.makers import SENTENCE
from tests.flows.files_client import Files
from tests.flows.foreign import MODEL, Foreign, whole
from tests.flows.hostile_requests import picture as inline_picture
from tests.flows.house import MASTER, Answer, House, chat, play
from tests.operations.recordings import wav
from tests.scripted import ScriptedProvider

PDF, WORD = makers.pdf(), makers.word()
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
REPLY = Reply("1", "given", (Text("Seen."),), Finish.END, Usage(input=7, output=2), created=1795000000)
EXTRACTED = "document extracted to text"
SOUND = base64.b64encode(wav(1)).decode()
UNKNOWN = f"file-{'0' * 32}"
each_cell = pytest.mark.parametrize("cell", CELLS, ids=str)
each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: WORDS[client])
TEXT_ONLY: dict[str, dict[str, bool]] = {
    f"{WORDS[server]}:{MODEL}": {} for server in (CHAT, MESSAGES, RESPONSES, GEMINI)
}


def document(client: str, file_id: str) -> Doc:
    """A part that refers to a document, in the words of a client's dialect."""
    match client:
        case "openai-chat":
            return {"type": "file", "file": {"file_id": file_id}}
        case "anthropic-messages":
            return {"type": "document", "source": {"type": "file", "file_id": file_id}}
    return {"type": "input_file", "file_id": file_id}


def picture(client: str, file_id: str) -> Doc:
    match client:
        case "openai-chat":
            return {"type": "image_url", "image_url": {"file_id": file_id}}
        case "anthropic-messages":
            return {"type": "image", "source": {"type": "file", "file_id": file_id}}
    return {"type": "input_image", "file_id": file_id}


def inline(client: str, data: bytes, media_type: str, name: str) -> Doc:
    text = base64.b64encode(data).decode()
    match client:
        case "openai-chat":
            return {"type": "file", "file": {"file_data": f"data:{media_type};base64,{text}", "filename": name}}
        case "anthropic-messages":
            return {"type": "document", "source": {"type": "base64", "media_type": media_type, "data": text}}
    return {"type": "input_file", "file_data": f"data:{media_type};base64,{text}", "filename": name}


def asked(client: str, *attached: Doc, model: str = "", **keys: Any) -> Doc:
    """A request of a client with these parts behind a question."""
    words = {"type": "input_text" if client == RESPONSES else "text", "text": "What is in it?"}
    place = "input" if client == RESPONSES else "messages"
    limit = {"max_tokens": 50} if client == MESSAGES else {}
    return {"model": model, place: [{"role": "user", "content": [words, *attached]}], **limit, **keys}


async def sent(house: House, data: bytes, name: str, **more: Any) -> str:
    return str((await Files(house).send(data, name, "application/octet-stream", **more)).json["id"])


def told(provider: ScriptedProvider) -> tuple[bytes, Doc]:
    """What the provider was asked last: as it came, and parsed."""
    arrival = provider.requests[-1]
    return arrival.body, arrival.doc


@each_cell
@pytest.mark.parametrize("stream", [False, True])
def test_a_file_of_ours_goes_as_data_to_a_model_that_reads_it(tmp_path: Path, cell: Cell, stream: bool) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = whole(cell.server, REPLY)
            ids = [await sent(house, PDF, "a.pdf"), await sent(house, PNG, "a.png")]
            request = asked(cell.client, document(cell.client, ids[0]), picture(cell.client, ids[1]), stream=stream)
            answer = await house.ask(cell, request)
            assert answer.status == 200, answer.body
            body, _ = told(provider)
            assert base64.b64encode(PDF) in body
            assert base64.b64encode(PNG) in body
            assert not [each for each in ids if each.encode() in body]
            assert EXTRACTED not in answer.headers.get("X-Otari-Dropped", "")
            assert EXTRACTED not in house.rows()[0]["dropped"]
            assert house.balanced()

    play(scene())


@each_cell
@pytest.mark.parametrize(("data", "name"), [(PDF, "a.pdf"), (WORD, "a.docx"), (SENTENCE.encode(), "a.txt")])
def test_a_file_of_ours_goes_as_text_to_a_model_that_takes_only_text(
    tmp_path: Path, cell: Cell, data: bytes, name: str
) -> None:
    async def scene() -> None:
        async with (
            ScriptedProvider() as provider,
            Foreign(tmp_path, provider, model_capabilities=TEXT_ONLY) as house,
        ):
            provider.given[MODEL] = whole(cell.server, REPLY)
            answer = await house.ask(cell, asked(cell.client, document(cell.client, await sent(house, data, name))))
            assert answer.status == 200, answer.body
            body, doc = told(provider)
            assert f"[Attached file: {name}]" in str(doc)
            assert SENTENCE.encode() in body
            assert b"file-" not in body
            extracted = "" if name == "a.txt" else EXTRACTED
            assert answer.headers.get("X-Otari-Dropped", "") == extracted
            assert house.rows()[0]["dropped"] == extracted

    play(scene())


@each_cell
def test_an_office_file_of_ours_is_always_given_as_text(tmp_path: Path, cell: Cell) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = whole(cell.server, REPLY)
            file_id = await sent(house, WORD, "a.docx")
            answer = await house.ask(cell, asked(cell.client, document(cell.client, file_id)))
            assert answer.headers["X-Otari-Dropped"] == EXTRACTED
            assert SENTENCE.encode() in told(provider)[0]

    play(scene())


@each_cell
def test_an_office_file_in_a_request_stays_in_its_dialect_and_is_text_in_another(tmp_path: Path, cell: Cell) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = whole(cell.server, REPLY)
            media_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
            part = inline(cell.client, WORD, media_type, "a.docx")
            answer = await house.ask(cell, asked(cell.client, part))
            assert answer.status == 200, answer.body
            body, doc = told(provider)
            if cell.client == cell.server:
                place = "input" if cell.client == RESPONSES else "messages"
                assert doc[place][0]["content"][1] == part
                assert "X-Otari-Dropped" not in answer.headers
            else:
                assert SENTENCE.encode() in body
                assert EXTRACTED in answer.headers["X-Otari-Dropped"]

    play(scene())


@each_client
def test_a_request_without_files_of_ours_passes_as_it_came(tmp_path: Path, client: str) -> None:
    """Documents, pictures and sound as data, and files that only the provider knows: not a byte of them changes."""
    cell = Cell(client, client)

    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = whole(cell.server, REPLY)
            parts = [
                inline(client, PDF, "application/pdf", "a.pdf"),
                document(client, "file-abc123"),
                inline_picture(client, base64.b64encode(PNG).decode()),
                *([{"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}}] if client == CHAT else []),
                {"type": "text" if client != RESPONSES else "input_text", "text": f"is {UNKNOWN} a file?"},
            ]
            request = asked(client, *parts, vendor_key={"a": 1})
            answer = await house.ask(cell, request)
            assert answer.status == 200, answer.body
            _, doc = told(provider)
            assert {**doc, "model": ""} == request
            assert list(doc) == list(request)

    play(scene())


@each_cell
def test_documents_in_a_request_are_text_for_a_model_that_takes_only_text(tmp_path: Path, cell: Cell) -> None:
    async def scene() -> None:
        async with (
            ScriptedProvider() as provider,
            Foreign(tmp_path, provider, model_capabilities=TEXT_ONLY) as house,
        ):
            provider.given[MODEL] = whole(cell.server, REPLY)
            answer = await house.ask(cell, asked(cell.client, inline(cell.client, PDF, "application/pdf", "a.pdf")))
            assert answer.status == 200, answer.body
            body, _ = told(provider)
            assert SENTENCE.encode() in body
            assert base64.b64encode(PDF) not in body
            assert answer.headers["X-Otari-Dropped"] == EXTRACTED

    play(scene())


@each_client
@pytest.mark.parametrize("kept", [True, False])
def test_a_picture_for_a_model_that_sees_none_is_refused(tmp_path: Path, client: str, kept: bool) -> None:
    async def scene() -> None:
        async with (
            ScriptedProvider() as provider,
            Foreign(tmp_path, provider, model_capabilities=TEXT_ONLY) as house,
        ):
            part = picture(client, await sent(house, PNG, "a.png"))
            if not kept:
                url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
                source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
                forms: dict[str, Doc] = {
                    CHAT: {"type": "image_url", "image_url": {"url": url}},
                    MESSAGES: {"type": "image", "source": source},
                    RESPONSES: {"type": "input_image", "image_url": url},
                }
                part = forms[client]
            answer = await house.ask(Cell(client, client), asked(client, part))
            assert answer.status == 400
            model = f"{WORDS[client]}:{MODEL}"
            assert answer.json["detail"] == (
                f"Model '{model}' takes no pictures: leave them out, or name a model that does"
            )
            assert provider.requests == []
            assert house.rows() == []

    play(scene())


@each_client
def test_a_file_of_somebody_else_is_no_file(tmp_path: Path, client: str) -> None:
    """F06: what is not the caller's looks like what is not there, and nobody is asked."""

    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            bob = await Files(house).another_user()
            theirs = await sent(house, PDF, "a.pdf", key=bob)
            cell = Cell(client, client)
            foreign = await house.ask(cell, asked(client, document(client, theirs)))
            missing = await house.ask(cell, asked(client, document(client, UNKNOWN)))
            assert foreign.status == missing.status == 404
            assert foreign.body.replace(theirs.encode(), b"") == missing.body.replace(UNKNOWN.encode(), b"")
            assert theirs in foreign.json["detail"]
            assert provider.requests == []
            assert house.rows() == []

    play(scene())


@each_client
def test_the_master_key_may_use_the_files_of_the_user_whom_it_names(tmp_path: Path, client: str) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = whole(client, REPLY)
            theirs = await sent(house, PDF, "a.pdf", key=await Files(house).another_user())
            cell, headers = Cell(client, client), {"Authorization": f"Bearer {MASTER}"}
            part = document(client, theirs)
            named = {"metadata": {"user_id": "bob"}} if client == MESSAGES else {"user": "bob"}
            assert (await house.ask(cell, asked(client, part, **named), **headers)).status == 200
            assert (await house.ask(cell, asked(client, part), **headers)).status == 400
            assert base64.b64encode(PDF) in told(provider)[0]
            assert len(provider.requests) == 1

    play(scene())


def test_a_file_stays_a_file_until_it_is_gone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            file_id = await sent(house, SENTENCE.encode(), "a.txt")
            request = asked(CHAT, document(CHAT, file_id), model="stub:echo")
            assert SENTENCE in (await house.post(request)).json["choices"][0]["message"]["content"]
            await Files(house).ask("DELETE", f"/{file_id}")
            assert (await house.post(request)).status == 404
        async with House(tmp_path, files_enabled=False) as house:
            without = await house.post(request, headers={"Authorization": f"Bearer {MASTER}"})
            assert without.status == 400  # nobody is named
            refused = await house.post({**request, "user": "default"}, headers={"Authorization": f"Bearer {MASTER}"})
            assert (refused.status, refused.error["code"]) == (404, "file_not_found")

    play(scene())


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (partial(makers.pdf, "x", password="s"), "a.pdf", "The file 'a.pdf' is encrypted."),
        (makers.drawn_pdf, "a.pdf", "The file 'a.pdf' holds no text."),
        (makers.many_pages, "a.pdf", "The file 'a.pdf' has more than 1000 pages."),
        (partial(makers.bomb, 128), "a.docx", "The file 'a.docx' unpacks to more than can be read."),
        (makers.entity_bomb, "a.docx", "The file 'a.docx' is damaged: it declares a document type."),
        (lambda: b"\x7fELF\0\0", "a.pdf", "The file 'a.pdf' is of a kind that can not be read as text."),
        (lambda: PNG, "a.pdf", "The file 'a.pdf' is a picture: send it as one."),
        (
            lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "a.doc",
            "The file 'a.doc' is an encrypted or very old Office file",
        ),
    ],
)
def test_a_document_that_can_not_be_read_is_refused_by_name(
    tmp_path: Path, make: Callable[[], bytes], name: str, words: str
) -> None:
    async def scene() -> None:
        async with House(tmp_path, model_capabilities={"stub:echo": {}}) as house:
            file_id = await sent(house, make(), name)
            answer = await house.post(asked(CHAT, document(CHAT, file_id), model="stub:echo"))
            assert answer.status == 400
            assert answer.json["detail"].startswith(words)
            assert (answer.error["param"], answer.error["code"]) == ("messages", "unreadable_document")
            assert house.rows() == []
            assert (await house.post(chat())).status == 200

    play(scene())


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0x###", "filename": "a.pdf"}},
            "base64",
        ),
        ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, "fetches no addresses"),
        ({"type": "file", "file": {"file_data": "", "filename": "a.pdf"}}, ""),
    ],
)
def test_what_stands_in_a_request_is_refused_by_what_is_wrong_with_it(tmp_path: Path, part: Doc, words: str) -> None:
    async def scene() -> None:
        async with House(tmp_path, model_capabilities={"stub:text": {}}) as house:
            answer = await house.post(asked(CHAT, part, model="stub:text"))
            if words:
                assert answer.status == 400
                assert words in answer.json["detail"]
            else:
                assert answer.status == 200  # an empty text
            assert (await house.post(asked(CHAT, part, model="stub:echo"))).status == 200  # its provider will say

    play(scene())


def test_a_file_that_is_no_picture_is_none(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            for data, name in ((b'<svg xmlns="x"/>', "a.svg"), (b"<html>", "a.png"), (PDF, "a.pdf")):
                file_id = await sent(house, data, name)
                answer = await house.post(asked(CHAT, picture(CHAT, file_id), model="stub:echo"))
                assert answer.status == 400
                assert answer.json["detail"].startswith(f"The file '{name}' is not a picture that models take")

    play(scene())


@pytest.mark.parametrize(
    ("path", "request_doc"),
    [
        (
            "/v1/responses",
            {
                "input": "x",
                "tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": [UNKNOWN]}}],
            },
        ),
        (
            "/v1/messages",
            {
                "max_tokens": 9,
                "messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": UNKNOWN}]}],
            },
        ),
    ],
)
def test_a_file_of_ours_is_never_named_to_a_provider(tmp_path: Path, path: str, request_doc: Doc) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            answer = await house.post({"model": "stub:echo", **request_doc}, path=path)
            assert answer.status == 400
            assert "is one of this gateway's" in answer.json["detail"]

    play(scene())


def test_a_request_with_its_files_has_a_limit(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, json_max_bytes=200_000) as house:
            for sizes, status in (([140_000], 200), ([160_000], 413), ([100_000, 60_000], 413)):
                parts = [document(CHAT, await sent(house, b"x" * size, "a.txt")) for size in sizes]
                answer = await house.post(asked(CHAT, *parts, model="stub:echo"))
                assert answer.status == status
                if status == 413:
                    assert answer.json["detail"] == "With its files the request would be larger than 200000 bytes"

    play(scene())


# ---- money, attempts, strictness ----


def test_what_is_held_covers_the_text_of_a_document(tmp_path: Path) -> None:
    """A hold bounds the prompt by its bytes, and the text of a file belongs to the prompt."""
    prices = {"stub:echo": {"input_price_per_million": 1, "output_price_per_million": 0}}

    async def scene() -> None:
        async with House(tmp_path, pricing=prices, model_capabilities={"stub:echo": {}}) as house:
            plain = await house.post(asked(CHAT, model="stub:echo"))
            file_id = await sent(house, makers.word("word " * 20_000), "a.docx")
            answer = await house.post(asked(CHAT, document(CHAT, file_id), model="stub:echo"))
            assert (plain.status, answer.status) == (200, 200)
            small, large = house.rows()
            assert large["hold_nano"] - small["hold_nano"] >= 100_000 * 1_000
            assert large["cost_nano"] > 15_000 * 1_000
            assert large["cost_nano"] <= large["hold_nano"]
            assert not large["over_hold"]
            assert house.balanced()

    play(scene())


def test_the_next_attempt_may_read_what_the_first_can_not(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            config = {
                "aliases": {"any": [f"chat:{MODEL}", f"messages:{MODEL}"]},
                "model_capabilities": {f"chat:{MODEL}": {}},
            }
            async with Foreign(tmp_path, provider, **config) as house:
                provider.given[MODEL] = whole(MESSAGES, REPLY)
                request = asked(CHAT, picture(CHAT, await sent(house, PNG, "a.png")), model="any")
                answer = await house.post(request)
                assert answer.status == 200, answer.body
                assert [arrival.path for arrival in provider.requests] == ["/v1/messages"]
                assert base64.b64encode(PNG) in told(provider)[0]
                rows = house.rows()
                assert sorted(row["status"] for row in rows) == ["absorbed", "success"]
                assert house.balanced()

    play(scene())


def test_a_model_that_reads_pdf_and_one_that_does_not_are_each_told_their_own(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            config = {
                "aliases": {"any": ["chat:status-503", f"messages:{MODEL}"]},
                "model_capabilities": {"chat:status-503": {}},
            }
            async with Foreign(tmp_path, provider, **config) as house:
                provider.given[MODEL] = whole(MESSAGES, REPLY)
                request = asked(CHAT, document(CHAT, await sent(house, PDF, "a.pdf")), model="any")
                answer = await house.post(request)
                assert answer.status == 200, answer.body
                first, second = (arrival.body for arrival in provider.requests)
                assert SENTENCE.encode() in first
                assert base64.b64encode(PDF) in second
                assert "X-Otari-Dropped" not in answer.headers

    play(scene())


@each_cell
def test_strict_translation_gives_no_document_as_text(tmp_path: Path, cell: Cell) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider, model_capabilities=TEXT_ONLY) as house:
            provider.given[MODEL] = whole(cell.server, REPLY)
            key = await house.post(
                {"user_id": "bob", "translation": "strict"},
                path="/v1/keys",
                headers={"Authorization": f"Bearer {MASTER}"},
            )
            headers = {"Authorization": f"Bearer {key.json['key']}"}
            pdf = await sent(house, PDF, "a.pdf", key=key.json["key"])
            words = await sent(house, SENTENCE.encode(), "a.txt", key=key.json["key"])
            refused = await house.ask(cell, asked(cell.client, document(cell.client, pdf)), **headers)
            assert refused.status == 400
            assert "translation is strict" in refused.json["detail"]
            assert provider.requests == []
            assert (await house.ask(cell, asked(cell.client, document(cell.client, words)), **headers)).status == 200

    play(scene())


def test_documents_are_left_alone_when_that_is_wanted(tmp_path: Path) -> None:
    async def scene() -> None:
        async with ScriptedProvider() as provider:
            config = {"model_capabilities": TEXT_ONLY, "file_understanding_enabled": False}
            async with Foreign(tmp_path, provider, **config) as house:
                provider.given[MODEL] = whole(CHAT, REPLY)
                cell = Cell(CHAT, CHAT)
                part = inline(CHAT, PDF, "application/pdf", "a.pdf")
                assert (await house.ask(cell, asked(CHAT, part))).status == 200
                assert told(provider)[1]["messages"][0]["content"][1] == part
                word = await house.ask(cell, asked(CHAT, document(CHAT, await sent(house, WORD, "a.docx"))))
                assert word.status == 200
                assert base64.b64encode(WORD) in told(provider)[0]

    play(scene())


def test_a_repeat_with_the_same_key_is_the_same_request_whatever_became_of_the_file(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            file_id = await sent(house, SENTENCE.encode(), "a.txt")
            request = asked(CHAT, document(CHAT, file_id), model="stub:echo")
            first = await house.post(request, headers={"Idempotency-Key": "once"})
            await Files(house).ask("DELETE", f"/{file_id}")
            again: Answer = await house.post(request, headers={"Idempotency-Key": "once"})
            assert (again.status, again.body) == (first.status, first.body) == (200, first.body)
            assert again.headers["Idempotent-Replayed"] == "true"

    play(scene())


def test_an_answer_of_every_dialect_is_read_back(tmp_path: Path) -> None:
    """The stub is told a document's text by each surface, and says it again."""

    async def scene() -> None:
        async with House(tmp_path, model_capabilities={"stub:echo": {}}) as house:
            for data, name in (
                (PDF, "a.pdf"),
                (WORD, "a.docx"),
                (makers.workbook(), "a.xlsx"),
                (makers.slides(), "a.pptx"),
                (f"<!doctype html><p>{SENTENCE}</p>".encode(), "a.html"),
                (f"# Harbour\n\n* {SENTENCE}\n".encode(), "a.md"),
                (f"keeper;ships\r\n{SENTENCE};17\r\n".encode("utf-16"), "a.csv"),
                (SENTENCE.encode(), "a.txt"),
            ):
                file_id = await sent(house, data, name)
                for client, path in ((CHAT, "chat/completions"), (MESSAGES, "messages"), (RESPONSES, "responses")):
                    answer = await house.post(
                        asked(client, document(client, file_id), model="stub:echo"), path=f"/v1/{path}"
                    )
                    reply = STILL[client].read_reply(answer.json)
                    assert SENTENCE in "".join(part.text for part in reply.parts if isinstance(part, Text))
                    assert orjson.loads(answer.body)

    play(scene())


# ---- pictures in words ----

DESCRIBED = "image described in text"
SEEN = "A lighthouse above a pier with seventeen ships."


def describing(script: Path, **more: object) -> dict[str, Any]:
    """A stub whose model `seer` sees a lighthouse in every picture, and whose other models see nothing."""
    rules = [
        {
            "id": "seer",
            "when": {"model": "seer", "has": "image"},
            "reply": {"say": SEEN, "usage": {"input": 90, "output": 9}},
        },
        {"id": "told", "when": {"user": "/lighthouse/"}, "reply": "I was told of a lighthouse."},
    ]
    script.write_bytes(orjson.dumps({"stub": 1, "rules": rules}))
    price = {"input_price_per_million": 1, "output_price_per_million": 2}
    return {
        "providers": {"stub": {"type": "stub", "script": str(script)}},
        "model_capabilities": {"stub:blind": {}},
        "vision_describe_model": "stub:seer",
        "pricing": {"stub:seer": price, "stub:blind": price},
        **more,
    }


@each_client
@pytest.mark.parametrize("stream", [False, True])
def test_a_picture_is_described_for_a_model_that_sees_none(tmp_path: Path, client: str, stream: bool) -> None:
    path = {CHAT: "/v1/chat/completions", MESSAGES: "/v1/messages", RESPONSES: "/v1/responses"}[client]

    async def scene() -> None:
        async with House(tmp_path, **describing(tmp_path / "script.yaml")) as house:
            part = picture(client, await sent(house, PNG, "a.png"))
            for turn in range(2):
                answer = await house.post(asked(client, part, model="stub:blind", stream=stream), path=path)
                assert answer.status == 200, answer.body
                assert answer.headers["X-Otari-Dropped"] == DESCRIBED
                if not stream:
                    assert b"I was told of a lighthouse." in answer.body
                assert len(house.rows()) == 2 + turn  # the second time it is known what is to be seen
            seer, blind, _ = house.rows()
            assert (seer["model"], blind["model"]) == ("seer", "blind")
            assert seer["endpoint"] == blind["endpoint"] == path
            assert seer["user_id"] == blind["user_id"]
            assert seer["key_id"] == blind["key_id"]
            assert seer["cost_nano"] == 90 * 1_000 + 9 * 2_000
            assert seer["id"].startswith(f"{blind['id']}-")
            assert blind["dropped"] == DESCRIBED
            assert house.balanced()

    play(scene())


def test_who_can_not_pay_for_a_description_is_told_so(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, **describing(tmp_path / "script.yaml")) as house:
            headers = {"Authorization": f"Bearer {MASTER}"}
            budget = await house.post({"max_budget": 0.000001}, path="/v1/budgets", headers=headers)
            await house.post(
                {"user_id": "bob", "budget_id": budget.json["budget_id"]}, path="/v1/users", headers=headers
            )
            request = asked(CHAT, picture(CHAT, await sent(house, PNG, "a.png", key=MASTER, query={"user": "bob"})))
            answer = await house.post({**request, "model": "stub:blind", "user": "bob"}, headers=headers)
            assert answer.status == 403
            assert answer.json["detail"] == "A picture could not be described: User 'bob' has exceeded budget limit"
            assert answer.error["code"] == "insufficient_quota"
            assert house.rows() == []

    play(scene())


def test_pictures_are_refused_when_that_is_wanted(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, **describing(tmp_path / "script.yaml", vision_strategy="off")) as house:
            answer = await house.post(asked(CHAT, picture(CHAT, await sent(house, PNG, "a.png")), model="stub:blind"))
            assert (answer.status, answer.error["code"]) == (400, "image_not_supported")

    play(scene())


# ---- scans ----

SCAN = scans.scanned(scans.page("Seventeen ships."), scans.page("And a pier."))
FAXED = scans.page("Seventeen ships.", "1")


@each_cell
def test_a_scan_is_shown_to_a_model_that_sees_pictures_and_reads_no_documents(tmp_path: Path, cell: Cell) -> None:
    sees = {model: {"supports_image": True} for model in TEXT_ONLY}

    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider, model_capabilities=sees) as house:
            provider.given[MODEL] = whole(cell.server, REPLY)
            kept = await sent(house, scans.mixed(f"{SENTENCE} " * 3, FAXED), "a.pdf")
            request = asked(
                cell.client, document(cell.client, kept), inline(cell.client, SCAN, "application/pdf", "b.pdf")
            )
            answer = await house.ask(cell, request)
            assert answer.status == 200, answer.body
            body, _ = told(provider)
            for picture in (piece for piece in pdf_pieces(SCAN) if isinstance(piece, Picture)):
                assert base64.b64encode(picture.data) in body  # the scanner's own files
            (png,) = (piece for piece in pdf_pieces(scans.mixed(FAXED)) if isinstance(piece, Picture))
            assert base64.b64encode(png.data) in body
            assert b"-- Page 2 --" in body
            assert b"application/pdf" not in body
            names = ["document extracted to text", "document pages given as images"]
            assert answer.headers["X-Otari-Dropped"] == ", ".join(names)
            assert house.rows()[0]["dropped"].splitlines() == names
            assert house.balanced()

    play(scene())


@each_client
def test_a_scan_is_described_page_by_page_for_a_model_that_sees_none(tmp_path: Path, client: str) -> None:
    path = {CHAT: "/v1/chat/completions", MESSAGES: "/v1/messages", RESPONSES: "/v1/responses"}[client]

    async def scene() -> None:
        async with House(tmp_path, **describing(tmp_path / "script.yaml")) as house:
            part = document(client, await sent(house, SCAN, "scan.pdf"))
            for turn in range(2):
                answer = await house.post(asked(client, part, model="stub:blind"), path=path)
                assert answer.status == 200, answer.body
                assert answer.headers["X-Otari-Dropped"] == "document pages described in text"
                assert b"I was told of a lighthouse." in answer.body
                assert len(house.rows()) == 3 + turn  # a row for each page, and the second time they are known
            first, second, blind, _ = house.rows()
            assert [row["model"] for row in (first, second, blind)] == ["seer", "seer", "blind"]
            assert {row["user_id"] for row in house.rows()} == {blind["user_id"]}
            assert first["id"] != second["id"]
            for row in (first, second):
                assert row["cost_nano"] == 90 * 1_000 + 9 * 2_000
                assert row["id"].startswith(f"{blind['id']}-")
            assert blind["dropped"] == "document pages described in text"
            assert house.balanced()

    play(scene())


def test_a_scan_is_refused_where_nobody_sees(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, **describing(tmp_path / "script.yaml", vision_strategy="off")) as house:
            part = document(CHAT, await sent(house, SCAN, "scan.pdf"))
            answer = await house.post(asked(CHAT, part, model="stub:blind"))
            assert (answer.status, answer.error["code"]) == (400, "image_not_supported")
            assert answer.json["detail"] == (
                "The file 'scan.pdf' consists of pictures, and page 1 can not be given: model 'stub:blind' takes no"
                " pictures"
            )
            assert house.rows() == []
            mixed = document(CHAT, await sent(house, scans.mixed(f"{SENTENCE} " * 3, FAXED), "mixed.pdf"))
            answer = await house.post(asked(CHAT, mixed, model="stub:blind"))
            assert answer.status == 200
            assert answer.headers["X-Otari-Dropped"] == "document extracted to text, document pages left out"

    play(scene())


def test_a_description_that_is_cut_off_says_so(tmp_path: Path) -> None:
    async def scene() -> None:
        script = {
            "stub": 1,
            "rules": [
                {"id": "seer", "when": {"model": "seer"}, "reply": {"say": "Half a", "finish": "length"}},
                {"id": "told", "when": {"user": "/ends here/"}, "reply": "I was told half of it."},
            ],
        }
        config = describing(tmp_path / "script.yaml")
        (tmp_path / "script.yaml").write_bytes(orjson.dumps(script))
        async with House(tmp_path, **config) as house:
            part = document(CHAT, await sent(house, SCAN, "scan.pdf"))
            answer = await house.post(asked(CHAT, part, model="stub:blind"))
            assert b"I was told half of it." in answer.body

    play(scene())
