"""Who answers for a provider that nobody here can ask: every call fails before anything is sent."""

from contextlib import AbstractAsyncContextManager

from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt, Call, UpstreamReply


class AbsentUpstream:
    """An Upstream for attempts that were chosen elsewhere, of a type that is not known or at an unusable address."""

    def send(self, attempt: Attempt, call: Call) -> AbstractAsyncContextManager[UpstreamReply]:
        """Raises OtariError(UPSTREAM), so that the next attempt is made."""
        raise OtariError(
            Kind.UPSTREAM,
            f"The platform chose provider '{attempt.provider}', which this gateway can not ask",
            code="provider_unknown",
            retryable=True,
            detail=f"provider '{attempt.provider}' is not a known type, or has no usable address or key",
        )
