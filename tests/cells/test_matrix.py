"""The page about translation says what the translators do."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "scripts" / "write_translation_matrix.py"))["page"]
    assert (ROOT / "docs" / "translation.md").read_text() == page(), "`make reference` writes it"
