"""Who pays for a request: the user of its key, or whom the master key names."""

import re

from otari.domain.access import Principal
from otari.domain.errors import Kind, OtariError, invalid
from otari.domain.ports import Ask

# What Claude Code puts where a user would stand: its installation, its account and its session.
_TELEMETRY = re.compile(r"user_[0-9a-f]*_account_[0-9a-f-]*_session_[0-9a-f-]*", re.IGNORECASE)


def named_user(ask: Ask) -> str | None:
    """Whom the request names, if anyone. What a client tells about itself there (telemetry) names nobody."""
    if ask.user is None:
        return None
    told = ask.user.strip()
    if not told or _TELEMETRY.fullmatch(told) or (told.startswith("{") and told.endswith("}")):
        return None
    return ask.user


def charged_user(principal: Principal, ask: Ask) -> str:
    """Who pays: the key's own user, or whom the master key names. Raises OtariError(FORBIDDEN, INVALID)."""
    field, called = ("user", "'user' field")
    if ask.endpoint.startswith("/v1/messages"):
        field, called = ("metadata.user_id", "'metadata.user_id'")
    user = named_user(ask)
    if principal.user_id is None:
        if user is None:
            raise invalid(f"When using master key, {called} is required in request body", param=field)
        return user
    if user is not None and user != principal.user_id and principal.rejects_user_mismatch:
        message = f"{called} does not match the authenticated API key's user"
        raise OtariError(Kind.FORBIDDEN, message, param=field)
    return principal.user_id
