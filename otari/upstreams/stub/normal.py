"""What differs between two runs although the same is meant: white space, dates, uuids, ids of calls, how long something
took; and how it is taken out of texts before they are compared.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

_SPACE = re.compile(r"\s+")
_DATES = re.compile(r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_UUIDS = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_IDS = re.compile(
    r"\b(?:call|toolu|fc|fco|msg|resp|rs|chatcmpl|srvtoolu|ses)[_-][A-Za-z0-9]{8,}\b"
    r"|(?<=\bChunk ID: )[0-9a-f]{6}\b"  # Codex's, of the output of a command
)
# As programs print them: people who mean an hour or five seconds write no fraction.
_DURATIONS = re.compile(r"(?<![\w.])\d+\.\d+ ?(?:ns|us|µs|ms|s|secs?|seconds?|min|minutes?)\b")


@lru_cache(64)
def squeezed(text: str) -> str:
    """`text` with one blank for every run of white space."""
    return _SPACE.sub(" ", text)


FORMS: Mapping[str, Callable[[str], str]] = {
    "space": lambda text: squeezed(text).strip(),
    "iso_dates": lambda text: _DATES.sub("<date>", text),
    "uuids": lambda text: _UUIDS.sub("<uuid>", text),
    "tool_ids": lambda text: _IDS.sub("<id>", text),
    "durations": lambda text: _DURATIONS.sub("<duration>", text),
}


def normalized(text: str, forms: Iterable[str] = FORMS) -> str:
    """`text` without what the `forms` name."""
    for form in forms:
        text = FORMS[form](text)
    return text
