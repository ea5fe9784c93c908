"""Money is integers: pico-USD per token times tokens, rounded once, half up, to nano-USD.

1 USD = 10^9 nano-USD = 10^12 pico-USD. A price of 1 USD per million tokens is 1,000,000 pico-USD per token. All
amounts fit a signed 64-bit integer of nano-USD (about 9.2 thousand million USD); the ledger's columns are exactly that.
"""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from otari.domain.catalog import Price
from otari.domain.chat import Usage

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


def usd(nano: int) -> Decimal:
    """Nano-USD as an exact decimal number of USD."""
    return Decimal(nano) / NANO_PER_USD


def nano_usd(amount: Decimal) -> int:
    """USD as nano-USD, half up."""
    return int((amount * NANO_PER_USD).to_integral_value(ROUND_HALF_UP))


def cost(usage: Usage, price: Price) -> int:
    """What `usage` costs at `price`, in nano-USD.

    Cached parts of the input are charged at their own rate, or at the input rate when they have none. Counts that
    contradict each other (more cached than read) make the whole input plain.
    """
    total = usage.input or 0
    read = usage.cache_read or 0
    write = usage.cache_write or 0
    long_write = usage.cache_write_1h or 0
    if long_write > write or read + write > total:
        read = write = long_write = 0
    plain = total - read - write
    write_rate = price.input if price.cache_write is None else price.cache_write
    pico = (
        plain * price.input
        + read * (price.input if price.cache_read is None else price.cache_read)
        + (write - long_write) * write_rate
        + long_write * (write_rate if price.cache_write_1h is None else price.cache_write_1h)
        + (usage.output or 0) * price.output
    )
    return (pico + PICO_PER_NANO // 2) // PICO_PER_NANO


def dearest(prompt_tokens: int, output_tokens: int, price: Price) -> int:
    """An upper bound in nano-USD for a request of at most so many tokens: every prompt token at its dearest rate."""
    rates = (price.input, price.cache_read or 0, price.cache_write or 0, price.cache_write_1h or 0)
    pico = prompt_tokens * max(rates) + output_tokens * price.output
    return -(-pico // PICO_PER_NANO)


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
