"""A stored file as clients see it: in OpenAI's words, or in Anthropic's for those who send `anthropic-version`.

See https://platform.openai.com/docs/api-reference/files and https://docs.claude.com/en/api/files-list.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from otari.domain.files import StoredFile
from otari.store.records import iso, moment_text

NAME_MAX_CHARACTERS = 255
PAGE = "page_"  # what stands before an id that a list of Anthropic's goes on behind


def openai_file(file: StoredFile) -> dict[str, Any]:
    """A `File`."""
    return {
        "id": file.file_id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": file.created_at_ms // 1000,
        "expires_at": None if file.expires_at_ms is None else file.expires_at_ms // 1000,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",  # nothing is done with it that could take time
    }


def openai_list(files: Sequence[StoredFile], has_more: bool) -> dict[str, Any]:
    """A `FileList`."""
    return {"object": "list", "data": [openai_file(file) for file in files], **_ends(files), "has_more": has_more}


def anthropic_file(file: StoredFile) -> dict[str, Any]:
    """A `FileInfo`."""
    return {
        "id": file.file_id,
        "type": "file",
        "filename": file.filename,
        "mime_type": file.media_type,
        "size_bytes": file.size_bytes,
        "created_at": iso(file.created_at_ms),
        "expires_at": moment_text(file.expires_at_ms),
        "downloadable": True,
    }


def anthropic_list(files: Sequence[StoredFile], has_more: bool) -> dict[str, Any]:
    """A `FileInfoPage`: older clients go on with the last id, newer ones with `next_page`."""
    ends = _ends(files)
    following = f"{PAGE}{ends['last_id']}" if has_more else None
    return {"data": [anthropic_file(file) for file in files], **ends, "has_more": has_more, "next_page": following}


def _ends(files: Sequence[StoredFile]) -> dict[str, str | None]:
    return {"first_id": files[0].file_id if files else None, "last_id": files[-1].file_id if files else None}


def plain_name(told: str) -> str:
    """The name of a file without folders and without what can not be shown; "" when nothing is left of it.

    A name is for people: it is never part of a path. Of a long one the beginning and the ending are kept.
    """
    name = told.replace("\\", "/").rpartition("/")[2]
    name = "".join(char for char in name if char.isprintable()).strip(" .")
    if len(name) <= NAME_MAX_CHARACTERS:
        return name
    stem, dot, ending = name.rpartition(".")
    tail = (dot + ending)[-20:] if stem else ""
    return (name[: NAME_MAX_CHARACTERS - len(tail)] + tail).strip(" .")


def disposition(filename: str) -> str:
    """The Content-Disposition of a download: the name in ASCII for old clients, and as it is (RFC 6266)."""
    ascii_name = "".join(char if char.isascii() and char not in '"\\%' else "_" for char in filename)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(filename, safe='')}"


def content_type(media_type: str) -> str:
    """The Content-Type of a download; texts are taken for UTF-8."""
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type
