"""From the outcome of a request to the end of its row: what is charged, at which rates, in which words. Pure."""

from typing import Literal, NamedTuple

from otari.domain import money
from otari.domain.chat import Usage
from otari.domain.ports import Attempt, FailedAttempt, Outcome
from otari.domain.price import Price
from otari.store.ledger import Absorbed, Hold, Settlement
from otari.store.price_text import write_rates

ERROR_MAX_CHARACTERS = 2_000
_NOTHING = Usage()


class Ticket(NamedTuple):
    """What the standalone control plane remembers of an admission: the row it wrote, and a price per attempt."""

    hold: Hold
    attempts: tuple[Attempt, ...]
    prices: tuple[Price | None, ...]

    def price_of(self, attempt: Attempt) -> Price | None:
        """The price of an attempt as it was at admission, whatever has been set since."""
        for mine, price in zip(self.attempts, self.prices, strict=True):
            if mine is attempt or mine == attempt:
                return price
        raise ValueError(f"{attempt.provider}:{attempt.model} was not among the attempts of {self.hold.id}")


def settlement(ticket: Ticket, outcome: Outcome, settled_at_ms: int) -> Settlement:
    """How the row of `ticket` ends.

    A failure that gave no usage at all is released: no provider worked for it. Everything else is charged for what
    was told, at the price of the attempt that answered, even above the hold.
    """
    price = ticket.prices[-1] if outcome.attempt is None else ticket.price_of(outcome.attempt)
    usage = outcome.usage
    if not outcome.succeeded and outcome.usage_source == "none" and usage == _NOTHING and not outcome.quantity:
        return _end(ticket, outcome, "released", usage, price, 0, outcome.flags, settled_at_ms)
    if money.believable(usage) is None:
        # Numbers are checked, and replaced by a local count, where they are read. Should such ones come as far as
        # this, only the hold is known to be enough, and no request is free.
        cost_nano = None if price is None else ticket.hold.hold_nano
        flags = (*outcome.flags, "usage_invalid", "estimated")
        return _end(ticket, outcome, "settled", _NOTHING, price, cost_nano, flags, settled_at_ms)
    cost_nano = None if price is None else min(money.cost(usage, price, outcome.quantity), money.MAX_NANO_USD)
    return _end(ticket, outcome, "settled", usage, price, cost_nano, outcome.flags, settled_at_ms)


def _end(
    ticket: Ticket,
    outcome: Outcome,
    state: Literal["settled", "released"],
    usage: Usage,
    price: Price | None,
    cost_nano: int | None,
    flags: tuple[str, ...],
    settled_at_ms: int,
) -> Settlement:
    attempt = outcome.attempt or ticket.attempts[-1]
    return Settlement(
        state,
        "success" if outcome.succeeded else "error",
        attempt.provider,
        attempt.model,
        outcome.status,
        cost_nano is not None and cost_nano > ticket.hold.hold_nano,
        usage.input,
        usage.output,
        usage.cache_read,
        usage.cache_write,
        usage.cache_write_1h,
        usage.reasoning,
        outcome.quantity or None,
        cost_nano,
        *_rates(ticket, price, usage.input or 0),
        outcome.usage_source,
        ",".join(dict.fromkeys(flags)),
        _text(outcome.error),
        len(outcome.failed) + 1,
        settled_at_ms,
        None if outcome.first_byte_s is None else _ms(outcome.first_byte_s),
        _ms(outcome.total_s),
        "\n".join(outcome.dropped),
    )


def withdrawn(ticket: Ticket, settled_at_ms: int) -> Settlement:
    """The end of a row whose caller was gone before it learned that it was admitted."""
    error = "the client left before a provider was asked"
    outcome = Outcome(None, False, 499, _NOTHING, "none", error, ("client_gone",))
    return settlement(ticket, outcome, settled_at_ms)


def absorbed(failed: tuple[FailedAttempt, ...]) -> tuple[Absorbed, ...]:
    """The rows of the attempts that gave no answer."""
    return tuple(
        Absorbed(f.attempt.provider, f.attempt.model, f.status, _text(f.error) or "", _ms(f.total_s)) for f in failed
    )


def _rates(ticket: Ticket, price: Price | None, input_tokens: int) -> tuple[str | None, str]:
    if price is ticket.prices[0] and (price is None or not price.tiers):
        return ticket.hold.rates, ticket.hold.price_source  # as the row already has them
    return rates(price, input_tokens)


def rates(price: Price | None, input_tokens: int) -> tuple[str | None, str]:
    """The price columns of a row: the rates that hold for so much input, and where they come from."""
    return (None, "none") if price is None else (write_rates(price.for_input(input_tokens)), price.source)


def _text(error: str | None) -> str | None:
    # A lone surrogate (from the text of some exception) can not be stored, and must not keep a row from its end.
    return None if error is None else error[:ERROR_MAX_CHARACTERS].encode("utf-8", "replace").decode()


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
