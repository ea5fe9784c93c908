"""Configured and automatic providers: settings laid over the shipped types, keys and addresses from the environment."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from msgspec import structs

from otari.config.problems import Problems, below, nearest, shown_text
from otari.config.provider_types import SYNONYMS, Asked, ProviderType, find_type, provider_types
from otari.config.settings import Config, DialectWord, ProviderSettings, QuirkSettings
from otari.domain.provider import Provider, Quirks, Senses, Timeouts
from otari.domain.secret import Secret

W = TypeVar("W")

LOOPBACK_NAMES = ("localhost", "::1", "[::1]")
SPOKEN: Mapping[DialectWord, str] = {  # the names that dialects have inside
    "chat": "openai-chat",
    "messages": "anthropic-messages",
    "responses": "openai-responses",
    "gemini": "gemini",
}

_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound to
_DEFAULT_SILENCE_S = 600.0  # reasoning models think for minutes before the first byte
_VISIBLE_ASCII = re.compile(r"[!-~]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~](?:[ \t!-~]*[!-~])?")
_OWN_HEADERS = ("connection", "content-length", "content-type", "host", "transfer-encoding")


def providers(config: Config, environ: Mapping[str, str]) -> tuple[Provider, ...]:
    """The providers to serve: the configured ones, then those that a key variable in `environ` switches on.

    None of them when connected to a platform, which chooses. Raises ConfigError with every problem.
    """
    problems = Problems()
    found = find_providers(config, environ, problems)
    problems.raise_errors()
    return found


def platform_provider(kind: str, base_url: str | None, secret: Secret | None) -> Provider:
    """A provider as a control plane names it: by its type, with a key and perhaps an address of its own.

    Its `via` is "absent" when the type is not known or has no address, or when key or address can not be used. It is
    `free` when its address is one of this machine or its neighbours, unless another one is given.
    """
    found = find_type(kind)
    parts = None if found is None else _split(base_url or found.base_url or "")
    if (
        found is None
        or parts is None
        or found.via != "live"
        or not found.dialects
        or (secret is not None and not header_safe(secret))
    ):
        return Provider(kind if found else shown_text(kind)[1:-1], "absent", speaks=tuple(SPOKEN.values()))
    return Provider(
        name=kind,
        via=found.via,
        base_url=f"{parts.scheme}://{parts.netloc}" + _with_suffix(parts.path.rstrip("/"), found.base_suffix or ""),
        secret=secret,
        speaks=_speaks(_dialects(found, base_url or "")),
        auth=found.auth if secret else "none",
        auths=_by_inner_name(found.auths) if secret else {},
        paths=_by_inner_name(found.paths),
        stream_usage=found.stream_usage,
        free=found.local,
        quirks=_quirks(found.quirks),
        kind=kind,
    )


def find_providers(config: Config, environ: Mapping[str, str], problems: Problems) -> tuple[Provider, ...]:
    """Like `providers`, but problems are collected and a provider that has one is left out."""
    if config.ai_token is not None:
        return ()
    found = [_configured(name, entry, config, environ, problems) for name, entry in config.providers.items()]
    found += [
        _automatic(name, kind, config, environ, problems)
        for name, kind in provider_types().items()
        if name not in config.providers and _switched_on(kind, environ)
    ]
    return tuple(provider for provider in found if provider is not None)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be reached from this machine."""
    return host.lower() in LOOPBACK_NAMES or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))


def header_safe(secret: Secret) -> bool:
    """Whether a key can travel in a header: visible ASCII characters only."""
    return bool(_VISIBLE_ASCII.fullmatch(secret.reveal()))


def usable_address(url: str) -> bool:
    """Whether `url` is an http or https address without user, query or fragment."""
    return _split(url) is not None


def _switched_on(kind: ProviderType, environ: Mapping[str, str]) -> bool:
    has_address = kind.base_url is not None or _first(kind.base_url_env, environ) is not None
    return kind.automatic and not kind.local and has_address and _first(kind.key_env, environ) is not None


def _automatic(
    name: str, kind: ProviderType, config: Config, environ: Mapping[str, str], problems: Problems
) -> Provider | None:
    """A provider that nobody configured: its problems are warnings, for its variables may be meant for others."""
    own = Problems()
    provider = _provider(name, kind, ProviderSettings(), config, environ, own)
    for error in own.errors:
        problems.warnings.append(f"{error} (so provider {name} is not switched on)")
    return provider


def _configured(
    name: str, entry: ProviderSettings, config: Config, environ: Mapping[str, str], problems: Problems
) -> Provider | None:
    path = below("providers", name)
    if re.search(r"[:/\s]", name) or not name.isprintable() or not name:
        problems.error(path, "a provider's name must not be empty or hold `:`, `/` or blanks")
        return None
    kind = find_type(entry.type or name)
    if kind is None:
        known = [*provider_types(), *SYNONYMS]
        problems.error(
            path,
            f"unknown provider type {shown_text(entry.type or name)} (a server that speaks OpenAI's API has"
            f" `type: openai_compatible` and its `api_base`){nearest(entry.type or name, known)}",
        )
        return None
    return _provider(name, kind, entry, config, environ, problems)


def _provider(
    name: str,
    kind: ProviderType,
    entry: ProviderSettings,
    config: Config,
    environ: Mapping[str, str],
    problems: Problems,
) -> Provider | None:
    path = below("providers", name)
    before = len(problems.errors)
    is_stub = kind.via == "stub"
    _check_stub_keys(path, entry, is_stub, problems)
    _check_headers(path, entry, problems)
    base_url = "" if is_stub else _base_url(path, kind, entry, config, environ, problems)
    secret = None if is_stub else _key(path, kind, entry, environ, problems)
    speaks = _speaks(entry.dialects or _dialects(kind, base_url))
    if len(problems.errors) > before:
        return None
    return Provider(
        name=name,
        via=kind.via,
        base_url=base_url,
        secret=secret,
        speaks=speaks,
        auth=kind.auth if secret else "none",
        auths=_by_inner_name(kind.auths) if secret else {},
        paths=_by_inner_name(kind.paths),
        operations=_operations(kind, entry, base_url),
        batch_discount_percent=_first_told(entry.batch_discount_percent, kind.batch_discount_percent),
        headers=tuple(entry.client_args.custom_headers.items()),
        models=entry.models or kind.models,
        timeouts=Timeouts(
            entry.connect_timeout_s, entry.silence_timeout_s or entry.client_args.timeout or _DEFAULT_SILENCE_S
        ),
        stream_usage=kind.stream_usage if entry.stream_usage is None else entry.stream_usage,
        free=kind.local,
        unpriced_models=entry.unpriced_models,
        usage_source=kind.usage_source,
        kind=_type_name(name, entry),
        quirks=_quirks(kind.quirks, entry.quirks),
        strict=entry.translation == "strict",
        senses=Senses(documents=kind.documents),
    )


def _operations(kind: ProviderType, entry: ProviderSettings, base_url: str) -> dict[str, str]:
    """What it does beside conversations. Batches are handed to the vendor itself, to other servers only if told so."""
    found: dict[str, str] = {word: flavour for word, flavour in kind.operations.items()}  # noqa: C416  (with plain keys)
    if not _first_told(entry.batches, _is_vendors(kind, base_url)):
        found.pop("batches", None)
    return found


def _first_told(told: W | None, other: W) -> W:
    return other if told is None else told


def _by_inner_name(told: Mapping[Asked, W]) -> dict[str, W]:
    """By the names that dialects have inside; operations have the same."""
    inner: dict[str, str] = {word: name for word, name in SPOKEN.items()}  # noqa: C416  (with plain keys)
    return {inner.get(word, word): value for word, value in told.items()}


def _quirks(*layers: QuirkSettings) -> Quirks:
    """The quirks that the layers tell, each laid over those before it."""
    told = (structs.asdict(layer) for layer in layers)
    return Quirks(**{key: value for layer in told for key, value in layer.items() if value is not None})


def _speaks(words: Sequence[DialectWord]) -> tuple[str, ...]:
    return tuple(SPOKEN[word] for word in dict.fromkeys(words))


def _dialects(kind: ProviderType, base_url: str) -> tuple[DialectWord, ...]:
    """What a server of this type speaks: the vendor's own, or one at another address."""
    return kind.dialects if _is_vendors(kind, base_url) or not kind.elsewhere else kind.elsewhere


def _is_vendors(kind: ProviderType, base_url: str) -> bool:
    """Whether an address is the vendor's own, as far as the type has one."""
    return not base_url or kind.base_url is None or urlsplit(base_url).hostname == urlsplit(kind.base_url).hostname


def _type_name(name: str, entry: ProviderSettings) -> str:
    word = entry.type or name
    return SYNONYMS.get(word, word)


def _check_stub_keys(path: str, entry: ProviderSettings, is_stub: bool, problems: Problems) -> None:
    foreign = {
        "api_key": is_stub and entry.api_key,
        "api_base": is_stub and entry.api_base,
        "script": not is_stub and entry.script,
        "unpriced_models": not is_stub and entry.unpriced_models,
    }
    for key, given in foreign.items():
        if given:
            owner = "has no meaning for" if is_stub else "belongs to"
            problems.error(f"{path}.{key}", f"{owner} a provider of type stub")


def _check_headers(path: str, entry: ProviderSettings, problems: Problems) -> None:
    for name, value in entry.client_args.custom_headers.items():
        place = below(f"{path}.client_args.custom_headers", name)
        if not _HEADER_NAME.fullmatch(name):
            problems.error(place, "is not a header name")
        elif name.lower() in _OWN_HEADERS:
            problems.error(place, "is set by the gateway itself")
        elif not _HEADER_VALUE.fullmatch(value.reveal()):
            problems.error(place, "holds characters that can not travel in a header, or nothing")


def _key(
    path: str, kind: ProviderType, entry: ProviderSettings, environ: Mapping[str, str], problems: Problems
) -> Secret | None:
    """The configured key, else the first of the type's variables that is set."""
    place, secret = f"{path}.api_key", entry.api_key
    if not secret and (found := _first(kind.key_env, environ)):
        place, secret = found[0], Secret(found[1])
    if secret and not header_safe(secret):
        problems.error(place, "holds blanks or characters that can not travel in a header")
        return None
    if not secret and not kind.local and not kind.key_optional:
        variables = " or ".join(kind.key_env)
        problems.error(path, f"{kind.display_name} needs a key: set the variable {variables}, or `api_key`")
    return secret or None


def _base_url(
    path: str,
    kind: ProviderType,
    entry: ProviderSettings,
    config: Config,
    environ: Mapping[str, str],
    problems: Problems,
) -> str:
    """The configured address, else the type's variable, else the shipped one; checked, without a final slash."""
    place, url = f"{path}.api_base", entry.api_base
    if url is None and (found := _first(kind.base_url_env, environ)):
        place, url = found
        if "://" not in url:  # OLLAMA_HOST and DATABRICKS_HOST are often written without
            url = f"{'http' if kind.local else 'https'}://{url}"
    url = url or kind.base_url
    if url is None:
        variables = "".join(f", or set {name}" for name in kind.base_url_env[:1])
        problems.error(place, f"is required: {kind.display_name} has no common address{variables}")
        return ""
    parts = _split(url)
    if parts is None:
        problems.error(place, "must be an address such as https://host/v1, without user, query or fragment")
        return ""
    if _is_own(parts, config):
        own = f"{parts.scheme}://{parts.netloc}"
        problems.error(place, f"{own} is this gateway's own address; set `port`, or another address for the provider")
    return f"{parts.scheme}://{parts.netloc}" + _with_suffix(parts.path.rstrip("/"), kind.base_suffix or "")


def _split(url: str) -> SplitResult | None:
    if not _VISIBLE_ASCII.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        odd = parts.port == 0 or "@" in parts.netloc or "?" in url or "#" in url or "\\" in url
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname and not odd else None


def _with_suffix(path: str, suffix: str) -> str:
    """`path` ending in `suffix`, whatever part of it stands there already."""
    steps = suffix.split("/")
    for count in range(len(steps), 0, -1):
        if count == 1 or path.endswith("/".join(steps[:count])):
            return "/".join([path, *steps[count:]])
    return path


def _is_own(parts: SplitResult, config: Config) -> bool:
    """Whether an address is where this gateway will listen, as when OPENAI_BASE_URL was meant for its clients."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    return port == config.port and (is_loopback(host) or host in (*_ANY_ADDRESS, config.host.lower()))


def _first(names: tuple[str, ...], environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The first variable that says something, with its value."""
    return next(((name, value) for name in names if (value := environ.get(name, "").strip())), None)
