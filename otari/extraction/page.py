"""The text that is being taken out of a document, with an end to how much there may be."""

import re

from otari.domain.documents import Unreadable

TEXT_MAX_CHARACTERS = 4_000_000  # about a million tokens: more than nearly all models take
NO_TEXT = "holds no text"
TOO_LARGE = "unpacks to more than can be read"
_BLANK = re.compile(r"\n{3,}")


class Page:
    """Lines of text. Raises Unreadable when there are too many."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._characters = 0

    def line(self, text: str) -> None:
        """One more line, or several."""
        self._characters += len(text) + 1
        if self._characters > TEXT_MAX_CHARACTERS:
            raise Unreadable(f"holds more text than can be given to a model ({TEXT_MAX_CHARACTERS} characters)")
        self._lines.append(text.rstrip())

    def taken(self) -> str:
        """What was written since the last time, without stretches of empty lines; "" when that is nothing."""
        whole = _BLANK.sub("\n\n", "\n".join(self._lines)).strip()
        self._lines = []
        return whole

    def text(self) -> str:
        """The same. Raises Unreadable when there is nothing."""
        whole = self.taken()
        if not whole:
            raise Unreadable(NO_TEXT)
        return whole
