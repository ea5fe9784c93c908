"""The list of what a translation could not carry: short, stable names, each once."""

import re
from collections.abc import Callable

Drop = Callable[[str], None]

MAX_NAME_CHARS = 80
_UNFIT = re.compile(r"[^A-Za-z0-9_.\- ]+")  # a name goes into a header, and may hold words of the client's


def collector(dropped: list[str] | None) -> Drop:
    """A function that adds a name to `dropped` if it is not there; one that does nothing when `dropped` is None."""

    def drop(name: str) -> None:
        name = _UNFIT.sub("_", name)[:MAX_NAME_CHARS]
        if dropped is not None and name not in dropped:
            dropped.append(name)

    return drop
