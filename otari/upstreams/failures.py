"""What it means when a provider gives no answer, half of one, or none that it should: words for the client and a code.

What it means when it refuses is in `status.py`.
"""

from typing import NamedTuple

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from otari.domain.errors import Kind
from otari.domain.ports import Attempt


class Failure(NamedTuple):
    """`words` may be seen by the client. `code` says whether the provider can have seen the request."""

    words: str
    code: str
    kind: Kind = Kind.UPSTREAM


# Failures before any answer, special ones first: what the provider did, and the code.
_UNANSWERED: tuple[tuple[type[Exception], str, str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "has a TLS certificate that is not trusted", "upstream_unreachable"),
    (aiohttp.ClientSSLError, "could not be reached: the TLS handshake failed", "upstream_unreachable"),
    (aiohttp.ClientConnectorDNSError, "could not be reached: its host name was not found", "upstream_unreachable"),
    (aiohttp.ClientConnectorError, "could not be reached", "upstream_unreachable"),
    (ValueError, "could not be asked: its address or headers are wrong", "upstream_unreachable"),
    (HttpProcessingError, "did not answer in HTTP", "upstream_format"),
    (Exception, "closed the connection without an answer", "upstream_disconnected"),
)


def unanswered(attempt: Attempt, problem: Exception) -> Failure:
    """A request got no answer."""
    if isinstance(problem, TimeoutError):
        return _late(attempt, problem)
    what, code = next((words, code) for family, words, code in _UNANSWERED if isinstance(problem, family))
    return _error(f"'{attempt.provider}' {what}", code)


def broken_off(attempt: Attempt, problem: Exception) -> Failure:
    """An answer began and did not come to its end."""
    if isinstance(problem, TimeoutError):
        return _late(attempt, problem)
    return _error(f"the answer of '{attempt.provider}' broke off", "upstream_disconnected")


def too_large(attempt: Attempt, limit_bytes: int) -> Failure:
    """A whole answer is larger than is taken."""
    return _error(f"the answer of '{attempt.provider}' is larger than {limit_bytes >> 20} MiB", "upstream_format")


def wrong_format(attempt: Attempt) -> Failure:
    """An answer that no API gives, such as a web page."""
    return _error(f"'{attempt.provider}' did not answer in the format of its API", "upstream_format")


def told(problem: Exception) -> str:
    """What went wrong, for the operator."""
    return f"{type(problem).__name__}: {problem}"


def _late(attempt: Attempt, problem: Exception) -> Failure:
    times = attempt.timeouts
    if isinstance(problem, aiohttp.ConnectionTimeoutError):
        what, code = f"could not be reached within {times.connect_s:g} s", "upstream_unreachable"
    else:
        what, code = f"sent nothing for {times.silence_s:g} s", "upstream_timeout"
    return Failure(f"LLM provider timeout ('{attempt.provider}' {what})", code, Kind.UPSTREAM_TIMEOUT)


def _error(what: str, code: str) -> Failure:
    return Failure(f"LLM provider error ({what})", code)
