"""Wire formats, one package each, and the table of those that exist."""

from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.dialects.dialect import Dialect
from otari.dialects.gemini import GEMINI
from otari.dialects.openai_chat import OPENAI_CHAT
from otari.dialects.openai_responses import OPENAI_RESPONSES

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect for dialect in (OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES, GEMINI)
}
