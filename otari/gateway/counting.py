"""How many tokens a request has before anybody is asked: counted here, and corrected by what providers have told.

Texts are counted in worker threads, so that no stream waits for them, and remembered: a coding client sends the same
tools and instructions with every request.
"""

import asyncio
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor

from otari.dialects.dialect import Dialect
from otari.domain.calibration import Calibration
from otari.domain.catalog import Catalog, ModelRef
from otari.domain.chat import Doc
from otari.domain.errors import Kind, OtariError
from otari.domain.families import Family, family_of
from otari.domain.pictures import by_area
from otari.domain.ports import Outcome
from otari.domain.tokens import Counter, Tokenizer
from otari.gateway.weight import Weight, weigh

WORKERS = 2
WAITING_MAX = 256
SMALL_BYTES = 4 * 1024  # so little is counted in less time than a thread takes to be woken
MODELS_MAX = 256  # clients choose the names of models: what is remembered of them must be bounded
TEXTS_MAX = 8 * 1024
LONG_CHARS = 256  # shorter texts are counted about as fast as they are looked up

# What the stub counts it counts with the configured counter, and nothing around the texts.
_STUB = Family("stub", "", exact=True, request=0, message=0, tools=0, tool=0, picture=by_area(0))

log = logging.getLogger("otari.gateway")


class CountedTexts:
    """The counts of the long texts that were last asked for, by digest: no text is kept. Safe in several threads."""

    def __init__(self, most: int = TEXTS_MAX) -> None:
        self._most = most
        self._key = os.urandom(16)
        self._counts: dict[tuple[str, bytes], int] = {}
        self._lock = threading.Lock()

    def count(self, encoding: str, counter: Counter, text: str) -> int:
        """The tokens of `text`, as `counter` counts them; `encoding` is its name."""
        if len(text) < LONG_CHARS:
            return counter.count(text)
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=self._key).digest()
        known = (encoding, digest)
        with self._lock:
            count = self._counts.pop(known, None)
            if count is not None:
                self._counts[known] = count  # the last one again
                return count
        count = counter.count(text)
        with self._lock:
            self._counts[known] = count
            if len(self._counts) > self._most:
                del self._counts[next(iter(self._counts))]
        return count


class Counting:
    """Counts requests, and learns from those that have ended."""

    def __init__(
        self,
        catalog: Catalog,
        counter: Counter,
        tokenizers: Mapping[str, Tokenizer],
        now_ms: Callable[[], int],
        workers: Executor | None = None,
    ) -> None:
        """`counter` is the configured one; `tokenizers` by encoding, loaded when the first count needs them."""
        self._catalog = catalog
        self._tokenizers = tokenizers
        self._now_ms = now_ms
        self._workers = workers or ThreadPoolExecutor(WORKERS, "count")
        self._waiting = 0
        self._calibrations: dict[ModelRef, Calibration] = {}
        self._texts = CountedTexts()
        self._loading = threading.Lock()
        self._loaded = {"": counter} | {name: each for name, each in tokenizers.items() if each is counter}
        self._sampling = False
        self._closed = False

    async def count(self, dialect: Dialect, doc: Doc, size: int, ref: ModelRef) -> int:
        """The tokens of a checked request of `dialect` for a model; `size` is the length of its body in bytes.

        Raises OtariError: INVALID for a request that can not be read, UNAVAILABLE when too many counts are waiting.
        """
        calibration = self._calibration(ref)
        if size <= SMALL_BYTES and calibration.family.encoding in self._loaded:
            return self._count(dialect, doc, calibration)
        if self._waiting >= WAITING_MAX:
            raise OtariError(Kind.UNAVAILABLE, "Too many counts are under way: try again", retry_after=1)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._workers, self._count, dialect, doc, calibration)
        finally:
            self._waiting -= 1

    def heard(self, dialect: Dialect, doc: Doc, outcome: Outcome) -> None:
        """How a request of `dialect` ended: now and then it becomes a sample, in a worker thread.

        That is only for models that somebody has counted for, and one at a time: for all other requests this is a
        look-up. `doc` must not change afterwards.
        """
        attempt, told = outcome.attempt, outcome.usage.input
        if outcome.usage_source != "provider" or not outcome.succeeded or attempt is None or not told or self._closed:
            return
        calibration = self._calibrations.get(ModelRef(attempt.provider, attempt.model))
        if calibration is None or self._sampling or not calibration.take(self._now_ms()):
            return
        self._sampling = True
        self._workers.submit(self._learn, dialect, doc, calibration, told)

    def close(self) -> None:
        """Drop what still waits. No count may be asked for afterwards."""
        self._closed = True
        self._workers.shutdown(wait=False, cancel_futures=True)

    # ---- one model ----

    def _calibration(self, ref: ModelRef) -> Calibration:
        calibration = self._calibrations.pop(ref, None)
        if calibration is None:
            provider = self._catalog.providers.get(ref.provider)
            is_stub = provider is not None and provider.usage_source == "stub"
            calibration = Calibration(_STUB if is_stub else family_of(ref.model))
        self._calibrations[ref] = calibration  # the last one again
        if len(self._calibrations) > MODELS_MAX:
            del self._calibrations[next(iter(self._calibrations))]
        return calibration

    # ---- in a worker thread, mostly ----

    def _count(self, dialect: Dialect, doc: Doc, calibration: Calibration) -> int:
        family = calibration.family
        weight = weigh(dialect.read_request(doc), as_types=family.tools_as_types)
        texts = -int(-self._texts_of(weight, family) * calibration.factor // 1)
        return max(1, texts + weight.around(family))

    def _learn(self, dialect: Dialect, doc: Doc, calibration: Calibration, told: int) -> None:
        family = calibration.family
        try:
            weight = weigh(dialect.read_request(doc), as_types=family.tools_as_types)
            if weight.readable:
                calibration.learn(self._texts_of(weight, family), told - weight.around(family))
        except Exception:
            log.exception("a request could not be counted")
        finally:
            self._sampling = False

    def _texts_of(self, weight: Weight, family: Family) -> int:
        counter = self._loaded.get(family.encoding) or self._load(family.encoding)
        return sum(self._texts.count(family.encoding, counter, text) for text in weight.texts)

    def _load(self, encoding: str) -> Counter:
        with self._loading:  # two threads would each build a table
            tokenizer = self._tokenizers[encoding]
            tokenizer.prepare()
            self._loaded[encoding] = tokenizer
        return tokenizer
