"""The one error family of the gateway: what went wrong, told by kind.

`STATUS` is the only place where a kind becomes an HTTP status (the answer and the usage row both show it); the body
takes the shape of the route. Exceptions of libraries are turned into `OtariError` at the edges (`upstreams/live.py`,
`store/db.py`) and nowhere else.
"""

import enum


class Kind(enum.Enum):
    """What went wrong. The value is the error `type` that OpenAI-style bodies show."""

    INVALID = "invalid_request_error"
    UNAUTHENTICATED = "authentication_error"
    UNPRICED = "unpriced_model"
    PAYMENT = "billing_error"
    FORBIDDEN = "permission_error"
    BUDGET = "insufficient_quota"
    NOT_FOUND = "not_found_error"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict_error"
    REQUEST_TIMEOUT = "request_timeout"
    TOO_LARGE = "request_too_large"
    UNSUPPORTED_MEDIA = "unsupported_media_type"
    UNSATISFIABLE = "range_not_satisfiable"
    MISDIRECTED = "misdirected_request"
    UNPROCESSABLE = "unprocessable_request"
    UPGRADE_REQUIRED = "upgrade_required"
    RATE_LIMITED = "rate_limit_error"
    INTERNAL = "server_error"
    UPSTREAM = "upstream_error"
    UNAVAILABLE = "unavailable_error"
    UPSTREAM_TIMEOUT = "timeout_error"


STATUS: dict[Kind, int] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.UNPRICED: 402,
    Kind.PAYMENT: 402,
    Kind.FORBIDDEN: 403,
    Kind.BUDGET: 403,
    Kind.NOT_FOUND: 404,
    Kind.METHOD_NOT_ALLOWED: 405,
    Kind.REQUEST_TIMEOUT: 408,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED_MEDIA: 415,
    Kind.UNSATISFIABLE: 416,
    Kind.MISDIRECTED: 421,
    Kind.UNPROCESSABLE: 422,
    Kind.UPGRADE_REQUIRED: 426,
    Kind.RATE_LIMITED: 429,
    Kind.INTERNAL: 500,
    Kind.UPSTREAM: 502,
    Kind.UNAVAILABLE: 503,
    Kind.UPSTREAM_TIMEOUT: 504,
}
CLIENT_GONE = 499  # what a row says when nobody was left to be answered; never on a wire


class OtariError(Exception):
    """Something the client must be told.

    `message` is shown to the client: it names the field and the fix, and holds no secret. `param` names the field of
    the request. `code` is the machine-readable word of the OpenAI shape. `retry_after` is in seconds. `retryable`
    says that another attempt may succeed (only asked before the first byte of an answer has come).
    `upstream_status` is the HTTP status that the provider answered, if one did. `detail` is for the operator: it goes
    to the log and the usage row (redacted), never to the client. `headers` go out with the answer.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        retryable: bool = False,
        upstream_status: int | None = None,
        detail: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after
        self.retryable = retryable
        self.upstream_status = upstream_status
        self.detail = detail
        self.headers = headers

    @property
    def status(self) -> int:
        """The HTTP status that tells this error."""
        return STATUS[self.kind]


def invalid(message: str, param: str | None = None, code: str | None = None) -> OtariError:
    """The request itself is wrong; `message` says how to mend it."""
    return OtariError(Kind.INVALID, message, param=param, code=code)
