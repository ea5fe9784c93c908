"""The data files that ship with Otari (`otari.data`)."""

import pkgutil


def shipped(name: str) -> bytes:
    """The bytes of a shipped file. `pkgutil` reads it through the import system, in a tenth of the time that loading
    `importlib.resources` takes."""
    data = pkgutil.get_data("otari.data", name)
    assert data is not None, "the loader of otari.data gives no data"
    return data
