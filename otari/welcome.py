"""What `serve` prints when it is up: where it listens, what it serves, new keys (once), lines to paste.

Plain lines on a pipe, a little colour on a terminal. A key stands alone on its line, unwrapped: scripts find it.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from otari.domain.provider import Provider


class Welcome(NamedTuple):
    """The facts to print. `master_key` and `api_key` are set only when they were made just now; `platform` is the
    control plane that the gateway is connected to.
    """

    version: str
    address: str
    ledger: str
    providers: Sequence[Provider]
    platform: str | None = None
    warnings: Sequence[str] = ()
    master_key: str | None = None
    api_key: str | None = None


def welcome_text(facts: Welcome, *, colour: bool) -> str:
    """The whole text, ending with a newline."""
    return "\n".join(_lines(facts, _Paint(colour))) + "\n"


def print_welcome(facts: Welcome) -> None:
    """Print to standard output."""
    sys.stdout.write(welcome_text(facts, colour=sys.stdout.isatty()))
    sys.stdout.flush()


class _Paint:
    def __init__(self, on: bool) -> None:
        self._on = on

    def head(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._on else text

    def faint(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[0m" if self._on else text


def _lines(facts: Welcome, paint: _Paint) -> Iterable[str]:
    yield paint.head(f"otari {facts.version} serves {facts.address}")
    if facts.platform is not None:
        yield f"  platform   {facts.platform} decides and accounts; clients send its user tokens as bearer tokens"
        yield f"  reports    {facts.ledger}"
    else:
        named = ", ".join(_named(p) for p in facts.providers)
        yield f"  ledger     {facts.ledger}"
        yield f"  providers  {named or 'none: set a provider key or configure one'}"
    for warning in facts.warnings:
        yield f"  note       {warning}"
    if facts.master_key is not None:
        yield ""
        yield paint.head("Your master key (for management; shown only now):")
        yield facts.master_key
    if facts.api_key is None:
        return
    yield ""
    yield paint.head("No API keys found. Created the first one; save it, it is shown only now:")
    yield facts.api_key
    model = _first_model(facts.providers)
    yield ""
    yield paint.head("Try it:")
    yield _curl(facts.address, facts.api_key, model)
    yield ""
    yield paint.head("opencode (opencode.json):")
    yield _opencode(facts.address, facts.api_key, model)


def _named(provider: Provider) -> str:
    models = ", ".join(provider.models[:4]) + (", …" if len(provider.models) > 4 else "")
    return f"{provider.name} ({models})" if models else provider.name


def _first_model(providers: Sequence[Provider]) -> str:
    """A model that answers for sure: one of a free provider if there is one, else the first declared one."""
    for provider in sorted(providers, key=lambda p: not p.free):
        if provider.models:
            return f"{provider.name}:{provider.models[0]}"
    return f"{providers[0].name}:MODEL" if providers else "PROVIDER:MODEL"


def _curl(address: str, key: str, model: str) -> str:
    body = f'{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Hello, Otari"}}]}}'
    return (
        f"curl -N {address}/v1/chat/completions -H 'Authorization: Bearer {key}'"
        f" -H 'Content-Type: application/json' -d '{body}'"
    )


def _opencode(address: str, key: str, model: str) -> str:
    return (
        '{"provider": {"otari": {"npm": "@ai-sdk/openai-compatible", "name": "Otari",'
        f' "options": {{"baseURL": "{address}/v1", "apiKey": "{key}"}},'
        f' "models": {{"{model}": {{}}}}}}}}, "model": "otari/{model}"}}'
    )
