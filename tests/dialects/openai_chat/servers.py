"""Servers of all kinds, for laws that hold whatever a server is like."""

from typing import Any, get_type_hints

from hypothesis import strategies as st

from otari.dialects.openai_chat.terms import EFFORTS
from otari.domain.provider import NO_QUIRKS, Quirks

_LISTS = {
    "efforts": EFFORTS,
    "shapes": ("json_object", "json_schema"),
    "tool_choices": ("auto", "none", "required", "named"),
}


def _values(name: str, kind: Any) -> st.SearchStrategy[Any]:
    if name in _LISTS:
        return st.sets(st.sampled_from(_LISTS[name])).map(lambda words: tuple(sorted(words)))
    return st.booleans() if kind is bool else st.sampled_from(kind.__args__)


def quirks(**fixed: Any) -> st.SearchStrategy[Quirks]:
    """Any quirks, those of `fixed` as they are said."""
    kinds = get_type_hints(Quirks)
    told = {name: st.just(fixed[name]) if name in fixed else _values(name, kind) for name, kind in kinds.items()}
    return st.just(NO_QUIRKS.__class__(**fixed)) | st.builds(Quirks, **told)
