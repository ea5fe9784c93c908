"""Counting requests: bounded, off the event loop, remembered, and corrected by what providers tell."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from otari.dialects.anthropic_messages import ANTHROPIC_MESSAGES
from otari.domain.calibration import EAGER_MS
from otari.domain.catalog import Catalog, ModelRef
from otari.domain.chat import Usage
from otari.domain.errors import Kind, OtariError
from otari.domain.ports import Attempt, Outcome, UsageSource
from otari.domain.provider import Provider
from otari.domain.tokens import Approximate
from otari.gateway.counting import MODELS_MAX, SMALL_BYTES, WAITING_MAX, CountedTexts, Counting
from tests.gateway.coding_client import request
from tests.gateway.fakes import attempt
from tests.gateway.tables import TOKENIZERS

GPT = ModelRef("openai", "gpt-5")
CLAUDE = ModelRef("anthropic", "claude-sonnet-4-5")
BIG = SMALL_BYTES + 1
HELLO = {"model": "m", "messages": [{"role": "user", "content": "Hello there"}]}


class Here(Executor):
    """Does the work at once, in the caller's thread."""

    def __init__(self) -> None:
        self.done = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.done += 1
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Never(Executor):
    """Takes work and leaves it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return Future()


class Clock:
    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


def counting(workers: Executor | None = None, clock: Callable[[], int] | None = None) -> Counting:
    providers = [Provider("openai", "live"), Provider("anthropic", "live"), Provider("s", "stub", usage_source="stub")]
    return Counting(Catalog(providers), Approximate(), TOKENIZERS, clock or Clock(), workers or Here())


def count(book: Counting, doc: dict[str, Any] = HELLO, ref: ModelRef = GPT, size: int = BIG) -> int:
    return asyncio.run(book.count(ANTHROPIC_MESSAGES, doc, size, ref))


def outcome(
    told: int | None, ref: ModelRef = CLAUDE, *, source: UsageSource = "provider", succeeded: bool = True
) -> Outcome:
    asked: Attempt = attempt(ref.provider, ref.model)
    return Outcome(asked, succeeded, 200, Usage(input=told, output=1), source)


# ---- counts ----


def test_a_count_is_texts_and_what_stands_around_them() -> None:
    texts = TOKENIZERS["o200k_base"].count("Hello there")
    assert texts < count(counting()) <= texts + 12


def test_models_of_another_family_have_more_tokens_for_the_same_texts() -> None:
    book, doc = counting(), request(20_000)
    exact = count(book, doc)
    assert 1.1 * exact < count(book, doc, CLAUDE) < 1.5 * exact


def test_the_older_encoding_counts_for_the_older_models() -> None:
    chinese = {"model": "m", "messages": [{"role": "user", "content": "今天天气很好。" * 50}]}
    book = counting()
    assert count(book, chinese, ModelRef("openai", "gpt-4")) > 1.3 * count(book, chinese, ModelRef("openai", "gpt-4o"))


def test_the_stub_is_counted_with_the_configured_counter() -> None:
    assert count(counting(), HELLO, ModelRef("s", "gpt-5")) == Approximate().count("Hello there")


def test_nothing_at_all_still_has_a_token() -> None:
    empty = {"model": "m", "messages": [{"role": "user", "content": ""}]}
    assert count(counting(), empty, ModelRef("s", "x")) == 1


def test_what_the_dialect_refuses_is_refused() -> None:
    broken = {"model": "m", "messages": [{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}]}
    with pytest.raises(OtariError) as caught:
        count(counting(), broken)
    assert caught.value.kind is Kind.INVALID


# ---- where and how much ----


def test_small_requests_are_counted_at_once_when_the_table_is_loaded() -> None:
    here = Here()
    book = counting(here)
    count(book, size=10)
    assert here.done == 1  # the table was loaded in a worker
    count(book, size=SMALL_BYTES)
    assert here.done == 1
    count(book, size=BIG)
    assert here.done == 2


def test_the_configured_tokenizer_is_loaded_already() -> None:
    here, tokenizer = Here(), TOKENIZERS["o200k_base"]
    book = Counting(Catalog([Provider("openai", "live")]), tokenizer, TOKENIZERS, Clock(), here)
    count(book, size=10)
    assert here.done == 0


def test_more_than_can_wait_is_refused_and_who_leaves_makes_room() -> None:
    async def scene() -> None:
        book = counting(Never())
        waiting = [asyncio.ensure_future(book.count(ANTHROPIC_MESSAGES, HELLO, BIG, GPT)) for _ in range(WAITING_MAX)]
        await asyncio.sleep(0)
        with pytest.raises(OtariError) as caught:
            await book.count(ANTHROPIC_MESSAGES, HELLO, BIG, GPT)
        assert (caught.value.kind, caught.value.retry_after) == (Kind.UNAVAILABLE, 1)
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        last = asyncio.ensure_future(book.count(ANTHROPIC_MESSAGES, HELLO, BIG, GPT))
        await asyncio.sleep(0)
        assert not last.done()
        for task in (*waiting, last):
            task.cancel()
        await asyncio.wait((*waiting, last))

    asyncio.run(scene())


def test_many_at_once_in_real_threads_count_the_same_as_one_by_one() -> None:
    docs = [request(30_000, seed=seed) for seed in range(12)]

    async def scene() -> list[int]:
        providers = [Provider("openai", "live")]
        book = Counting(Catalog(providers), Approximate(), TOKENIZERS, Clock())
        try:
            return await asyncio.gather(*(book.count(ANTHROPIC_MESSAGES, doc, 30_000, GPT) for doc in docs * 2))
        finally:
            book.close()

    alone = [count(counting(), doc) for doc in docs]
    assert asyncio.run(scene()) == alone * 2


class Seen:
    """Counts words, and remembers what it was asked."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def count(self, text: str) -> int:
        self.texts.append(text)
        return len(text.split())


def test_a_long_text_is_counted_once_in_each_encoding() -> None:
    texts, seen = CountedTexts(), Seen()
    long = "word " * 100
    assert [texts.count("a", seen, long), texts.count("a", seen, long), texts.count("b", seen, long)] == [100] * 3
    assert seen.texts == [long, long]


def test_short_texts_are_not_remembered() -> None:
    texts, seen = CountedTexts(), Seen()
    assert [texts.count("a", seen, "a few words") for _ in range(2)] == [3, 3]
    assert len(seen.texts) == 2


def test_what_was_not_asked_for_lately_is_forgotten_first() -> None:
    texts, seen = CountedTexts(most=2), Seen()
    first, second, third = ("word " * (100 + number) for number in range(3))
    for text in (first, second, first, third, first):
        texts.count("a", seen, text)
    assert seen.texts == [first, second, third]
    texts.count("a", seen, second)
    assert seen.texts[3:] == [second]


def test_half_a_surrogate_pair_can_be_remembered() -> None:
    assert CountedTexts().count("a", Seen(), "\ud83d " * 200) == 200


# ---- learning ----


def test_what_a_provider_tells_corrects_the_next_count() -> None:
    book, doc = counting(), request(60_000)
    before = count(book, doc, CLAUDE)
    for _ in range(2):
        book.heard(ANTHROPIC_MESSAGES, doc, outcome(2 * before))
    after = count(book, doc, CLAUDE)
    assert after == pytest.approx(2 * before, rel=0.1)
    assert count(book, doc, ModelRef("anthropic", "claude-opus-4-5")) == before  # each model for itself


def test_one_model_is_heard_once_a_second_at_most() -> None:
    clock = Clock()
    book, doc = counting(clock=clock), request(60_000)
    told = 2 * count(book, doc, CLAUDE)
    book.heard(ANTHROPIC_MESSAGES, doc, outcome(told))
    once = count(book, doc, CLAUDE)
    clock.ms += EAGER_MS - 1
    book.heard(ANTHROPIC_MESSAGES, doc, outcome(told))
    assert count(book, doc, CLAUDE) == once
    clock.ms += 1
    book.heard(ANTHROPIC_MESSAGES, doc, outcome(told))
    assert count(book, doc, CLAUDE) > once


def test_a_model_that_nobody_counts_for_costs_nothing() -> None:
    here = Here()
    book, doc = counting(here), request(60_000)
    book.heard(ANTHROPIC_MESSAGES, doc, outcome(50_000))
    assert here.done == 0


@pytest.mark.parametrize(
    "heard",
    [
        outcome(50_000, source="estimated"),
        outcome(50_000, source="partial"),
        outcome(50_000, source="stub"),
        outcome(50_000, succeeded=False),
        outcome(None),
        outcome(0),
        outcome(50_000)._replace(attempt=None),
    ],
)
def test_only_what_a_provider_told_of_a_whole_answer_is_a_sample(heard: Outcome) -> None:
    here = Here()
    book, doc = counting(here), request(60_000)
    count(book, doc, CLAUDE)
    book.heard(ANTHROPIC_MESSAGES, doc, heard)
    assert here.done == 1


def test_a_request_with_a_picture_is_no_sample() -> None:
    book, doc = counting(), request(60_000)
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    doc["messages"].append({"role": "user", "content": [picture]})
    before = count(book, doc, CLAUDE)
    book.heard(ANTHROPIC_MESSAGES, doc, outcome(3 * before))
    assert count(book, doc, CLAUDE) == before


def test_an_exact_count_is_not_made_smaller() -> None:
    book, doc = counting(), request(60_000)
    before = count(book, doc)
    book.heard(ANTHROPIC_MESSAGES, doc, outcome(before // 2, GPT))
    assert count(book, doc) == before


def test_a_sample_that_can_not_be_read_is_logged_and_the_next_one_counts(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    book, doc = counting(clock=clock), request(60_000)
    before = count(book, doc, CLAUDE)
    book.heard(ANTHROPIC_MESSAGES, {"model": "m"}, outcome(before))
    assert "a request could not be counted" in caplog.text
    clock.ms += EAGER_MS
    book.heard(ANTHROPIC_MESSAGES, doc, outcome(2 * before))
    assert count(book, doc, CLAUDE) > before


class Later(Here):
    """Keeps work back from a moment on."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Callable[[], Any]] | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.jobs is None:
            return super().submit(fn, *args, **kwargs)
        self.jobs.append(lambda: fn(*args, **kwargs))
        return Future()


def test_one_sample_is_taken_at_a_time() -> None:
    later = Later()
    book = counting(later)
    count(book, HELLO, CLAUDE)
    count(book, HELLO, GPT)
    later.jobs = []
    book.heard(ANTHROPIC_MESSAGES, HELLO, outcome(9, CLAUDE))
    book.heard(ANTHROPIC_MESSAGES, HELLO, outcome(9, GPT))
    assert len(later.jobs) == 1
    later.jobs.pop()()
    book.heard(ANTHROPIC_MESSAGES, HELLO, outcome(9, GPT))
    assert len(later.jobs) == 1


def test_models_that_nobody_counted_for_lately_are_forgotten() -> None:
    here = Here()
    book, doc = counting(here), request(60_000)
    before = count(book, doc, CLAUDE)
    for number in range(MODELS_MAX):
        count(book, HELLO, ModelRef("openai", f"gpt-5-{number}"), 10)
    done = here.done
    book.heard(ANTHROPIC_MESSAGES, doc, outcome(2 * before))
    assert here.done == done


def test_nothing_is_learned_after_the_end() -> None:
    here = Here()
    book, doc = counting(here), request(60_000)
    before = count(book, doc, CLAUDE)
    book.close()
    book.heard(ANTHROPIC_MESSAGES, doc, outcome(2 * before))
    assert here.done == 1
