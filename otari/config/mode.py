"""Connected to a control plane or standing alone: what the configuration and its older variables say of that."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from otari.config.environment import Substituted
from otari.config.problems import Problems, below
from otari.config.providers import header_safe, is_loopback, usable_address
from otari.config.settings import Config

TOKEN_VARIABLE = "OTARI_AI_TOKEN"  # noqa: S105 - the name of a variable
_OLDER_TOKEN_VARIABLES = ("OTARI_PLATFORM_TOKEN", "ANY_LLM_PLATFORM_TOKEN")
TOKEN_VARIABLES = (TOKEN_VARIABLE, *_OLDER_TOKEN_VARIABLES)
_VARIABLES = {
    "PLATFORM_BASE_URL": "base_url",
    "PLATFORM_RESOLVE_TIMEOUT_MS": "resolve_timeout_ms",
    "PLATFORM_USAGE_TIMEOUT_MS": "usage_timeout_ms",
    "PLATFORM_USAGE_INLINE_TIMEOUT_MS": "usage_inline_timeout_ms",
    "STREAMING_FALLBACK_FIRST_CHUNK_TIMEOUT_MS": "streaming_first_chunk_timeout_ms",
    "STREAMING_FALLBACK_FINAL_ATTEMPT_EXTRA_FIRST_CHUNK_TIMEOUT_MS": "streaming_final_attempt_extra_timeout_ms",
}
_WITHOUT_MEANING = {
    "usage_max_retries": "reports are sent again until they are taken",
    "streaming_first_chunk_timeout_ms_tool_loop": "this gateway has no tool loop yet",
}

_DECIDED_THERE = (
    *("aliases", "pricing", "model_limits", "master_key"),
    *("rate_limit_rpm", "rate_limit_tpm", "key_rate_limit_rpm", "key_rate_limit_tpm"),
)


def platform_url(config: Config) -> str | None:
    """The address of the platform that decides and accounts; None when this gateway does."""
    return None if config.ai_token is None else config.platform.base_url


def with_platform(raw: Mapping[str, Any], environ: Mapping[str, str], problems: Problems) -> dict[str, Any]:
    """`raw` with what the variables of the platform say; the document's own keys win over those of `platform`."""
    doc = dict(raw)
    token = doc.pop("ai_token", None)
    given = (token, *(Substituted(environ.get(name, "")) for name in _OLDER_TOKEN_VARIABLES))
    if (first := next(filter(_says_something, given), None)) is not None:
        doc["ai_token"] = type(first)(first.strip()) if isinstance(first, str) else first
    block = doc.get("platform") or {}
    if isinstance(block, dict):
        told = {key: Substituted(environ[name]) for name, key in _VARIABLES.items() if environ.get(name)}
        doc["platform"] = {**told, **_meaningful(block, problems)}
    return doc


def _says_something(token: object) -> bool:
    return token is not None and (not isinstance(token, str) or bool(token.strip()))


def _meaningful(block: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    for key in block.keys() & _WITHOUT_MEANING.keys():
        problems.warn(
            below("platform", key), f"has no meaning for this gateway and is ignored: {_WITHOUT_MEANING[key]}"
        )
    return {key: value for key, value in block.items() if key not in _WITHOUT_MEANING}


def check_mode(config: Config, problems: Problems) -> None:
    """The mode that was asked for must be the one that the token brings about; connected, credentials stay outside."""
    if config.ai_token is None:
        if config.mode not in (None, "standalone"):
            problems.error("mode", f"{config.mode} requires {TOKEN_VARIABLE} to be set: it leads to the platform")
        return
    if config.mode == "standalone":
        problems.error("mode", f"standalone, but {TOKEN_VARIABLE} is set: unset it, or leave out `mode`")
    if not header_safe(config.ai_token):
        problems.error("ai_token", "holds blanks or characters that can not travel in a header")
    _check_address(config.platform.base_url, problems)
    _check_providers(config, problems)
    for key in _DECIDED_THERE:
        if getattr(config, key):
            problems.warn(key, "is not used when connected: the platform decides")


def _check_address(base_url: str, problems: Problems) -> None:
    place = "platform.base_url"
    if not usable_address(base_url):
        problems.error(place, "must be an address such as https://host/api/v1, without user, query or fragment")
    elif base_url.startswith("http:") and not is_loopback(urlsplit(base_url).hostname or ""):
        problems.warn(place, "is not https: tokens and keys of providers travel in the clear")


def _check_providers(config: Config, problems: Problems) -> None:
    for name, entry in config.providers.items():
        place = below("providers", name)
        if entry.api_key or entry.client_args.custom_headers or "@" in (entry.api_base or ""):
            problems.error(
                place, "local provider credentials are not supported when connected: the platform gives them; remove it"
            )
        else:
            problems.warn(place, "is not used when connected: the platform chooses providers")
