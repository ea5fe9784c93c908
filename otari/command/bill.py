"""One row of the ledger explained: meters, counts, rates, amounts, the one rounding, where the numbers came from."""

from collections.abc import Iterator
from decimal import Decimal

from otari.command.screen import Screen
from otari.command.show import Column, Record, decimal_text, facts, table, value_text
from otari.domain.money import NANO_PER_USD

_METERS = (
    Column("meter", "meter"),
    Column("count", "count", "count"),
    Column("pico-USD each", "rate_pico", "count"),
    Column("pico-USD", "amount_pico", "count"),
)
_UNITS = {
    "input": "input tokens",
    "cache_read": "input tokens read from the cache",
    "cache_write": "input tokens written to the cache",
    "cache_write_1h": "input tokens written to the cache for an hour",
    "output": "output tokens",
    "reasoning": "output tokens of reasoning",
    "request": "request",
    "image": "images",
    "second": "seconds",
    "character": "characters",
}
_TOKENS = {
    "provider": "the provider's own numbers",
    "stub": "the stub's numbers",
    "partial": "in part the provider's numbers, in part a local count",
    "estimated": "a local count: the answer was cut off, or the provider said nothing usable",
    "none": "nothing was used",
}
_PRICE = {
    "config": "set in the configuration",
    "api": "set over the API or the command line",
    "default": "the price list that comes with this release",
    "none": "nobody set one",
}
_FLAGS = {
    "estimated": "some of the numbers are a local count",
    "client_gone": "the client left before the end",
    "usage_invalid": "the provider's numbers could not be believed and were not used",
}
_ABOUT = (
    Column("row", "id"),
    Column("request", "request_id"),
    Column("time", "timestamp", "time"),
    Column("user", "user_id"),
    Column("key", "key"),
    Column("endpoint", "endpoint"),
    Column("asked for", "selector"),
    Column("answered by", "answered_by"),
    Column("ended as", "ended_as"),
    Column("error", "error_message"),
)


def bill_lines(record: Record, screen: Screen) -> list[str]:
    """The whole bill in lines: sentences for people, or a word, a tab and values for programs."""
    if not screen.terminal:
        return [*facts(_ABOUT, _about(record), screen), *_plain(record, screen)]
    lines = [*facts(_ABOUT, _about(record), screen), ""]
    lines += [*_arithmetic(record, screen), ""]
    return lines + [f"{screen.paint('faint', word.ljust(7))}  {text}" for word, text in _words(record, screen)]


def _about(record: Record) -> Record:
    key_id, name = record["api_key_id"], record["api_key_name"]
    attempt = record["attempt_position"]
    return {
        **record,
        "key": "the master key" if key_id is None else (f"{name} ({key_id})" if name else key_id),
        "answered_by": f"{record['provider']}:{record['model']}" + (f" (attempt {attempt})" if attempt > 1 else ""),
        "ended_as": ", ".join(
            str(w) for w in (record["state"], record["status"], record["status_code"]) if w is not None
        ),
    }


def _arithmetic(record: Record, screen: Screen) -> Iterator[str]:
    """The table of meters, its sum and its rounding; or why there is none."""
    lines, cost_nano = record["lines"], record["cost_nano_usd"]
    if not lines:
        yield _without_lines(record)
        return
    named = [{**line, "meter": _UNITS.get(line["meter"], line["meter"])} for line in lines]
    total = {"meter": "sum", "amount_pico": record["sum_pico_usd"]}
    yield from table(_METERS, [*named, total], screen)
    rounded = record["rounded_nano_usd"]
    yield f"rounded once, half up: {rounded:,} nano-USD"
    if rounded != cost_nano:
        yield screen.paint("bad", f"but the row says {cost_nano} nano-USD")
    yield screen.paint("head", f"cost: {_usd(cost_nano)} USD")


def _without_lines(record: Record) -> str:
    cost_nano = record["cost_nano_usd"]
    if record["state"] == "open":
        return "The request is still under way: nothing is charged yet."
    if cost_nano is None:
        return "No price was known for the model, so nothing was charged (cost: none)."
    if record["state"] == "recovered":
        return f"The gateway stopped under way. What was used will never be known; {_usd(cost_nano)} USD were charged."
    if record["state"] == "released":
        return "No provider worked for this request: the hold was given back, nothing was charged."
    if record["status"] == "absorbed":
        return "This attempt gave no answer, and another was tried: it is not charged."
    if "usage_invalid" in record["flags"] and cost_nano:
        return f"The numbers could not be believed, so the hold was charged: {_usd(cost_nano)} USD."
    return f"Nothing was counted. cost: {_usd(cost_nano)} USD"


def _words(record: Record, screen: Screen) -> Iterator[tuple[str, str]]:
    """Where the numbers came from, what was held, what is to be said."""
    source = record["usage_source"]
    yield "tokens", f"{_TOKENS.get(source, 'not known yet')} ({source})" if source else "not known yet"
    price = f"{_PRICE.get(record['price_source'], record['price_source'])} ({record['price_source']})"
    tier = record["tier_from_input_tokens"]
    yield "price", price + (f"; the rates for prompts of {tier:,} tokens and more" if tier is not None else "")
    yield "hold", _hold(record)
    if not record["counts_toward_budget"]:
        yield "budget", "the user's account was spared: the key is excluded from its budget"
    for flag in record["flags"]:
        yield "flag", f"{flag}: {_FLAGS[flag]}" if flag in _FLAGS else value_text(flag, "text", screen)
    if record["dropped"]:
        yield "dropped", f"not carried by the translation: {', '.join(record['dropped'])}"


def _hold(record: Record) -> str:
    held, cost_nano = _nano(record["hold"]), record["cost_nano_usd"] or 0
    text = f"{_usd(held)} USD held before the provider was asked"
    if record["hold_estimated"]:
        text += " (an estimate: no limit on the output was known)"
    if record["state"] == "open":
        return text
    if record["over_hold"]:
        return f"{text}; the charge is {_usd(cost_nano - held)} USD above it"
    return f"{text}, {_usd(cost_nano)} charged, {_usd(held - cost_nano)} given back"


def _plain(record: Record, screen: Screen) -> Iterator[str]:
    for line in record["lines"]:
        yield "\t".join(["line", *(value_text(line[c.field], c.kind, screen) for c in _METERS)])
    for name in ("sum_pico_usd", "rounded_nano_usd", "cost_nano_usd", "cost", "hold", "hold_estimated", "over_hold"):
        yield f"{name}\t{value_text(record[name], 'text', screen)}"
    for name in ("usage_source", "price_source", "tier_from_input_tokens", "counts_toward_budget"):
        yield f"{name}\t{value_text(record[name], 'text', screen)}"
    yield f"flags\t{','.join(record['flags'])}"
    yield f"dropped\t{','.join(record['dropped'])}"


def _usd(nano: int) -> str:
    return decimal_text(Decimal(nano) / NANO_PER_USD)


def _nano(amount: Decimal) -> int:
    return int(Decimal(amount) * NANO_PER_USD)
