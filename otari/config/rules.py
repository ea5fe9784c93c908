"""What must hold between keys: addresses and the master key, names, aliases and prices and the providers they name."""

import re
from collections.abc import Mapping
from typing import TypeVar

from msgspec import structs

from otari.config.model_limits import check_limits
from otari.config.pricing import check_rates
from otari.config.problems import Problems, below, nearest, shown_text
from otari.config.providers import header_safe, is_loopback
from otari.config.settings import CapabilitySettings, Config, LimitSettings, PriceSettings
from otari.domain.access import MASTER_KEY_MIN_BYTES

E = TypeVar("E", PriceSettings, LimitSettings, CapabilitySettings)

SQLITE_PREFIX = "sqlite:///"

_MIN_DISTINCT_CHARACTERS = 6
_HOST = re.compile(r"[A-Za-z0-9_.-]+|\[?[0-9A-Fa-f:.]+\]?")
_PLACEHOLDER = re.compile(r"change[-_]?me|replace[-_]?(me|this)|your[-_]|<", re.IGNORECASE)  # how such texts begin


def check(config: Config, provider_names: set[str], labels: Mapping[str, str], problems: Problems) -> Config:
    """Tell every broken rule; the configuration comes back with the names of models brought into one form.

    `provider_names` are all that will be served, `labels` the names of top-level places that came from variables. What
    a platform decides is not looked at when there is one: it is not used.
    """
    _check_database(config, labels, problems)
    _check_hosts(config, labels, problems)
    if config.ai_token is not None:
        return config
    _check_master_key(config, labels, problems)
    _check_aliases(config, provider_names, problems)
    _check_describer(config, provider_names, problems)
    for model, price in config.pricing.items():
        check_rates(model, price, problems)
    for model, limits in config.model_limits.items():
        check_limits(model, limits, problems)
    return structs.replace(
        config,
        pricing=_of_known_models("pricing", config.pricing, "price", provider_names, problems),
        model_limits=_of_known_models("model_limits", config.model_limits, "limit", provider_names, problems),
        model_capabilities=_of_known_models(
            "model_capabilities", config.model_capabilities, "entry", provider_names, problems
        ),
    )


def _check_master_key(config: Config, labels: Mapping[str, str], problems: Problems) -> None:
    place = labels.get("master_key", "master_key")
    if config.master_key is None:
        if not is_loopback(config.host):
            problems.error(
                labels.get("host", "host"),
                f"{shown_text(config.host)} can be reached from other machines: set `master_key` (at least"
                f" {MASTER_KEY_MIN_BYTES} bytes) first, or listen on 127.0.0.1",
            )
        return
    key = config.master_key.reveal()
    if len(key.encode("utf-8", "surrogatepass")) < MASTER_KEY_MIN_BYTES:
        problems.error(place, f"must have at least {MASTER_KEY_MIN_BYTES} bytes")
    elif not header_safe(config.master_key):
        problems.error(place, "holds blanks or characters that can not travel in a header")
    elif _PLACEHOLDER.match(key) or len(set(key)) < _MIN_DISTINCT_CHARACTERS:
        problems.error(place, "is easy to guess; `openssl rand -hex 32` makes a good one")


def _check_database(config: Config, labels: Mapping[str, str], problems: Problems) -> None:
    """The value is not shown: the address of a database server would hold its password."""
    path = config.database_url.removeprefix(SQLITE_PREFIX)
    if not config.database_url.startswith(SQLITE_PREFIX) or not path or ":memory:" in path or "?" in path:
        problems.error(
            labels.get("database_url", "database_url"),
            f"must be {SQLITE_PREFIX} and a file, such as {SQLITE_PREFIX}./otari.db; no other is supported yet",
        )


def _check_hosts(config: Config, labels: Mapping[str, str], problems: Problems) -> None:
    if not _HOST.fullmatch(config.host):
        problems.error(labels.get("host", "host"), "must be a host name or an IP address")
    for index, name in enumerate(config.allowed_hosts):
        if not _HOST.fullmatch(name):
            problems.error(f"allowed_hosts[{index}]", "must be a host name or an IP address, without scheme and port")


def _check_aliases(config: Config, provider_names: set[str], problems: Problems) -> None:
    for name, targets in config.aliases.items():
        path = below("aliases", name)
        if re.search(r"[:/\s]", name) or not name.isprintable() or not name:
            problems.error(path, "an alias must not be empty or hold `:`, `/` or blanks")
        elif name in provider_names:
            problems.error(path, "is the name of a provider")
        if not targets:
            problems.error(path, "names no model")
        for target in targets:
            parts = _split_selector(target)
            if target in config.aliases:
                problems.error(path, f"{shown_text(target)} is an alias itself; aliases do not chain")
            elif parts is None:
                problems.error(path, f"{shown_text(target)} must be written `provider:model`")
            elif parts[0] not in provider_names:
                hint = nearest(parts[0], provider_names)
                problems.error(path, f"provider {shown_text(parts[0])} is not configured{hint}")


def _check_describer(config: Config, provider_names: set[str], problems: Problems) -> None:
    """The model that describes pictures must be there, and see them."""
    selector, path = config.vision_describe_model, "vision_describe_model"
    for target in config.aliases.get(selector or "", (selector,)):
        if target is None:
            continue
        parts = _split_selector(target)
        if parts is None or parts[0] not in provider_names:
            problems.error(path, f"{shown_text(target)} is not a model of a configured provider")
            continue
        told = config.model_capabilities.get(":".join(parts)) or config.model_capabilities.get("/".join(parts))
        if told is not None and not told.supports_image:
            problems.error(path, f"{shown_text(target)} sees no pictures, as `model_capabilities` says")


def _of_known_models(
    section: str, entries: Mapping[str, E], what: str, provider_names: set[str], problems: Problems
) -> dict[str, E]:
    """The entries of models whose provider is served, by `provider:model`."""
    known: dict[str, E] = {}
    for key, entry in entries.items():
        path = below(section, key)
        parts = _split_selector(key)
        if parts is None:
            problems.error(path, "must be written `provider:model`")
        elif parts[0] not in provider_names:
            problems.warn(path, f"provider {shown_text(parts[0])} is not configured, the {what} is not used")
        elif ":".join(parts) in known:
            problems.error(path, "stands twice, once with `:` and once with `/`")
        else:
            known[":".join(parts)] = entry
    return known


def _split_selector(selector: str) -> tuple[str, str] | None:
    """Provider and model, cut at the first `:` or `/` as the catalog does."""
    found = re.fullmatch(r"([^:/]+)[:/](.+)", selector, re.DOTALL)
    return (found[1], found[2]) if found else None
