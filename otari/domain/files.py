"""A file that a user has sent to be kept."""

from typing import NamedTuple


class StoredFile(NamedTuple):
    """A file of a user. `digest` is the SHA-256 of its bytes. `expires_at_ms` None: kept until it is deleted."""

    file_id: str
    user_id: str
    filename: str
    media_type: str
    purpose: str
    size_bytes: int
    digest: bytes
    created_at_ms: int
    expires_at_ms: int | None = None
