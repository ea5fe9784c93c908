"""Who is asking: credentials, principals, and how keys are made and hashed."""

import enum
import hashlib
import secrets
from dataclasses import dataclass
from typing import NamedTuple

from otari.domain.secret import Secret

KEY_PREFIX = "gw-"
MASTER_KEY_PREFIX = "mk-"
MASTER_KEY_MIN_BYTES = 16
WRONG_KEY = "invalid_api_key"  # the code of the error for a key that is not known or not good any more


class Access(enum.Enum):
    """What a route demands before it does anything."""

    OPEN = "open"  # no credential
    KEY = "key"  # a virtual key, or the master key
    MASTER = "master"  # the master key only


@dataclass(frozen=True, slots=True)
class Credential:
    """The token that a request carries, from the first header that holds one. `bearer` is that of `Authorization`.

    `token` is None when that first header is `Authorization` and its scheme another one than Bearer.
    """

    token: Secret | None
    bearer: Secret | None = None


class Principal(NamedTuple):
    """Who a credential stands for. `user_id` is None for the master key, which must name a user per request.

    `strict`: refuse what can not be translated without loss. `token` is the credential itself, where another host
    judges it.
    """

    user_id: str | None
    key_id: str | None
    is_master: bool = False
    rejects_user_mismatch: bool = True
    strict: bool = False
    token: Secret | None = None


def mint_key(prefix: str = KEY_PREFIX) -> str:
    """A new key: the prefix (`gw-` for virtual keys) and 48 random bytes in URL-safe base64, 67 characters in all."""
    return prefix + secrets.token_urlsafe(48)


def key_digest(token: str) -> bytes:
    """SHA-256 of a token, 32 bytes. Nothing slower is needed: a key holds 384 random bits, it can not be guessed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
