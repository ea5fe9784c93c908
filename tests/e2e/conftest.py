import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def pyz() -> Path:
    """The built file: $OTARI_PYZ, or otari.pyz of this tree. It is not built here; `make e2e` has done that."""
    path = Path(os.environ.get("OTARI_PYZ") or Path(__file__).parents[2] / "otari.pyz").resolve()
    if not path.is_file():
        pytest.fail(f"{path} is missing; `make build` makes it", pytrace=False)
    return path
