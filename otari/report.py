"""The reports of `check` and `routes`: plain lines for people, JSON for programs."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from otari.config import Loaded, platform_url
from otari.domain.price import Price
from otari.domain.provider import Provider


def check_report(
    loaded: Loaded, providers: Sequence[Provider], prices: Mapping[str, tuple[Price, ...]], *, as_json: bool
) -> int:
    """Print what a valid configuration would serve."""
    config = loaded.config
    doc: dict[str, Any] = {
        "source": loaded.source,
        "address": f"http://{config.host}:{config.port}",
        "platform": platform_url(config),
        "ledger": config.database_url,
        "durability": config.durability,
        "require_pricing": config.require_pricing,
        "providers": [
            {"name": p.name, "base_url": p.base_url or None, "speaks": list(p.speaks), "models": list(p.models)}
            for p in providers
        ],
        "priced_models": sorted(prices),
        "warnings": list(loaded.warnings),
    }
    if as_json:
        return _print_json(doc)
    _print_lines(_check_lines(doc))
    return 0


def routes_report(*, as_json: bool) -> int:
    """Print the route table."""
    from otari.web.table import ROUTES, paths  # lazy: `check` must not load the web server

    rows = [
        {"method": r.method, "path": path, "access": r.access.value, "summary": r.summary}
        for r in ROUTES
        for path in paths(r)
    ]
    if as_json:
        return _print_json(rows)
    width = max(len(row["path"]) for row in rows)
    _print_lines(f"{r['method']:<5} {r['path']:<{width}}  {r['access']:<7} {r['summary']}" for r in rows)
    return 0


def _check_lines(doc: Mapping[str, Any]) -> Iterable[str]:
    yield f"configuration  {doc['source']}: valid"
    yield f"address        {doc['address']}"
    if doc["platform"] is not None:
        yield f"platform       {doc['platform']} decides and accounts: this gateway is connected"
        yield f"reports        {doc['ledger']} (durability {doc['durability']})"
    else:
        yield from _own_lines(doc)
    for warning in doc["warnings"]:
        yield f"note           {warning}"


def _own_lines(doc: Mapping[str, Any]) -> Iterable[str]:
    """What this gateway decides itself."""
    yield f"ledger         {doc['ledger']} (durability {doc['durability']})"
    yield f"pricing        {len(doc['priced_models'])} models priced, unpriced ones are " + (
        "refused (402)" if doc["require_pricing"] else "served at no recorded cost"
    )
    for provider in doc["providers"]:
        models = ", ".join(provider["models"]) or "any model"
        yield f"provider       {provider['name']}: {provider['base_url'] or 'built in'} ({models})"
    if not doc["providers"]:
        yield "provider       none: set a provider's key variable or configure one under `providers`"


def _print_lines(lines: Iterable[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


def _print_json(doc: Any) -> int:
    sys.stdout.write(orjson.dumps(doc, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0
