"""`otari.pyz prices …`: what models cost, since when and from when on."""

import sqlite3
from typing import Any

from otari.command.errand import Errand
from otari.command.parsing import Parser, Verb, limit_option, moment, number, typed
from otari.command.request import Request, path
from otari.command.show import Column, Record
from otari.command.trouble import Trouble, wrong
from otari.domain.money import rate, unit_rate
from otari.domain.price import Price
from otari.store import prices, records
from otari.store.records import iso

_COLUMNS = (
    Column("model", "model_key"),
    Column("in force from", "effective_at", "time"),
    Column("input", "input_price_per_million", "money"),
    Column("output", "output_price_per_million", "money"),
    Column("cache read", "cache_read_price_per_million", "money"),
    Column("cache write", "cache_write_price_per_million", "money"),
    Column("cache write 1h", "cache_write_1h_price_per_million", "money"),
    Column("source", "origin"),
)
_FACTS = (
    *_COLUMNS,
    Column("reasoning", "reasoning_price_per_million", "money"),
    Column("per request", "price_per_request", "money"),
    Column("per image", "price_per_image", "money"),
    Column("per second", "price_per_second", "money"),
    Column("per character", "price_per_character", "money"),
    Column("unit", "unit"),
    Column("long prompts", "pricing_tiers"),
    Column("set", "updated_at", "time"),
)
_UNIT = "rates: USD per million tokens"
# Options for rates: the API's field and the name in `Price`.
_TOKEN_RATES = {
    "input": "input",
    "output": "output",
    "cache-read": "cache_read",
    "cache-write": "cache_write",
    "cache-write-1h": "cache_write_1h",
    "reasoning": "reasoning",
}
_EACH = ("request", "image", "second", "character")


def list_prices(errand: Errand) -> None:
    """Every price that was set, by model and newest first."""

    def directly(conn: sqlite3.Connection, limit: int, after: str | None) -> list[Record]:
        return [records.price_record(row) for row in prices.list_prices(conn, limit=limit, after=after)]

    errand.show_table(_COLUMNS, errand.listed(directly, Request("GET", path("pricing")), _cursor), "no prices")
    errand.note(_UNIT)


def show_price(errand: Errand) -> None:
    """The price that is in force, or was at a time."""
    model_key = _model_key(errand.options.model)
    at_ms = errand.now_ms if errand.options.at is None else moment(errand.options.at, errand.now_ms)

    def directly(conn: sqlite3.Connection) -> Record:
        row = prices.find_effective(conn, model_key, at_ms)
        if row is None:
            raise Trouble(f"Pricing for model '{model_key}' not found")
        return records.price_record(row)

    record = errand.place.read(directly, Request("GET", path("pricing", model_key), {"as_of": iso(at_ms)}))
    errand.show_facts(_FACTS, record)
    errand.note(_UNIT)


def show_history(errand: Errand) -> None:
    """All prices of a model, newest first."""
    model_key = _model_key(errand.options.model)

    def directly(conn: sqlite3.Connection) -> list[Record]:
        rows = prices.history(conn, model_key)
        if not rows:
            raise Trouble(f"Pricing for model '{model_key}' not found")
        return [records.price_record(row) for row in rows]

    found = errand.place.read(directly, Request("GET", path("pricing", model_key, "history")))
    errand.show_table(_COLUMNS, found, "no prices")
    errand.note(_UNIT)


def set_price(errand: Errand) -> None:
    """A price that holds from now on, or from a time on."""
    options = errand.options
    model_key = _model_key(options.model)
    typed_rates = {name: value for name, value in vars(options).items() if name.startswith("rate_")}
    price = _price(typed_rates)
    at_ms = errand.now_ms if options.effective_at is None else moment(options.effective_at, errand.now_ms, ahead=True)

    def op(conn: sqlite3.Connection) -> Record:
        return records.price_record(prices.set_price(conn, model_key, price, at_ms, "api", errand.now_ms))

    body = {"model_key": model_key, "effective_at": iso(at_ms), **_body(typed_rates)}
    record = errand.place.write(lambda db: db.write(op), Request("POST", path("pricing"), body=body))
    errand.show_facts(_FACTS, record)
    errand.note(_UNIT)


def delete_price(errand: Errand) -> None:
    """Delete one price of a model, or all of them. What was charged stays as it was."""
    model_key, at = _model_key(errand.options.model), errand.options.effective_at
    if (at is None) == (not errand.options.all):
        raise wrong("say which price: --effective-at TIME, or --all for the whole history of the model")
    at_ms = None if at is None else moment(at, errand.now_ms)

    def op(conn: sqlite3.Connection) -> int:
        removed = prices.remove_prices(conn, model_key, at_ms)
        if not removed:
            which = "" if at_ms is None else f" with effective_at {iso(at_ms)}"
            raise Trouble(f"Pricing for model '{model_key}'{which} not found")
        return removed

    query = {"effective_at": None if at_ms is None else iso(at_ms)}
    errand.place.write(lambda db: db.write(op), Request("DELETE", path("pricing", model_key), query))
    errand.done(f"deleted {'all prices' if at_ms is None else 'the price'} of {model_key}", deleted=model_key)


def _model_key(text: str) -> str:
    """`provider:model`, also when it was written `provider/model`."""
    cut = min((place for place in (text.find(":"), text.find("/")) if place > 0), default=-1)
    if cut < 0 or cut == len(text) - 1:
        raise wrong(f"{text!r} is not a model: write provider:model")
    return f"{text[:cut]}:{text[cut + 1 :]}"


def _cursor(record: Record) -> str:
    """What the API takes for `after` in a list of prices."""
    return f"{moment(record['effective_at'], 0)}@{record['model_key']}"


def _price(rates: Record) -> Price:
    """The price that the options say, exact or refused."""
    try:
        tokens = {name: rate(given) for name in _TOKEN_RATES.values() if (given := rates[f"rate_{name}"]) is not None}
        each = {name: unit_rate(given) for name in _EACH if (given := rates[f"rate_{name}"]) is not None}
    except ValueError as error:
        raise wrong(str(error)) from None
    return Price(
        tokens["input"],
        tokens["output"],
        tokens.get("cache_read"),
        tokens.get("cache_write"),
        tokens.get("cache_write_1h"),
        source="api",
        reasoning=tokens.get("reasoning"),
        request_pico=each.get("request", 0),
        image_pico=each.get("image", 0),
        second_pico=each.get("second", 0),
        character_pico=each.get("character", 0),
    )


def _body(rates: Record) -> dict[str, Any]:
    tokens = {f"{name}_price_per_million": rates.get(f"rate_{name}") for name in _TOKEN_RATES.values()}
    each = {f"price_per_{name}": rates.get(f"rate_{name}") for name in _EACH}
    return {name: value for name, value in (tokens | each).items() if value is not None}


def _model(parser: Parser) -> None:
    parser.add_argument("model", metavar="PROVIDER:MODEL")


def _show_options(parser: Parser) -> None:
    _model(parser)
    parser.add_argument("--at")


def _set_options(parser: Parser) -> None:
    _model(parser)
    parser.add_argument("--effective-at")
    for word, name in _TOKEN_RATES.items():
        required = name in ("input", "output")
        parser.add_argument(f"--{word}", dest=f"rate_{name}", type=typed(number), required=required)
    for name in _EACH:
        parser.add_argument(f"--per-{name}", dest=f"rate_{name}", type=typed(number))


def _delete_options(parser: Parser) -> None:
    _model(parser)
    parser.add_argument("--effective-at")
    parser.add_argument("--all", action="store_true")


VERBS = {
    "list": Verb(list_prices, limit_option),
    "show": Verb(show_price, _show_options),
    "history": Verb(show_history, _model),
    "set": Verb(set_price, _set_options),
    "delete": Verb(delete_price, _delete_options),
}
