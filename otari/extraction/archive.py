"""The files inside an Office document, which is a ZIP archive. One may be made to burst whoever unpacks it.

What an entry says of its size is compared with a limit before it is unpacked, and what comes out of it while it is.
"""

import io
import zipfile
import zlib

from otari.domain.documents import Unreadable
from otari.extraction.page import TOO_LARGE

ENTRIES_MAX = 5_000
UNPACKED_MAX_BYTES = 64 * 1024 * 1024  # of all that is read


class Archive:
    """An open archive. Every method raises Unreadable."""

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError, UnicodeDecodeError):
            raise Unreadable("is damaged") from None
        entries = self._zip.infolist()
        if len(entries) > ENTRIES_MAX:
            raise Unreadable(f"has more than {ENTRIES_MAX} parts")
        self._entries = {entry.filename: entry for entry in entries}
        if "EncryptionInfo" in self._entries or any(entry.flag_bits & 1 for entry in entries):
            raise Unreadable("is encrypted")
        self._left = UNPACKED_MAX_BYTES

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    @property
    def names(self) -> list[str]:
        """The names of all entries."""
        return list(self._entries)

    def read(self, name: str) -> bytes:
        """The bytes of an entry; b"" when there is none of this name."""
        entry = self._entries.get(name)
        if entry is None:
            return b""
        if entry.file_size > self._left:
            raise Unreadable(TOO_LARGE)
        try:
            with self._zip.open(entry) as file:
                data = file.read(self._left + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError):
            raise Unreadable("is damaged") from None
        if len(data) > self._left:
            raise Unreadable(TOO_LARGE)
        self._left -= len(data)
        return data
