"""Lists of allowed models in a column: JSON text; no text is no limit, an empty list allows nothing."""

import orjson


def write_models(allowed: tuple[str, ...] | None) -> str | None:
    """The text of a list."""
    return None if allowed is None else orjson.dumps(allowed).decode()


def read_models(text: str | None) -> tuple[str, ...] | None:
    """The list in a column. A text that is none (another program wrote it) allows nothing rather than everything."""
    if text is None:
        return None
    try:
        entries = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ()
    return tuple(entry for entry in entries if isinstance(entry, str)) if isinstance(entries, list) else ()
