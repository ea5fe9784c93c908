"""Money is integers: pico-USD per token times tokens, rounded once, half up, to nano-USD.

1 USD = 10^9 nano-USD = 10^12 pico-USD. A price of 1 USD per million tokens is 1,000,000 pico-USD per token. All
amounts fit a signed 64-bit integer of nano-USD (about 9.2 thousand million USD); the ledger's columns are exactly that.
Rates that do not count tokens are pico-USD per request, image, second or character.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from otari.domain.chat import Usage
from otari.domain.price import Price

NANO_PER_USD = 1_000_000_000
PICO_PER_NANO = 1_000
MAX_NANO_USD = 9_000_000_000 * NANO_PER_USD
MAX_TOKENS = 1_000_000_000

# Upper bounds for parts that are not text, in tokens. No published rule of the vendors bills one picture above this
# (OpenAI: tiles of 170 tokens or patches up to 10,000 times a factor below 1; Anthropic: at most about 4,800).
IMAGE_TOKENS = 10_000

# A file that the provider fetches itself, or that it already has: nothing of its size is known here. 50,000 tokens are
# a document of about a hundred pages.
REMOTE_FILE_TOKENS = 50_000


def rate(usd_per_million: Decimal) -> int:
    """USD per million tokens as pico-USD per token. Raises ValueError for negative, non-finite or finer than 10^-6."""
    try:
        pico = usd_per_million * 1_000_000
        whole = pico.to_integral_value()
    except InvalidOperation:
        raise ValueError("not a price") from None
    if not usd_per_million.is_finite() or usd_per_million < 0:
        raise ValueError("a price must be a number that is not negative")
    if whole != pico:
        raise ValueError("a price is exact to 0.000001 USD per million tokens; this one is finer")
    if whole > 10**15:
        raise ValueError("a price above 1,000,000,000 USD per million tokens is not believable")
    return int(whole)


def unit_rate(usd_each: Decimal) -> int:
    """USD per request, image, second or character as pico-USD. Raises ValueError as `rate` does."""
    try:
        return rate(usd_each * 1_000_000)
    except ValueError:
        raise ValueError("a price must be a number from 0 to 1,000 USD, exact to 0.000000000001 USD") from None


def usd(nano: int) -> Decimal:
    """Nano-USD as an exact decimal number of USD."""
    return Decimal(nano) / NANO_PER_USD


def nano_usd(amount: Decimal) -> int:
    """USD as nano-USD, half up."""
    return int((amount * NANO_PER_USD).to_integral_value(ROUND_HALF_UP))


def exact_nano(amount: Decimal) -> int:
    """USD as nano-USD. Raises ValueError for negative, non-finite, unbelievably large amounts, and finer ones."""
    if not amount.is_finite() or amount < 0:
        raise ValueError("an amount must be a number that is not negative")
    if amount > MAX_NANO_USD // NANO_PER_USD:
        raise ValueError("an amount is at most 9,000,000,000 USD")
    nano = amount * NANO_PER_USD
    if nano != nano.to_integral_value():
        raise ValueError("an amount is exact to 0.000000001 USD; this one is finer")
    return int(nano)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill: so many of a meter's units at a rate. The amounts of all lines are summed, then rounded."""

    meter: str
    count: int
    rate_pico: int
    amount_pico: int


def explain(usage: Usage, price: Price, quantity: int = 0) -> tuple[Line, ...]:
    """The lines of the bill for `usage` at `price`; meters that counted nothing are left out.

    `quantity` is what the price's `unit` counts beside tokens: images, seconds or characters. A meter without a rate
    of its own is charged like the one that it is a part of. Counts that contradict each other (more cached than read,
    more reasoned than written) make the whole plain. A long prompt's tier holds for every token of the request.
    """
    meters = _meters(usage, price, quantity)
    return tuple(Line(meter, count, rate_pico, count * rate_pico) for meter, count, rate_pico in meters if count)


def _meters(usage: Usage, price: Price, quantity: int) -> list[tuple[str, int, int]]:
    """Every meter that may have counted: its name, its count and its rate."""
    if price.tiers:
        price = price.for_input(usage.input or 0)
    plain, read, write, long_write = _input_parts(usage)
    written, reasoned = _output_parts(usage)
    meters = [("input", plain, price.input), ("output", written, price.output)]
    if plain != usage.input:
        write_rate = price.input if price.cache_write is None else price.cache_write
        meters[1:1] = (
            ("cache_read", read, price.input if price.cache_read is None else price.cache_read),
            ("cache_write", write, write_rate),
            ("cache_write_1h", long_write, write_rate if price.cache_write_1h is None else price.cache_write_1h),
        )
    if reasoned:
        meters.append(("reasoning", reasoned, price.output if price.reasoning is None else price.reasoning))
    if price.request_pico:
        meters.append(("request", 1, price.request_pico))
    if quantity:
        units = (("image", price.image_pico), ("second", price.second_pico), ("character", price.character_pico))
        meters += [(meter, quantity, rate_pico) for meter, rate_pico in units if rate_pico]
    return meters


def _input_parts(usage: Usage) -> tuple[int, int, int, int]:
    """Plain tokens, and those read from a cache, written to it, and written to one kept for an hour."""
    total, read = usage.input or 0, usage.cache_read or 0
    write, long_write = usage.cache_write or 0, usage.cache_write_1h or 0
    if long_write > write or read + write > total:
        return total, 0, 0, 0
    return total - read - write, read, write - long_write, long_write


def _output_parts(usage: Usage) -> tuple[int, int]:
    """Plain tokens, and reasoning."""
    total, reasoned = usage.output or 0, usage.reasoning or 0
    return (total, 0) if reasoned > total else (total - reasoned, reasoned)


def cost(usage: Usage, price: Price, quantity: int = 0) -> int:
    """What `usage` costs at `price`, in nano-USD: the sum of the lines of `explain`, rounded once, half up."""
    pico = 0
    for _, count, rate_pico in _meters(usage, price, quantity):
        pico += count * rate_pico
    return (pico + PICO_PER_NANO // 2) // PICO_PER_NANO


def dearest(prompt_tokens: int, output_tokens: int, price: Price, quantity: int = 0) -> int:
    """An upper bound in nano-USD for a request of at most so many tokens: every token at its dearest rate.

    It holds whatever part of the prompt is counted, so every tier that can be reached is looked at.
    """
    pico = _dearest_pico(prompt_tokens, output_tokens, price)
    for tier in price.tiers:
        if tier.min_input_tokens <= prompt_tokens:
            reached = price.for_input(tier.min_input_tokens)
            pico = max(pico, _dearest_pico(prompt_tokens, output_tokens, reached))
    pico += price.request_pico + quantity * (price.image_pico + price.second_pico + price.character_pico)
    return -(-pico // PICO_PER_NANO)


def _dearest_pico(prompt_tokens: int, output_tokens: int, price: Price) -> int:
    of_input = max(price.input, price.cache_read or 0, price.cache_write or 0, price.cache_write_1h or 0)
    return prompt_tokens * of_input + output_tokens * max(price.output, price.reasoning or 0)


def document_tokens(decoded_bytes: int) -> int:
    """An upper bound for a PDF of so many bytes, in tokens.

    Providers read the text of each page and often its picture too (1,500 to 3,000 tokens a page). Text is compressed
    inside a PDF, but fonts and layout weigh more than the text does: a quarter of the bytes stays above both for
    ordinary documents, and no document is taken for less than two pages.
    """
    return max(4_000, decoded_bytes // 4 + 2_000)


def audio_tokens(decoded_bytes: int) -> int:
    """An upper bound for sound of so many bytes, in tokens.

    OpenAI counts 10 tokens a second and Gemini 32. WAV for speech (16 kHz, 16 bit) has 32,000 bytes a second, so one
    token for every 400 bytes gives 80; MP3 for speech has 4,000 to 8,000 bytes a second, which gives 10 to 20.
    """
    return decoded_bytes // 400 + 100


def believable(usage: Usage) -> Usage | None:
    """`usage` if every number it tells is an integer of 0 … 10^9 tokens, else None (the provider errs)."""
    for number in usage:
        if number is not None and (type(number) is not int or not 0 <= number <= MAX_TOKENS):
            return None
    return usage
