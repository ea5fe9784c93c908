"""Families of models, by name: which public encoding counts for them, and what stands around a prompt's texts.

Two encodings are carried here, those of OpenAI. For its models counts are exact; for all others a count by the newer of
the two is multiplied, at first by what was measured for the family, then by what providers tell (`calibration`). What
stands around the texts (roles, marks, the words that explain tools) are whole numbers of tokens.
"""

import re
from dataclasses import dataclass, replace

from otari.domain.pictures import Rule, by_area, by_patches, by_tiles

LARGE_PICTURES = by_area(4784)  # what Anthropic's newer models take without scaling; many others take about as much


@dataclass(frozen=True, slots=True)
class Family:
    """How a family counts.

    `factor` tokens of its own stand for one of `encoding`; `exact` says that they are the same. On top of the texts
    come `request` tokens once, `message` for each message, `tools` once where there are tools and `tool` for each one.
    `tools_as_types`: tools are told as types of TypeScript, else as JSON. `picture` is what pictures count.
    """

    name: str
    encoding: str = "o200k_base"
    factor: float = 1.0
    exact: bool = False
    request: int = 8
    message: int = 5
    tools: int = 200
    tool: int = 30
    tools_as_types: bool = False
    picture: Rule = LARGE_PICTURES


# OpenAI puts 3 tokens and the role around a message, 3 before the answer, and a few words before the tools.
_GPT_4O = Family(
    "gpt-4o",
    exact=True,
    request=6,
    message=4,
    tools=24,
    tool=7,
    tools_as_types=True,
    picture=by_tiles(85, 170),
)
# One more around a message, and many more words before the tools.
_GPT_5 = replace(_GPT_4O, name="gpt-5", message=5, tools=110, picture=by_tiles(70, 140))


# A pattern of the model's name in small letters, and its family; the first that is found counts. Factors beside
# OpenAI's were measured against the families' published tokenizers on code, documentation, JSON and prose, and err
# upwards; for Claude, which publishes none, against published counts of its API.
_FAMILIES: tuple[tuple[str, Family], ...] = (
    # Its servers tell it what its name is, what day it is, and results of tools as JSON.
    (r"gpt-oss", replace(_GPT_5, name="gpt-oss", exact=False, factor=1.1, request=80, tools=60)),
    (r"gpt-4o-mini", replace(_GPT_4O, name="gpt-4o-mini", picture=by_tiles(2833, 5667))),
    (r"gpt-4\.1-nano", replace(_GPT_4O, name="gpt-4.1-nano", picture=by_patches(2460))),
    (r"gpt-4\.1-mini", replace(_GPT_4O, name="gpt-4.1-mini", picture=by_patches(1620))),
    (r"gpt-4o|gpt-4\.[15]", _GPT_4O),
    (r"(^|[/:.])o4-mini", replace(_GPT_4O, name="o4-mini", message=5, picture=by_patches(1720))),
    (r"(^|[/:.])o[134](-|$)", replace(_GPT_4O, name="o-series", message=5, picture=by_tiles(75, 150))),
    (r"gpt-(4|3\.5|35)(?![\d.])", replace(_GPT_4O, name="gpt-4", encoding="cl100k_base", tool=10)),
    (r"gpt-5[.\d]*-nano", replace(_GPT_5, name="gpt-5-nano", picture=by_patches(2460))),
    (r"gpt-5[.\d]*-mini", replace(_GPT_5, name="gpt-5-mini", picture=by_patches(1620))),
    (r"gpt-5(\.[0-3])?(?![.\d])", _GPT_5),
    (r"gpt-5", replace(_GPT_5, name="gpt-5.4", picture=by_area(10_000))),
    (r"gpt-", replace(_GPT_5, name="gpt", exact=False, factor=1.05, picture=by_area(10_000))),
    (
        r"claude-(v?[0-3](?!\d)|instant|4-|(opus|sonnet|haiku)-4(?![-.][7-9](?!\d)))",
        Family("claude", factor=1.2, request=6, message=3, tools=550, tool=40, picture=by_area(1600)),
    ),
    (r"claude", Family("claude, since 4.7", factor=1.55, request=8, message=4, tools=700, tool=50)),
    (r"gemini|gemma", Family("gemini", factor=1.15, request=3, message=3, tools=20, tool=10)),
    (r"llama-?2|codellama|mixtral|mistral-(7b|tiny)", Family("llama 2", factor=1.3, tools=250)),
    (r"llama", Family("llama", factor=1.03, request=40, tools=250)),
    (r"mistral|codestral|devstral|magistral|ministral|pixtral|voxtral", Family("mistral", factor=1.1, tool=45)),
    (r"qwen|qwq|qvq", Family("qwen", factor=1.08, tools=260)),
    (r"deepseek", Family("deepseek", factor=1.06, tool=50)),
    (r"grok", Family("grok", factor=1.1, request=100, tools=260)),
)
_OTHER = Family("other", factor=1.15)
_COMPILED = tuple((re.compile(pattern), family) for pattern, family in _FAMILIES)


def family_of(model: str) -> Family:
    """The family of a model by its name, whatever stands before it (a vendor, a region) and behind it (a date)."""
    name = model.lower()
    return next((family for pattern, family in _COMPILED if pattern.search(name)), _OTHER)
