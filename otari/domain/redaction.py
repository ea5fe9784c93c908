"""Keeps secrets out of all that is written down: known values first, then whatever looks like a secret.

Nothing here knows where texts come from. Every text that a provider sent, and every log record, passes
through here before anybody sees it.
"""

import base64
import logging
import re
import threading
from collections import OrderedDict
from urllib.parse import quote, unquote

from otari.domain.secret import Secret

MASK = "***"
_SHORTEST = 6  # shorter values would mask ordinary words
_SEEN_LIMIT = 1024  # tokens of requests that are remembered; configured secrets do not count

# A secret by its looks. What group 1 holds stays readable; none of the patterns backtracks over a long text.
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"(://)[^\s/@\"'?#]{1,256}@"), rf"\g<1>{MASK}@"),
    (re.compile(r"((?i:bearer)\s+)[\w.~+/=*-]{8,}"), rf"\g<1>{MASK}"),
    (re.compile(r"((?i:basic)\s+)(?=\S*[A-Z0-9=])[\w+/=-]{8,}"), rf"\g<1>{MASK}"),
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)*"), MASK),
    (
        re.compile(
            r"(?<![A-Za-z0-9])(?:"
            r"sk[-_][\w*-]{8,}|gw[-_][\w-]{16,}|tk_[\w-]{8,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}"
            r"|(?:gsk_|hf_|xai-|pplx-|nvapi-|csk-|r8_|ghp_|glpat-)[\w-]{16,})"
        ),
        MASK,
    ),
    (
        re.compile(
            r"((?<![A-Za-z0-9])(?i:api[-_ ]?key|(?:access|auth|refresh)[-_]?token|client[-_]?secret"
            r"|secret[-_](?:access[-_])?key|password|passwd|authorization|(?:key|token|secret|sig|signature)(?==))"
            r"[\"']?\s*[=:]\s*[\"']?)(?:(?i:bearer|basic)\s+[^\s\"',;]+|[^\s\"'&,;<>]{6,})"
        ),
        rf"\g<1>{MASK}",
    ),
)


def mask_shapes(text: str) -> str:
    """`text` without whatever looks like a key, token, password or private key."""
    for pattern, replacement in _SHAPES:
        text = pattern.sub(replacement, text)
    return text


class Redactor:
    """Replaces secrets in texts by `***`. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[str, ...]] = {}
        self._seen: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._ordered: tuple[str, ...] | None = ()

    def learn(self, secret: Secret | str, *, keep: bool = False) -> None:
        """Remember a value that must never be shown. Values under 6 characters are left to the shapes.

        `keep` is for configured secrets, which are remembered for good; of all others (the tokens of
        requests) the 1024 that were learnt last are remembered.
        """
        value = secret.reveal() if isinstance(secret, Secret) else secret
        if len(value) < _SHORTEST or value in self._kept:
            return
        with self._lock:
            if keep:
                self._seen.pop(value, ())
                self._kept[value] = _forms(value)
            elif value in self._seen:
                self._seen.move_to_end(value)
                return
            else:
                self._seen[value] = _forms(value)
                if len(self._seen) > _SEEN_LIMIT:
                    self._seen.popitem(last=False)
            self._ordered = None

    def clean(self, text: str) -> str:
        """`text` without known values (plain, percent-encoded or in base64) and without likely secrets."""
        for form in self._ordered or self._order():
            if form in text:
                text = text.replace(form, MASK)
        return mask_shapes(text)

    def holds(self, text: str) -> bool:
        """Whether a known value stands in `text`, plain, percent-encoded or in base64."""
        forms = self._ordered or self._order()
        spelled = (text, unquote(text)) if "%" in text else (text,)  # whatever letters it is encoded with
        return any(form in each for each in spelled for form in forms)

    def _order(self) -> tuple[str, ...]:
        """Every known form, longest first: a value that holds another one must go as a whole."""
        with self._lock:
            if self._ordered is None:
                forms = {form for known in (self._kept, self._seen) for each in known.values() for form in each}
                self._ordered = tuple(sorted(forms, key=len, reverse=True))
            return self._ordered


def _forms(value: str) -> tuple[str, ...]:
    """The ways in which a value turns up in texts."""
    percent = quote(value, safe="", errors="replace")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    lowered = re.sub(r"%[0-9A-F]{2}", lambda code: code[0].lower(), percent)
    return tuple({value, percent, lowered, quote(value, errors="replace"), escaped, *_base64_forms(value)})


def _base64_forms(value: str) -> set[str]:
    """The base64 characters that depend on `value` alone, for each of the three places where it may start.

    A key is often encoded as part of something longer ("user:key"), which shifts its characters.
    """
    raw = value.encode("utf-8", "surrogatepass")
    forms = set()
    for shift, mixed in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(shift) + raw).decode()
        core = encoded[mixed : (shift + len(raw)) * 8 // 6]
        forms |= {core, core.replace("+", "-").replace("/", "_")}
    return forms


_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_TRACEBACKS = logging.Formatter()


class LogFilter(logging.Filter):
    """Cleans log records: message with its arguments, exception text, stack and texts given as `extra`.

    Add it to every *handler*: the filter of a logger does not see the records of the loggers below it.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._clean = redactor.clean

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True: records are changed, none is dropped."""
        record.msg, record.args = self._clean(_message(record)), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = _TRACEBACKS.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text, record.exc_info = self._clean(record.exc_text), None
        if record.stack_info:
            record.stack_info = self._clean(record.stack_info)
        for name, value in vars(record).items():
            if name not in _OWN_FIELDS and isinstance(value, str):
                setattr(record, name, self._clean(value))
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # wrong arguments: logging itself would print them as they are
        return f"{record.msg} (the arguments of this message do not fit it)"
