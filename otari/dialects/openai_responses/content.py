"""Content parts of messages and of tool outputs ↔ canonical parts.

A part becomes the canonical part that means the same. What it holds beyond that (citations, cache breakpoints) follows
it as an `Opaque` whose `part_keys` belong to the part before it; a part that only this dialect knows becomes an
`Opaque` that holds it under `content_part`.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from otari.dialects import data_url
from otari.dialects.losses import Drop
from otari.dialects.openai_citations import read_annotations
from otari.domain.chat import Audio, Doc, Document, Image, Opaque, Part, Refusal, Text
from otari.domain.errors import invalid

NAME = "openai-responses"
PART_KEYS = "part_keys"
ITEM_KEYS = "item_keys"
CONTENT_PART = "content_part"
_KNOWN = {
    "input_text": ("text",),
    "output_text": ("text", "logprobs"),
    "text": ("text",),
    "refusal": ("refusal",),
    "input_image": ("image_url", "file_id", "detail"),
    "image_url": ("image_url",),
    "input_file": ("file_data", "file_url", "file_id", "filename"),
    "input_audio": ("input_audio",),
}
_ENDINGS = {"application/pdf": "pdf", "text/plain": "txt", "image/png": "png", "image/jpeg": "jpg"}


# ---- reading -------------------------------------------------------------------------------------------------------


def read_content(content: Any, drop: Drop | None = None) -> list[Part]:
    """The parts of a content: a string, a list of parts, or null. An empty text is none; `drop` as in `read_item`."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    if not isinstance(content, list):
        return []
    return [part for doc in content if isinstance(doc, dict) for part in _read_part(doc, drop)]


def _read_part(doc: Doc, drop: Drop | None) -> list[Part]:
    part = _read_known(doc)
    if part is None:
        return [Opaque(NAME, {"type": doc.get("type"), CONTENT_PART: doc})]
    if part in (Text(""), Refusal("")):
        return []
    rest = own_keys(doc, _KNOWN[doc["type"]])
    if isinstance(part, Text) and "annotations" in rest:
        citations, others = read_annotations(rest.pop("annotations"), drop)
        part = replace(part, citations=citations)
        rest |= {"annotations": others} if others else {}
    return [part, Opaque(NAME, {"type": " ".join(rest), PART_KEYS: rest})] if rest else [part]


def own_keys(doc: Doc, known: Iterable[str]) -> Doc:
    """What an object says beyond `type` and the known keys."""
    return {k: v for k, v in doc.items() if k != "type" and k not in known and v not in (None, [])}


def _read_known(doc: Doc) -> Part | None:
    detail = doc.get("detail")
    name = doc.get("filename")
    name = name if isinstance(name, str) else None
    match doc:
        case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
            return Text(text)
        case {"type": "refusal", "refusal": str(text)}:
            return Refusal(text)
        case {"type": "input_image" | "image_url", "image_url": str(url) | {"url": str(url)}}:
            return _read_image(url, detail if isinstance(detail, str) and detail != "auto" else None)
        case {"type": "input_image", "file_id": str(file_id)}:
            return Image(file_id=file_id, detail=detail if isinstance(detail, str) and detail != "auto" else None)
        case {"type": "input_file", "file_data": str(data)}:
            plain = data_url.plain_base64(data)
            media_type, plain = data_url.read(data) or (data_url.sniff(plain), plain)
            return Document(media_type=media_type, data=plain, name=name)
        case {"type": "input_file", "file_url": str(url)}:
            return Document(url=url, name=name)
        case {"type": "input_file", "file_id": str(file_id)}:
            return Document(file_id=file_id, name=name)
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
            return Audio(form, data)
    return None


def _read_image(url: str, detail: str | None) -> Image:
    inline = data_url.read(url)
    if inline is None:
        return Image(url=url, detail=detail)
    return Image(media_type=inline[0], data=inline[1], detail=detail)


# ---- writing -------------------------------------------------------------------------------------------------------


def write_input(parts: Iterable[Part], own: bool, drop: Drop) -> list[Doc]:
    """What a user, a system prompt or a tool says, as a list of content parts.

    `own` says that the request was read from this dialect. Raises OtariError(INVALID) for sound of another dialect:
    there is no place for it, and silence would do harm.
    """
    docs: list[Doc] = []
    for part in parts:
        cache = getattr(part, "cache", None)
        if cache is not None:
            drop("cache_control")
        if isinstance(part, Opaque):
            _write_opaque(part, docs, drop)
        elif (doc := _write_known(part, own)) is not None:
            docs.append(doc)
        else:
            drop(f"part {type(part).__name__.lower()}")
    return docs


def _write_opaque(part: Opaque, docs: list[Doc], drop: Drop) -> None:
    if part.dialect != NAME:
        drop(f"part {part.doc.get('type')}")
    elif ITEM_KEYS in part.doc:
        pass  # of the item that holds the content
    elif CONTENT_PART in part.doc:
        docs.append(part.doc[CONTENT_PART])
    elif PART_KEYS in part.doc and docs:
        docs[-1] |= part.doc[PART_KEYS]


def _write_known(part: Part, own: bool) -> Doc | None:
    match part:
        case Text(text) | Refusal(text):
            return {"type": "input_text", "text": text}
        case Image():
            return _write_image(part)
        case Document():
            return _write_document(part, own)
        case Audio(form, data) if own:
            return {"type": "input_audio", "input_audio": {"data": data, "format": form}}
        case Audio():
            raise invalid("This model takes no audio.", "messages")
    return None


def _write_image(image: Image) -> Doc:
    doc: Doc = {"type": "input_image", "detail": image.detail or "auto"}
    if image.data is not None:
        return doc | {"image_url": data_url.write(image.media_type, image.data)}
    return doc | ({"image_url": image.url} if image.url is not None else {"file_id": image.file_id})


def _write_document(document: Document, own: bool) -> Doc:
    """OpenAI wants a name beside data: a client of another dialect need not have given one."""
    if document.text is not None:
        title = f"{document.name}:\n" if document.name else ""
        return {"type": "input_text", "text": title + document.text}
    doc: Doc = {"type": "input_file"}
    name = document.name
    if document.data is not None:
        doc["file_data"] = data_url.write(document.media_type, document.data)
        if name is None and not own:
            name = "file." + _ENDINGS.get(document.media_type or data_url.sniff(document.data) or "", "pdf")
    elif document.url is not None:
        doc["file_url"] = document.url
        return doc
    else:
        doc["file_id"] = document.file_id
        return doc
    if name is not None:
        doc["filename"] = name
    return doc


def plain(content: list[Doc]) -> str | list[Doc]:
    """Content that is nothing but one text as a string; no content is an empty one."""
    if not content:
        return ""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return str(content[0]["text"])
    return content
