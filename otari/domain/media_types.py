"""What kind of thing a file is: the media type that its sender told, or the one that its name shows."""

import re

UNKNOWN = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,63}/[a-z0-9!#$&^_.+-]{1,63}")
_WORD = "application/vnd.openxmlformats-officedocument"
DOCX = f"{_WORD}.wordprocessingml.document"
XLSX = f"{_WORD}.spreadsheetml.sheet"
PPTX = f"{_WORD}.presentationml.presentation"

# Not the table of the machine: a file shall be the same thing wherever the gateway runs.
_BY_ENDING = {
    "csv": "text/csv",
    "docx": DOCX,
    "gif": "image/gif",
    "htm": "text/html",
    "html": "text/html",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "md": "text/markdown",
    "markdown": "text/markdown",
    "mp3": "audio/mpeg",
    "pdf": "application/pdf",
    "png": "image/png",
    "pptx": PPTX,
    "svg": "image/svg+xml",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "wav": "audio/wav",
    "webp": "image/webp",
    "xlsx": XLSX,
    "xml": "application/xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "zip": "application/zip",
}


def media_type_of(declared: str | None, filename: str) -> str:
    """The declared type without its parameters, in lower case; if it says nothing (or nonsense), that of the name."""
    told = (declared or "").partition(";")[0].strip().lower()
    if told != UNKNOWN and _MEDIA_TYPE.fullmatch(told):
        return told
    return _BY_ENDING.get(filename.rpartition(".")[2].lower(), UNKNOWN)
