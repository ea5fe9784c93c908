"""Wire formats, one module each, and the table of those that exist."""

from otari.dialects.dialect import Dialect
from otari.dialects.openai_chat import OPENAI_CHAT

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (OPENAI_CHAT,)}
