"""Writes the default prices that ship with Otari: `python scripts/extract_prices.py FILE [WHEEL]`.

They come from the package genai-prices (MIT; config/NOTICE.prices): from the given wheel, else from the installed
one. Its data is Python source, one call of a constructor inside another. It is read as a syntax tree and never run, so
neither the package nor what it needs has to be importable. Whatever is not known here stops the extraction: a field
that is skipped could be the one that doubles a price.

The file is JSON with a line for each model, so that a change of prices can be read as a difference. `match` names the
models that an entry is for: a text is a whole name, an object a pattern, a list means "any of these", all in lower
case. `context` is the context window in tokens, where the package tells it. Rates are pico-USD, under the names of
`otari.domain.price.Price`. The last price in the list that holds at the asked time counts, the first if none does; an
entry without rates is known and has no price.
"""

import ast
import datetime
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

# What an amount in USD per so much of something is in our unit: the rate's name, and pico-USD per USD.
RATES = {
    "input_mtok": ("input", Fraction(10**6)),
    "output_mtok": ("output", Fraction(10**6)),
    "cache_read_mtok": ("cache_read", Fraction(10**6)),
    "cache_write_mtok": ("cache_write", Fraction(10**6)),
    "cache_write_1h_mtok": ("cache_write_1h", Fraction(10**6)),
    "output_reasoning_mtok": ("reasoning", Fraction(10**6)),
    "requests_kcount": ("request_pico", Fraction(10**9)),
    "audio_hours": ("second_pico", Fraction(10**12, 3600)),
    "input_audio_hours": ("second_pico", Fraction(10**12, 3600)),
    "input_mchars": ("character_pico", Fraction(10**6)),
}
TIERED = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")

# Meters that the ledger does not have. A price that has such a rate says so by its name.
LEFT_OUT = {
    *("web_searches_kcount", "storage_searches_kcount", "input_text_messages_kcount"),
    *("input_audio_mtok", "output_audio_mtok", "cache_audio_read_mtok"),
    *("input_image_mtok", "output_image_mtok", "cache_image_read_mtok"),
    *("input_video_mtok", "output_video_mtok", "output_citation_mtok"),
    *("input_document_kpages", "input_annotated_document_kpages"),
}

# Every field that the records may have, also those that have no part in finding a price.
FIELDS = {
    "Provider": "id models fallback_model_providers name description api_pattern pricing_urls price_comments"
    " model_match provider_match extractors",
    "ModelInfo": "id match prices price_variants name description context_window price_comments deprecated",
    "ConditionalPrice": "constraint prices",
    "StartDateConstraint": "start_date",
    "TimeOfDateConstraint": "start_time end_time",
    "PriceVariant": "when prices constraint",
    "TieredPrices": "base tiers",
    "Tier": "start price",
    "ClauseEquals": "equals",
    "ClauseStartsWith": "starts_with",
    "ClauseEndsWith": "ends_with",
    "ClauseContains": "contains",
    "ClauseRegex": "regex",
    "ClauseOr": "or_",
    "ClauseAnd": "and_",
}


@dataclass(frozen=True, slots=True)
class Record:
    """A call of a constructor: its name and its arguments; one that was not given is None."""

    kind: str
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields.get(name)


def read(node: ast.expr) -> Any:
    """What the expression stands for. Raises ValueError for everything but the literals and calls that are known."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items):
            return [read(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {read(key): read(value) for key, value in zip(keys, values, strict=True) if key is not None}
        case ast.Call(func=ast.Name(id="Decimal"), args=[ast.Constant(value=str(number))], keywords=[]):
            return Decimal(number)
        case ast.Call(func=ast.Attribute(attr="date"), args=numbers, keywords=[]):
            return datetime.date(*map(read, numbers)).isoformat()
        case ast.Call(func=ast.Attribute(attr="time"), args=numbers, keywords=[ast.keyword(value=zone)]):
            if ast.unparse(zone) == "datetime.UTC":
                return datetime.time(*map(read, numbers)).isoformat()
        case ast.Call(func=ast.Name(id=kind), args=[], keywords=arguments):
            return Record(kind, {str(argument.arg): read(argument.value) for argument in arguments})
    raise ValueError(f"line {node.lineno} is not understood: {ast.unparse(node)[:120]}")


def known(record: Record, *kinds: str) -> Record:
    """`record`, if it is one of `kinds` and has only fields that are known; else ValueError."""
    if record.kind not in kinds or not record.fields.keys() <= set(FIELDS[record.kind].split()):
        raise ValueError(f"not a known {' or '.join(kinds)}: {record.kind} with {', '.join(record.fields)}")
    return record


def clause(record: Record) -> Any:
    """The condition on a model's name, as this file's format writes it."""
    known(record, *(kind for kind in FIELDS if kind.startswith("Clause")))
    ((name, what),) = record.fields.items()
    if name == "equals":
        return what.lower()
    if name == "or_":
        inner = [clause(each) for each in what]
        return [each for number, each in enumerate(inner) if each not in inner[:number]]
    if name == "and_":
        return {"and": [clause(each) for each in what]}
    return {name: what if name == "regex" else what.lower()}


def pico(amount: Decimal, factor: Fraction) -> int:
    """Half up: some amounts are quotients (a third of something) or have passed through binary fractions."""
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{amount} is not a price")
    return int(Fraction(amount) * factor + Fraction(1, 2))


def rates(amounts: Record) -> dict[str, Any]:
    """A ModelPrice as the keyword arguments of a Price, and which of its meters are left out."""
    found: dict[str, Any] = {}
    tiers: dict[int, dict[str, int]] = {}
    left_out = []
    for key, amount in amounts.fields.items():
        if key in LEFT_OUT:
            left_out.append(key)
            continue
        if key not in RATES:
            raise ValueError(f"{key} is not a known meter")
        name, factor = RATES[key]
        tiered = isinstance(amount, Record)
        rate = pico(known(amount, "TieredPrices")["base"] if tiered else amount, factor)
        if found.setdefault(name, rate) != rate:
            raise ValueError(f"two rates for {name}")
        if tiered:
            if name not in TIERED:
                raise ValueError(f"{key} has tiers")
            for tier in amount["tiers"]:
                tiers.setdefault(known(tier, "Tier")["start"] + 1, {})[name] = pico(tier["price"], factor)
    return {
        **priced(found),
        **({"tiers": filled(tiers)} if tiers else {}),
        **({"left_out": left_out} if left_out else {}),
    }


def priced(found: dict[str, int]) -> dict[str, Any]:
    """`found` with the rates that a Price always has, and its unit. Nothing stays nothing."""
    if not found:
        return {}
    if "input" in found or "output" in found:
        return {"input": 0, "output": 0, **found}
    unit = next(unit for unit in ("second", "character") if f"{unit}_pico" in found)
    return {"input": 0, "output": 0, **found, "unit": unit}


def filled(tiers: Mapping[int, Mapping[str, int]]) -> list[Any]:
    """Tiers by their smallest input, each with every rate that differs from the base there."""
    rows: list[Any] = []
    current: dict[str, int] = {}
    for smallest in sorted(tiers):
        current = {**current, **tiers[smallest]}
        rows.append([smallest, current])
    return rows


def prices(info: Record) -> list[dict[str, Any]]:
    """The prices of a model with the times at which they hold."""
    listed = info["prices"]
    if not listed:
        raise ValueError(f"{info['id']} has no list of prices")
    rows = []
    for entry in listed if isinstance(listed, list) else [Record("ConditionalPrice", {"prices": listed})]:
        row = rates(known(entry, "ConditionalPrice")["prices"])
        # No rates at all means free of charge or unknown. Only a name that says so makes a model free.
        if not row and info["id"].endswith(":free"):
            row = {"input": 0, "output": 0}
        others = [variant_name(variant) for variant in info["price_variants"] or ()]
        if others and "input" in row:
            row["left_out"] = [*row.get("left_out", ()), *dict.fromkeys(others)]
        rows.append({**when(entry["constraint"]), **row})
    return rows


def variant_name(variant: Record) -> str:
    """The condition on the request under which other rates hold ("service_tier=flex")."""
    return ",".join(f"{key}={value}" for key, value in known(variant, "PriceVariant")["when"].items())


def when(constraint: Record | None) -> dict[str, Any]:
    if constraint is None:
        return {}
    known(constraint, "StartDateConstraint", "TimeOfDateConstraint")
    if constraint.kind == "StartDateConstraint":
        return {"from": constraint["start_date"]}
    return {"utc": [constraint["start_time"], constraint["end_time"]]}


def model(info: Record) -> dict[str, Any]:
    known(info, "ModelInfo")
    match = clause(info["match"])
    return {
        "id": info["id"],
        "match": match if isinstance(match, list) else [match],
        **window(info),
        "prices": prices(info),
    }


def window(info: Record) -> dict[str, int]:
    """The context window, if it is told."""
    tokens = info["context_window"]
    if tokens is None:
        return {}
    if type(tokens) is not int or tokens <= 0:
        raise ValueError(f"{info['id']} has a context window of {tokens!r}")
    return {"context": tokens}


def providers(source: str) -> list[Record]:
    """The value of `providers` in the package's data file."""
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == "providers" and statement.value:
            return [known(record, "Provider") for record in read(statement.value)]
    raise ValueError("there is no list of providers")


def document(version: str, found: list[Record]) -> str:
    """The whole file."""
    shelves = []
    for provider in found:
        lines = ",\n".join(compact(model(info)) for info in provider["models"])
        fallback = compact(provider["fallback_model_providers"] or [])
        shelves.append(f'{compact(provider["id"])}: {{"fallback": {fallback}, "models": [\n{lines}\n]}}')
    return f'{{"source": "genai-prices {version}", "providers": {{\n' + ",\n".join(shelves) + "\n}}\n"


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def package(wheel: str | None) -> Distribution:
    """genai-prices in the wheel, or else as installed. Raises ValueError when it is not there."""
    for found in distributions(name="genai-prices", path=[wheel] if wheel else sys.path):
        return found
    raise ValueError(f"genai-prices is not in {wheel or 'this environment'}")


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print("usage: extract_prices.py FILE [WHEEL]", file=sys.stderr)
        return 2
    source = package(sys.argv[2] if len(sys.argv) == 3 else None)
    data: Any = source.locate_file("genai_prices/data.py")  # a path, or its like inside of a wheel
    text = document(source.version, providers(data.read_text(encoding="utf-8")))
    Path(sys.argv[1]).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
