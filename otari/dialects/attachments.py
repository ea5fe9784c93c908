"""Pictures and documents in the requests of all dialects, found and put in other forms without touching the rest.

Chat has parts `file` and `image_url`, Messages has blocks `document` and `image`, Responses has `input_file` and
`input_image`. No form means two things, so one reader knows them all. Parts stand in the content of messages and in the
outputs of tools; arguments of calls and schemas may look like parts, and are not looked into.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from otari.dialects import data_url
from otari.domain.chat import Doc

_PDF = "application/pdf"
_LISTS = ("messages", "input", "system")
_INSIDE = ("content", "output", "source")


class Attachment(NamedTuple):
    """A picture or document in a request; one of `file_id`, `data` (base64), `url` and `text` is set."""

    kind: Literal["image", "document"]
    file_id: str | None = None
    data: str | None = None
    media_type: str | None = None
    url: str | None = None
    text: str | None = None
    name: str | None = None


class Inline(NamedTuple):
    """A picture that is to be shown; `data` is base64."""

    media_type: str
    data: str


# ---- finding ----


def parts_of(doc: Doc) -> Iterator[tuple[Doc, Attachment]]:
    """Every part of a request that is an attachment, as it stands there and as what it means."""
    waiting: list[Any] = [doc.get(name) for name in _LISTS]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(reversed(node))
        elif isinstance(node, dict):
            found = read(node)
            if found is not None:
                yield node, found
            else:
                waiting.extend(node.get(name) for name in reversed(_INSIDE))


def read(part: Doc) -> Attachment | None:
    """What a part means; None when it is no attachment, or one that can not be understood."""
    match part:
        case {"type": "file", "file": dict(body)}:
            return _file(body)
        case {"type": "input_file"}:
            return _file(part)
        case {"type": "image_url", "image_url": {"file_id": str(file_id)}}:
            return Attachment("image", file_id=file_id)
        case {"type": "input_image" | "image_url", "image_url": str(url) | {"url": str(url)}}:
            return _image(url)
        case {"type": "input_image", "file_id": str(file_id)}:
            return Attachment("image", file_id=file_id)
        case {"type": "image", "source": dict(source)}:
            return _source("image", source, None)
        case {"type": "document", "source": dict(source)}:
            return _source("document", source, _text(part.get("title")))
    return None


def _file(body: Mapping[str, Any]) -> Attachment | None:
    name = _text(body.get("filename"))
    match body:
        case {"file_id": str(file_id)}:
            return Attachment("document", file_id=file_id, name=name)
        case {"file_data": str(data)}:
            plain = data_url.plain_base64(data)
            media_type, plain = data_url.read(data) or (data_url.sniff(plain), plain)
            return Attachment("document", data=plain, media_type=media_type, name=name)
        case {"file_url": str(url)}:
            return Attachment("document", url=url, name=name)
    return None


def _image(url: str) -> Attachment:
    inline = data_url.read(url)
    if inline is None:
        return Attachment("image", url=url)
    return Attachment("image", data=inline[1], media_type=inline[0])


def _source(kind: Literal["image", "document"], source: Mapping[str, Any], name: str | None) -> Attachment | None:
    match source:
        case {"type": "file", "file_id": str(file_id)}:
            return Attachment(kind, file_id=file_id, name=name)
        case {"type": "base64", "data": str(data)}:
            told = _text(source.get("media_type"))
            media_type = data_url.clean_media_type(told) if told else data_url.sniff(data)
            return Attachment(kind, data=data_url.plain_base64(data), media_type=media_type, name=name)
        case {"type": "url", "url": str(url)}:
            return Attachment(kind, url=url, name=name)
        case {"type": "text", "data": str(text)}:
            return Attachment(kind, text=text, media_type="text/plain", name=name)
    return None  # content blocks: what is in them is found by itself


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def mentions(doc: Doc, wanted: Callable[[str], bool]) -> str | None:
    """A `file_id`, or one of `file_ids`, that is `wanted`, anywhere in a request."""
    waiting: list[Any] = [doc]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            told = node.get("file_ids")
            for each in (node.get("file_id"), *(told if isinstance(told, list) else ())):
                if isinstance(each, str) and wanted(each):
                    return each
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return None


# ---- other forms of a part; everything else that it says stays ----


def with_data(part: Doc, media_type: str, data: str, name: str) -> Doc:
    """The part with base64 data in it, in the form of its dialect."""
    url = data_url.write(media_type, data)
    match part["type"]:
        case "file":
            rest = {key: value for key, value in part["file"].items() if key not in ("file_id", "file_data")}
            return {**part, "file": {**rest, "file_data": url, "filename": rest.get("filename") or name}}
        case "input_file":
            rest = {key: value for key, value in part.items() if key not in ("file_id", "file_url", "detail")}
            return {**rest, "file_data": url, "filename": rest.get("filename") or name}
        case "image_url":
            body = part["image_url"]
            rest = {key: value for key, value in body.items() if key != "file_id"} if isinstance(body, dict) else {}
            return {**part, "image_url": {**rest, "url": url}}
        case "input_image":
            return {**{key: value for key, value in part.items() if key != "file_id"}, "image_url": url}
        case _:
            titled = {"title": name} if part["type"] == "document" and not part.get("title") else {}
            return {**part, **titled, "source": {"type": "base64", "media_type": media_type, "data": data}}


def with_text(part: Doc, text: str, name: str | None, *, plain: bool) -> Doc:
    """A part that says the text of a document. `plain`: the file itself was text, which Messages has a block for."""
    if part["type"] == "document" and plain:
        titled = {"title": name} if name is not None and not part.get("title") else {}
        return {**part, **titled, "source": {"type": "text", "media_type": "text/plain", "data": text}}
    called = name or "document"
    words = f"[Attached file: {called}]\n{text}\n[End of {called}]"
    mark = {"cache_control": part["cache_control"]} if "cache_control" in part else {}
    return {"type": "text", "text": words, **mark}


def with_description(part: Doc, text: str) -> Doc:
    """A part that says what is to be seen in a picture."""
    mark = {"cache_control": part["cache_control"]} if "cache_control" in part else {}
    return {"type": "text", "text": f"[Attached image description]\n{text}", **mark}


def with_pages(part: Doc, pages: Sequence[str | Inline], name: str, *, scanned: bool) -> list[Doc]:
    """Parts that say and show what is in a document, in the form of its dialect. `scanned`: it holds no text."""
    parts: list[Doc] = []
    words = f"[Attached {'scanned ' if scanned else ''}file: {name}]"
    for page in pages:
        if isinstance(page, str):
            words += f"\n{page}"
        else:
            parts += [{"type": "text", "text": words.lstrip()}] if words else []
            parts.append(_shown(part["type"], page))
            words = ""
    mark = {"cache_control": part["cache_control"]} if "cache_control" in part else {}
    return [*parts, {"type": "text", "text": f"{words}\n[End of {name}]".lstrip(), **mark}]


def _shown(document: str, picture: Inline) -> Doc:
    """A part with a picture, as it is called where documents are called that."""
    if document == "document":
        source = {"type": "base64", "media_type": picture.media_type, "data": picture.data}
        return {"type": "image", "source": source}
    url = data_url.write(picture.media_type, picture.data)
    if document == "input_file":
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    return {"type": "image_url", "image_url": {"url": url}}


def for_responses(part: Doc) -> Doc:
    """A text part as Responses calls it."""
    return {**part, "type": "input_text"} if part["type"] == "text" else part


def replaced(doc: Doc, parts: Mapping[int, Sequence[Doc]]) -> Doc:
    """The request with other parts in the place of some, which are named by their `id()`. The rest is shared."""
    changed = {name: _replaced(doc[name], parts) for name in _LISTS if name in doc}
    return {key: changed.get(key, value) for key, value in doc.items()}


def _replaced(node: Any, parts: Mapping[int, Sequence[Doc]]) -> Any:
    if isinstance(node, list):
        whole: list[Any] = []
        for each in node:
            whole.extend(parts[id(each)] if id(each) in parts else [_replaced(each, parts)])
        return whole
    if id(node) in parts:  # a part without a list around it
        return list(parts[id(node)])
    if isinstance(node, dict):
        inside = {name: _replaced(node[name], parts) for name in _INSIDE if isinstance(node.get(name), dict | list)}
        return {key: inside.get(key, value) for key, value in node.items()} if inside else node
    return node
