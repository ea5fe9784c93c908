"""Pictures and documents in requests of every dialect: found where they are, changed without touching the rest."""

import base64
import copy

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.dialects import DIALECTS
from otari.dialects import attachments as parts
from otari.dialects.attachments import Attachment, Inline
from otari.domain.chat import Doc, Document, Image, Text
from tests.domain.strategies import json_objects

OURS = "file-" + "0" * 32
PDF = base64.b64encode(b"%PDF-1.7 words").decode()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nrest").decode()
PDF_URL, PNG_URL = f"data:application/pdf;base64,{PDF}", f"data:image/png;base64,{PNG}"

CHAT_FILE: Doc = {"type": "file", "file": {"file_id": OURS}, "cache_control": {"type": "ephemeral"}}
CHAT_PICTURE: Doc = {"type": "image_url", "image_url": {"file_id": OURS, "detail": "high"}}
BLOCK: Doc = {"type": "document", "source": {"type": "file", "file_id": OURS}, "citations": {"enabled": True}}
PICTURE_BLOCK: Doc = {
    "type": "image",
    "source": {"type": "file", "file_id": OURS},
    "cache_control": {"type": "ephemeral"},
}
INPUT_FILE: Doc = {"type": "input_file", "file_id": OURS}
INPUT_IMAGE: Doc = {"type": "input_image", "file_id": OURS, "detail": "low"}


@pytest.mark.parametrize(
    ("part", "meaning"),
    [
        (CHAT_FILE, Attachment("document", file_id=OURS)),
        (CHAT_PICTURE, Attachment("image", file_id=OURS)),
        (BLOCK, Attachment("document", file_id=OURS)),
        (PICTURE_BLOCK, Attachment("image", file_id=OURS)),
        (INPUT_FILE, Attachment("document", file_id=OURS)),
        (INPUT_IMAGE, Attachment("image", file_id=OURS)),
        (
            {"type": "file", "file": {"file_data": PDF_URL, "filename": "a.pdf"}},
            Attachment("document", data=PDF, media_type="application/pdf", name="a.pdf"),
        ),
        (
            {"type": "file", "file": {"file_data": PDF.rstrip("=")}},
            Attachment("document", data=PDF, media_type="application/pdf"),
        ),
        ({"type": "input_file", "file_url": "https://x/a.pdf"}, Attachment("document", url="https://x/a.pdf")),
        ({"type": "input_file", "file_data": PDF_URL}, Attachment("document", data=PDF, media_type="application/pdf")),
        ({"type": "image_url", "image_url": {"url": PNG_URL}}, Attachment("image", data=PNG, media_type="image/png")),
        ({"type": "image_url", "image_url": "https://x/a.png"}, Attachment("image", url="https://x/a.png")),
        ({"type": "input_image", "image_url": PNG_URL}, Attachment("image", data=PNG, media_type="image/png")),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/PNG", "data": PNG}},
            Attachment("image", data=PNG, media_type="image/png"),
        ),
        (
            {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            Attachment("document", text="words", media_type="text/plain", name="T"),
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}},
            Attachment("document", url="https://x/a.pdf"),
        ),
        ({"type": "document", "source": {"type": "content", "content": "words"}}, None),
        ({"type": "text", "text": OURS}, None),
        ({"type": "file"}, None),
        ({"type": "file", "file": OURS}, None),
        ({"type": "image", "source": "x"}, None),
        ({"type": "input_file"}, None),
        ({}, None),
    ],
)
def test_a_part_means_the_same_in_every_dialect(part: Doc, meaning: Attachment | None) -> None:
    assert parts.read(part) == meaning


REQUESTS: dict[str, Doc] = {
    "openai-chat": {
        "model": "m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "x"}]},
            {"role": "user", "content": [{"type": "text", "text": "x"}, CHAT_FILE, CHAT_PICTURE]},
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": [{"type": "file", "file": {"file_data": PDF_URL}}]},
        ],
    },
    "anthropic-messages": {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "x"}],
        "messages": [
            {"role": "user", "content": [BLOCK, PICTURE_BLOCK]},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"content": [BLOCK]}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": [copy.deepcopy(PICTURE_BLOCK)]},
                    {"type": "document", "source": {"type": "content", "content": [copy.deepcopy(PICTURE_BLOCK)]}},
                ],
            },
        ],
    },
    "openai-responses": {
        "model": "m",
        "input": [
            {"role": "user", "content": [INPUT_FILE, INPUT_IMAGE]},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"type": "input_file"}'},
            {"type": "function_call_output", "call_id": "1", "output": [copy.deepcopy(INPUT_FILE)]},
        ],
    },
}


@pytest.mark.parametrize(
    ("dialect", "found"),
    [
        ("openai-chat", ["file", "image_url", "file"]),
        ("anthropic-messages", ["document", "image", "image", "image"]),
        ("openai-responses", ["input_file", "input_image", "input_file"]),
    ],
)
def test_attachments_are_found_in_messages_and_results_and_not_in_arguments(dialect: str, found: list[str]) -> None:
    assert [part["type"] for part, _ in parts.parts_of(REQUESTS[dialect])] == found


@pytest.mark.parametrize("dialect", REQUESTS)
def test_only_the_named_parts_are_replaced(dialect: str) -> None:
    doc = copy.deepcopy(REQUESTS[dialect])
    before = orjson.dumps(doc)
    some = [part for part, _ in parts.parts_of(doc)]
    new = {"type": "text", "text": "another"}
    whole = parts.replaced(doc, {id(some[-1]): [new]})
    assert orjson.dumps(doc) == before  # the request itself stays
    assert list(whole) == list(doc)
    told = orjson.dumps(some[-1])
    head, _, tail = before.rpartition(told)
    assert orjson.dumps(whole) == head + orjson.dumps(new) + tail


def test_one_part_may_become_several_or_none() -> None:
    first, second, third = ({"type": "text", "text": word} for word in "abc")
    content = [first, CHAT_FILE, second]
    doc = request_with("openai-chat", {})
    doc["messages"][0]["content"] = content
    for told in ([], [third], [third, first]):
        changed = parts.replaced(doc, {id(CHAT_FILE): told})
        assert changed["messages"][0]["content"] == [first, *told, second]
    doc["messages"][0]["content"] = CHAT_FILE  # in no list
    assert parts.replaced(doc, {id(CHAT_FILE): [first, second]})["messages"][0]["content"] == [first, second]
    assert content == [first, CHAT_FILE, second]


@given(json_objects)
def test_any_request_comes_back_as_it_was(doc: Doc) -> None:
    doc = {"messages": doc, "input": [doc, {"content": [doc]}], "x": doc}
    list(parts.parts_of(doc))
    assert parts.replaced(doc, {}) == doc
    assert parts.mentions(doc, lambda each: each == OURS) is None


PLACES: list[tuple[str, Doc]] = [
    ("openai-chat", CHAT_FILE),
    ("openai-chat", CHAT_PICTURE),
    ("anthropic-messages", BLOCK),
    ("anthropic-messages", PICTURE_BLOCK),
    ("openai-responses", INPUT_FILE),
    ("openai-responses", INPUT_IMAGE),
]


def request_with(dialect: str, part: Doc) -> Doc:
    place = "input" if dialect == "openai-responses" else "messages"
    return {"model": "m", "max_tokens": 9, place: [{"role": "user", "content": [part]}]}


@pytest.mark.parametrize(("dialect", "part"), PLACES)
def test_data_stands_where_the_dialect_reads_it(dialect: str, part: Doc) -> None:
    meaning = parts.read(part)
    assert meaning is not None
    media_type, data = ("image/png", PNG) if meaning.kind == "image" else ("application/pdf", PDF)
    made = parts.with_data(part, media_type, data, "a.pdf")
    assert OURS.encode() not in orjson.dumps(made)
    assert made.get("cache_control") == part.get("cache_control")
    assert made.get("citations") == part.get("citations")
    doc = request_with(dialect, made)
    DIALECTS[dialect].read_envelope(doc, len(orjson.dumps(doc)))  # it is a valid request
    read = DIALECTS[dialect].read_request(doc).turns[-1].parts[0]
    if meaning.kind == "image":
        assert isinstance(read, Image)
        assert read.detail == (part.get("detail") or dict(part.get("image_url", {})).get("detail"))
    else:
        assert isinstance(read, Document)
        assert read.name == "a.pdf"
    assert (read.media_type, read.data) == (media_type, data)


@pytest.mark.parametrize(("dialect", "part"), [place for place in PLACES if "mage" not in place[1]["type"]])
@pytest.mark.parametrize("plain", [False, True])
def test_text_stands_where_the_dialect_reads_it(dialect: str, part: Doc, plain: bool) -> None:
    made = parts.with_text(part, "the words", "a.txt", plain=plain)
    if dialect == "openai-responses":
        made = parts.for_responses(made)
    doc = request_with(dialect, made)
    DIALECTS[dialect].read_envelope(doc, len(orjson.dumps(doc)))
    read = DIALECTS[dialect].read_request(doc).turns[-1].parts[0]
    if dialect == "anthropic-messages" and plain:
        assert isinstance(read, Document)
        assert (read.text, read.name) == ("the words", "a.txt")
    else:
        assert isinstance(read, Text)
        assert read.text == "[Attached file: a.txt]\nthe words\n[End of a.txt]"
    assert made.get("cache_control") == part.get("cache_control")


@pytest.mark.parametrize(("dialect", "part"), [place for place in PLACES if "mage" not in place[1]["type"]])
def test_pages_are_said_and_shown_where_the_dialect_reads_it(dialect: str, part: Doc) -> None:
    pages: list[str | Inline] = ["one", "[Page 2:]", Inline("image/png", PNG), "[Page 3:]", Inline("image/png", PNG)]
    made = parts.with_pages(part, pages, "a.pdf", scanned=False)
    if dialect == "openai-responses":
        made = [parts.for_responses(each) for each in made]
    doc = request_with(dialect, {})
    doc["input" if "input" in doc else "messages"][0]["content"] = made
    DIALECTS[dialect].read_envelope(doc, len(orjson.dumps(doc)))  # it is a valid request
    read = DIALECTS[dialect].read_request(doc).turns[-1].parts
    assert [each.text for each in read if isinstance(each, Text)] == [
        *("[Attached file: a.pdf]\none\n[Page 2:]", "[Page 3:]", "[End of a.pdf]"),
    ]
    assert [(each.media_type, each.data) for each in read if isinstance(each, Image)] == [("image/png", PNG)] * 2
    assert [type(each) for each in read] == [Text, Image, Text, Image, Text]
    assert made[-1].get("cache_control") == part.get("cache_control")  # it marks the end of what is remembered
    assert not any("cache_control" in each for each in made[:-1])
    (words,) = parts.with_pages(part, ["one", "two"], "a.pdf", scanned=True)
    assert words["text"] == "[Attached scanned file: a.pdf]\none\ntwo\n[End of a.pdf]"


def test_names_that_the_client_gave_stay() -> None:
    file = {"type": "file", "file": {"file_id": OURS, "filename": "mine.pdf"}}
    assert parts.with_data(file, "application/pdf", PDF, "stored.pdf")["file"]["filename"] == "mine.pdf"
    block = {**BLOCK, "title": "Mine"}
    assert parts.with_data(block, "application/pdf", PDF, "stored.pdf")["title"] == "Mine"
    assert parts.with_text(block, "x", "stored.pdf", plain=True)["title"] == "Mine"


@pytest.mark.parametrize(
    "doc",
    [
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["a", OURS]}}]},
        {"messages": [{"content": [{"type": "container_upload", "file_id": OURS}]}]},
        {"file_id": OURS},
    ],
)
def test_an_id_is_found_wherever_it_is_used(doc: Doc) -> None:
    assert parts.mentions(doc, lambda each: each == OURS) == OURS
    assert parts.mentions(doc, lambda each: each == "other") is None


@given(st.text(max_size=30))
def test_an_id_that_is_only_talked_about_is_none(text: str) -> None:
    assert parts.mentions({"messages": [{"content": text + OURS}]}, lambda each: OURS in each) is None
