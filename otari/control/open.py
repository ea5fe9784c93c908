"""The standalone control plane with its door open: who shows no key of ours is let in, as the session that it names.

For runs against a scripted provider. Everything behind the door is as always: the session is a user, whose requests are
held, charged and counted, and who can be given a budget or be blocked. Keys that exist are judged as always, too.
"""

import hmac
from functools import cached_property

from otari.control.local import LocalControl
from otari.domain.access import Credential, Principal, key_digest
from otari.domain.arrival import DEFAULT_SESSION, arrival
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Admission, Ask

GUESTS_MAX = 10_000  # clients choose the names: what is remembered of them must be bounded


class OpenControl(LocalControl):
    """A ControlPlane; see the module."""

    async def identify(self, credential: Credential | None) -> Principal:
        """The holder of a key that exists, else the user of the session. Raises as LocalControl does for the former."""
        if credential is not None and credential.token is not None:
            digest = key_digest(credential.token.reveal())
            if hmac.compare_digest(digest, self._master_digest) or self.keys.find(digest) is not None:
                return await super().identify(credential)
        came = arrival()
        return await self._guest(DEFAULT_SESSION if came is None else came.session)

    async def admit(self, principal: Principal, ask: Ask) -> Admission:
        """See ControlPlane.admit."""
        came = arrival()
        if came is not None:
            came.selector = ask.selector
        return await super().admit(principal, ask)

    async def _guest(self, session: str) -> Principal:
        guest = self._guests.get(session)
        if guest is None:
            try:
                await self.users.add(session, alias=f"Session {session}")
            except OtariError as error:
                if error.kind is not Kind.CONFLICT:  # somebody of the session came a moment before
                    raise
            if len(self._guests) >= GUESTS_MAX:
                self._guests.clear()
            guest = self._guests[session] = Principal(session, None, rejects_user_mismatch=False)
        return guest

    @cached_property
    def _guests(self) -> dict[str, Principal]:
        return {}
