"""How the request that is being served came in: the facts of its HTTP request, for those who are not handed it.

The edge notes an arrival only where somebody asks for it, as a scripted provider does; everywhere else there is none.
Every request is served in a context of its own, so what is noted belongs to that request alone.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal
from urllib.parse import quote

from otari.domain.secret import Secret

DEFAULT_SESSION = "default"
SESSION_KEY = "sk-stub-"  # a key that begins like this is no secret: it names a session
SESSION_MAX_CHARACTERS = 255
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class Damage:
    """What is to become of an answer on its way to the client, after `delay_s` of silence.

    `kind` "none" only delays; "error" sends the HTTP error `status` in its place; the others break it off in its
    middle: "reset" breaks the connection, "eof" ends it, "hang" sends nothing more, "garbage" sends something else.
    """

    kind: Literal["none", "error", "reset", "eof", "hang", "garbage"]
    delay_s: float = 0.0
    status: int = 0
    retry_after: float | None = None
    message: str = ""


@dataclass(slots=True)
class Arrival:
    """One request as it came in.

    `session` is what the client calls the work that the request belongs to. `headers` have lower-case names and hold no
    credential; `key` is the client's. `labels` are headers of the answer, told by whoever answers; `damage` has the
    answer damaged when it goes out. `selector` is the model as the client wrote it, once somebody has read it. `heard`
    says that a scripted provider has been asked.
    """

    session: str = DEFAULT_SESSION
    method: str = ""
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    key: Secret = field(default_factory=lambda: Secret(""))
    labels: dict[str, str] = field(default_factory=dict)
    damage: Callable[[Damage], object] | None = None
    selector: str = ""
    heard: bool = False


def session_name(name: str) -> str:
    """A name that can stand in headers, in the ledger and in file names.

    Others are percent-encoded; one that is too long is cut and ends with its digest, so that it is still another one
    than its neighbour with the same beginning.
    """
    if not (name.isascii() and name.isprintable()):
        name = quote(name, errors="replace")
    if len(name) <= SESSION_MAX_CHARACTERS:
        return name
    digest = sha256(name.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{name[: SESSION_MAX_CHARACTERS - _DIGEST_CHARACTERS - 1]}~{digest}"


_ARRIVAL: ContextVar[Arrival | None] = ContextVar("otari_arrival", default=None)
arrival = _ARRIVAL.get  # of the request that is being served; None when nobody has noted one
note_arrival = _ARRIVAL.set
