"""Writes docs/translation.md: what becomes of every feature of a request, and of an answer, in every cell.

python -m scripts.write_translation_matrix           write it
python -m scripts.write_translation_matrix --check   end with 1 when it is not up to date

The cells are asked themselves: each feature of `tests/cells/features` and each field of `tests/cells/answered` is
translated, and what came of it is told.
"""

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tests.cells import answered
from tests.cells.cell import CLIENTS, SERVERS, Cell
from tests.cells.features import SERVERS as PROVIDERS
from tests.cells.features import Fate, Feature, Server, fate, features
from tests.cells.losses import losses

TARGET = Path(__file__).parent.parent / "docs" / "translation.md"
TITLES = {
    "openai-chat": "Chat Completions",
    "anthropic-messages": "Messages",
    "openai-responses": "Responses",
    "gemini": "Gemini",
}
HEAD = """\
# Translation

Clients speak Chat Completions, Messages or Responses; providers speak one of these, or Gemini's own API. Every client
works with every provider. This page says what is carried over, feature by feature. It is written by `make reference`,
which asks the translators themselves.

## When nothing is translated

**A provider that speaks the client's dialect is spoken to in it**, even if it speaks another one better: same dialect,
same bytes. Of the request only `model`, the keys that speak to the gateway (such as `user`) and the wish for usage in
a stream change; unknown keys survive. Of the answer no byte changes; only usage that nobody but the gateway asked for
is left out. `anthropic-version` and `anthropic-beta` go to providers that are spoken to in Messages by such clients,
and to no other. What a provider speaks stands in `dialects` of its configuration
([configuration.md](configuration.md)).

## What is lost says so

What the provider's dialect has no word for is left out, or told in another form, and **named**:

- in the header `X-Otari-Dropped` of the answer (at most 2,000 characters of it),
- in `dropped` of the usage row (`GET /v1/usage/{id}`), which also names what a streamed answer lost,
- in the log, at level debug.

**`translation: strict`**, of a provider or of a key, refuses such a request instead: 400 with the code
`translation_loss`, before anything is sent. With an alias the next provider is tried; one that speaks the client's
dialect never loses anything. What an answer loses is named under `strict` too: it is paid for by then.

**Refused in any case**, because silence would do harm: media that the provider can not get, more than one answer where
there is one, answers in sound, and what only a provider with a memory can do (`previous_response_id`, `store: true`,
`background`, …). With an alias the next provider is tried then, too.

**What comes back.** Models want some things of their own back in the next request: the signatures of thinking,
encrypted reasoning, the signatures of Gemini's calls. Where the client's dialect has no place for them they ride in
values that clients return unread (`extra_content` in Chat Completions, `signature` and redacted thinking in Messages,
`encrypted_content` in Responses), and reach only the vendor that made them. Names of tools and ids of calls that the
provider would not take are changed on the way there and changed back on the way home.

## Requests

| | |
|---|---|
| yes | carried over |
| `name` * | carried over in another form, and named so |
| `name` | left out, and named so |
| refused | status 400, with words that say what to do |
| – | left out without a name: see below the tables |

"chat" is a server of Chat Completions that nobody knows; "chat (OpenAI)" is OpenAI's own. What other servers take is
said by their `quirks` ([configuration.md](configuration.md)). "messages" is a Claude model after 4.6: older ones take
`temperature`, `top_p` and `top_k`. "gemini" is a Gemini 3 model.
"""
ANSWERS = """
## Answers

Texts, thinking, refusals, calls (under the client's own names, in the form of the tools that it offered), the reason
why the answer ended, the token counts and the model's name arrive in every cell, whole and streamed alike, in events
that the vendors' own client libraries take. Ids of answers get the form of the client's dialect. An answer that broke
off ends in an error of the client's dialect, never in a good ending. What does not arrive, by what the provider speaks
(down) and the client speaks (across):

"""
ENDING = """
Thinking in Chat Completions has no place among the texts: all of it stands before them.

Field by field, in the signs of the tables above; what is named is named whether the answer is streamed or not, and so
is every field that nobody knows. A value that says nothing (null, zero, an empty list) is no loss. Citations of web
pages count characters: a text of Responses from its own beginning, Chat Completions from that of all the content. In
Messages they have no place, because Anthropic's own need words that only Anthropic has.
"""


def page() -> str:
    """The whole text."""
    return "".join((HEAD, *map(_client, CLIENTS), ANSWERS, *_answers(), ENDING, *map(_server, SERVERS)))


def _client(client: str) -> str:
    """The tables of one client."""
    providers = [server for server in PROVIDERS if server.dialect != client]
    parts = [f"\n### From {TITLES[client]}\n"]
    mine = [feature for feature in features() if feature.client == client]
    for area, members in groupby(mine, key=lambda feature: feature.area):
        parts += [
            f"\n| {area} | ",
            " | ".join(server.name for server in providers),
            " |\n|---",
            "|---" * len(providers),
        ]
        parts.append("|\n")
        parts += (_row(feature, providers) for feature in members)
    reasons = [f"- {feature.name}: {feature.silent}." for feature in mine if feature.silent]
    return "".join((*parts, "\nLeft out without a name:\n\n", "\n".join(reasons), "\n"))


def _row(feature: Feature, providers: list[Server]) -> str:
    cells = " | ".join(_told(fate(feature, server)) for server in providers)
    return f"| {feature.name} | {cells} |\n"


def _server(server: str) -> str:
    """The tables of what a provider of one dialect answers."""
    clients = [client for client in CLIENTS if client != server]
    mine = [field for field in answered.fields() if field.server == server]
    parts = [f"\n### From providers of {TITLES[server]}\n"]
    for area, members in groupby(mine, key=lambda field: field.area):
        parts.append(
            f"\n| {area} | {' | '.join(TITLES[client] for client in clients)} |\n|---{'|---' * len(clients)}|\n"
        )
        parts += (_field_row(field, clients) for field in members)
    reasons = [f"- {field.name}: {field.silent}." for field in mine if field.silent]
    if reasons:
        parts += ("\nLeft out without a name:\n\n", "\n".join(reasons), "\n")
    return "".join(parts)


def _field_row(field: answered.Field, clients: list[str]) -> str:
    cells = " | ".join(_told(answered.fate(field, client, next(iter(field.added)))) for client in clients)
    return f"| {field.name} | {cells} |\n"


def _told(what: Fate | answered.Fate) -> str:
    names = ", ".join(f"`{name}`" for name in what.names)
    return {
        "carried": "yes",
        "other form": f"{names} *",
        "dropped": names,
        "refused": "refused",
        "silent": "–",
    }[what.kind]


def _answers() -> Iterator[str]:
    yield f"| | {' | '.join(TITLES[client] for client in CLIENTS)} |\n|---{'|---' * len(CLIENTS)}|\n"
    for server in SERVERS:
        cells = (_lost(Cell(client, server)) for client in CLIENTS)
        yield f"| {TITLES[server]} | {' | '.join(cells)} |\n"


def _lost(cell: Cell) -> str:
    if cell.client == cell.server:
        return "nothing: same bytes"
    return "; ".join(loss.name for loss in losses(cell)) or "nothing"


def main() -> int:
    text = page()
    if sys.argv[1:] != ["--check"]:
        TARGET.write_text(text)
        return 0
    if TARGET.exists() and TARGET.read_text() == text:
        return 0
    sys.stderr.write(f"{TARGET.name} is not up to date: `make reference` writes it\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
