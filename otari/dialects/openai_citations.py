"""Where a text is taken from: `annotations`, as Chat Completions and Responses spell them ↔ canonical citations.

Only web pages have a canonical form. Places in files that a provider keeps mean nothing elsewhere.
"""

from dataclasses import replace
from typing import Any

from otari.dialects.losses import Drop, collector, name_unread, says_something
from otari.domain.chat import Citation, Doc

_KNOWN = ("type", "url", "title", "start_index", "end_index")
LOST = "part annotations"


def read_annotations(told: Any, drop: Drop | None = None) -> tuple[tuple[Citation, ...], list[Any]]:
    """The web pages in a list of annotations, and the annotations that have no canonical form.

    What else is said of a page goes to `drop`; without one, such an annotation has no canonical form.
    """
    citations: list[Citation] = []
    others: list[Any] = []
    for annotation in told if isinstance(told, list) else ():
        page = _page(annotation)
        if page is None or (drop is None and _says_more(page)):
            others.append(annotation)
        else:
            name_unread(page, _KNOWN, drop or collector(None), "annotations.")
            citations.append(_citation(page))
    return tuple(citations), others


def _page(annotation: Any) -> Doc | None:
    """What is said of a web page; None for other annotations."""
    match annotation:
        case {"type": "url_citation", "url_citation": {"url": str()}}:
            inner: Doc = annotation["url_citation"]
            return inner
        case {"type": "url_citation", "url": str()}:
            flat: Doc = annotation
            return flat
    return None


def _says_more(page: Doc) -> bool:
    return any(key not in _KNOWN and says_something(value) for key, value in page.items())


def _citation(page: Doc) -> Citation:
    title, start, end = (page.get(key) for key in ("title", "start_index", "end_index"))
    bounded = type(start) is int and type(end) is int and 0 <= start <= end
    return Citation(
        page["url"],
        title if isinstance(title, str) else "",
        start if bounded else None,
        end if bounded else None,
    )


def moved(citation: Citation, begins: int) -> Citation:
    """A citation by places in a whole content as one by places in a text that begins there."""
    if citation.start is None or citation.end is None:
        return citation
    return replace(citation, start=citation.start - begins, end=citation.end - begins)


def write_annotation(citation: Citation, length: int, begins: int = 0) -> Doc:
    """An annotation as Responses spells it. The text that it belongs to has `length` characters and begins after
    `begins` others.
    """
    start = 0 if citation.start is None else citation.start
    end = length if citation.end is None else citation.end
    return {
        "type": "url_citation",
        "url": citation.url,
        "title": citation.title,
        "start_index": begins + start,
        "end_index": begins + end,
    }


def write_inside(citation: Citation, length: int, begins: int = 0) -> Doc:
    """The same as Chat Completions spells it."""
    flat = write_annotation(citation, length, begins)
    return {"type": flat.pop("type"), "url_citation": flat}
