"""Wire formats, one package each, and the table of those that exist."""

from collections.abc import Callable

from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.dialects.dialect import Dialect
from otari.dialects.gemini import GEMINI
from otari.dialects.openai_chat import OPENAI_CHAT, OpenAIChat
from otari.dialects.openai_responses import OPENAI_RESPONSES, OpenAIResponses

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect for dialect in (OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES, GEMINI)
}


def dialects_at(clock: Callable[[], float]) -> dict[str, Dialect]:
    """The table with another clock, in seconds since the epoch, for what no provider has told the time of."""
    return {**DIALECTS, OPENAI_CHAT.name: OpenAIChat(clock), OPENAI_RESPONSES.name: OpenAIResponses(clock)}
