"""What a refusal looks like, told as types for the reference; `web/reply.py` writes them."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from otari.web.answers.health import Mode


class ErrorFacts(Struct, kw_only=True):
    """The part that OpenAI's client libraries read."""

    message: str
    type: Annotated[str, Meta(description="The kind of error.", examples=["not_found_error"])]
    param: Annotated[str | None, Meta(description="The field or header in question.")]
    code: Annotated[str | None, Meta(description="A word for programs.")]


class Error(Struct, kw_only=True):
    """A refusal or a failure. `detail` and `error.message` say the same; a secret is never repeated in them."""

    detail: str
    error: ErrorFacts


class Problem(Struct, kw_only=True):
    """What is wrong with one field."""

    type: str
    loc: Annotated[Sequence[str | int], Meta(description="Where: `body`, `query` or `path`, then names and positions.")]
    msg: Annotated[str, Meta(description="What is wrong. The value is never repeated.")]


class InvalidFields(Struct, kw_only=True):
    """A body or parameters that break their schema."""

    detail: Sequence[Problem] | str
    error: ErrorFacts


class AnthropicFacts(Struct, kw_only=True):
    """The part that Anthropic's client libraries read."""

    type: str
    message: str


class AnthropicError(Struct, kw_only=True):
    """A refusal or a failure on a route of Anthropic's shape."""

    type: Literal["error"]
    error: AnthropicFacts
    detail: str


class NotReadyFacts(Struct, kw_only=True):
    """What can not serve, and what can."""

    status: Literal["unhealthy"]
    database: Literal["connected", "unavailable"] | UnsetType = UNSET
    mode: Mode | UnsetType = UNSET
    platform: Literal["connected", "unavailable"] | UnsetType = UNSET
    version: str


class NotReady(Struct, kw_only=True):
    """Requests can not be admitted now."""

    detail: NotReadyFacts
    error: ErrorFacts
