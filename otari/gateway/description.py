"""Pictures in words: a model that sees is asked what is in them, on behalf of a request to one that does not.

It is a request like any other: admitted, charged to the same account, settled as a row of its own. What was said of a
picture is remembered, since a conversation sends it with every turn.
"""

import hashlib
from collections import OrderedDict
from typing import Any

import orjson

from otari.dialects import DIALECTS, data_url
from otari.domain.chat import Finish, Text
from otari.domain.errors import Kind, OtariError
from otari.gateway.converse import Conversations
from otari.gateway.telling import Asking

KEPT_MAX_CHARACTERS = 4_000_000
_CHAT = DIALECTS["openai-chat"]
_WISH = (
    "Describe this picture for somebody who can not see it: what it shows, how its parts lie to each other, and every"
    " word and number that stands in it, exactly. Answer with the description alone."
)
_WISH_FOR_A_PAGE = (
    "This is a scanned page of a document. Write down every word and number on it, exactly and in the order in which it"
    " is read: tables as lines with | between their cells, and what pictures, stamps and signatures show in brackets."
    " Answer with that alone."
)
_PAGE_TIMES = 4  # as many tokens as for a picture
_CUT_OFF = "\n[The description ends here: it would have been too long]"


class Describer:
    """Asks the model that `selector` stands for; its descriptions have at most `max_tokens`, and four times that of a
    scanned page.
    """

    def __init__(self, conversations: Conversations, selector: str, max_tokens: int) -> None:
        self._conversations = conversations
        self._selector = selector
        self._max_tokens = max_tokens
        self._kept: OrderedDict[bytes, str] = OrderedDict()
        self._kept_characters = 0

    async def text(self, picture: str, asking: Asking, *, is_page: bool = False) -> str:
        """See `Describing.text`. Raises OtariError as any request does that is not let in or not answered."""
        key = hashlib.sha256((b"page " if is_page else b"") + picture.encode()).digest()
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        try:
            text = await self._ask(picture, asking, f"{asking.request_id}-{key.hex()[:8]}", is_page)
        except OtariError as error:
            raise OtariError(
                error.kind,
                f"A picture could not be described: {error.message}",
                code=error.code,
                retry_after=error.retry_after,
                detail=error.detail,
            ) from None
        if data_url.is_data_url(picture):  # what lies at an address may be another picture tomorrow
            self._keep(key, text)
        return text

    async def _ask(self, picture: str, asking: Asking, request_id: str, is_page: bool) -> str:
        wish = _WISH_FOR_A_PAGE if is_page else _WISH
        content = [{"type": "text", "text": wish}, {"type": "image_url", "image_url": {"url": picture}}]
        request: dict[str, Any] = {
            "model": self._selector,
            "max_tokens": self._max_tokens * (_PAGE_TIMES if is_page else 1),
            "messages": [{"role": "user", "content": content}],
        }
        if asking.principal.user_id is None:
            request["user"] = asking.user
        raw = orjson.dumps(request)
        talk = self._conversations.begin(_CHAT, asking.endpoint, raw, asking.principal, request_id)
        talk.attachments = None  # it is asked to see, whatever is said of it
        reply = _CHAT.read_reply(orjson.loads(await talk.whole()))
        text = "".join(part.text for part in reply.parts if isinstance(part, Text)).strip()
        if not text:
            raise OtariError(Kind.UPSTREAM, f"Model '{self._selector}' said nothing")
        return text + _CUT_OFF if reply.finish is Finish.LENGTH else text

    def _keep(self, key: bytes, text: str) -> None:
        self._kept[key] = text
        self._kept_characters += len(text)
        while self._kept_characters > KEPT_MAX_CHARACTERS:
            _, old = self._kept.popitem(last=False)
            self._kept_characters -= len(old)
