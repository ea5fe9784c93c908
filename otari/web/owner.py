"""Whose things a request is about: those of the key's own user, or of the user whom the master key names."""

from otari.domain.access import Principal
from otari.domain.errors import Kind, OtariError, invalid


def owner_of(caller: Principal, named: str | None) -> str:
    """The user. `named` is whom the request names, if anyone. Raises OtariError(INVALID, FORBIDDEN)."""
    if caller.user_id is None:
        if not named:
            raise invalid("When using master key, 'user' field is required", "user")
        return named
    if named and named != caller.user_id and caller.rejects_user_mismatch:
        raise OtariError(Kind.FORBIDDEN, "'user' field does not match the authenticated API key's user", param="user")
    return caller.user_id
