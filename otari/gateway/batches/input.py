"""The input of a batch: one JSON object per line, as OpenAI's batches have it; and what can be wrong with it.

See https://platform.openai.com/docs/guides/batch. Every line names the endpoint, and all of them one model.
"""

import asyncio
import hashlib
from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

from otari.dialects.envelope import MAX_MODEL_CHARS
from otari.domain.batch import Batch, BatchStore, LineProblem
from otari.domain.chat import Doc
from otari.domain.errors import OtariError
from otari.gateway.document import read_document

LINES_MAX = 100_000
PROBLEMS_MAX = 50  # so many are told; nobody mends more at once
CUSTOM_ID_MAX_CHARACTERS = 512
_BREATH = 16  # lines between two chances for others to run


class Line(NamedTuple):
    """One request of a batch. `number` counts from 1; blank lines count, too."""

    number: int
    custom_id: str
    body: Doc


class WrongLine(Exception):
    """A line that is no request; `problem` says why."""

    def __init__(self, problem: LineProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def is_blank(raw: bytes | None) -> bool:
    """Whether there is nothing on a line."""
    return raw is not None and not raw.strip()


def read_line(number: int, raw: bytes | None, endpoint: str) -> Line:
    """One line; None stands for one that is too long. Raises WrongLine."""
    if raw is None:
        raise _wrong(number, "line_too_long", "This line is longer than a request may be.")
    try:
        doc = read_document(raw.removeprefix(BOM_UTF8) if number == 1 else raw)  # some editors begin a file with one
    except OtariError:
        raise _wrong(number, "invalid_json_line", "This line is not parseable as valid JSON.") from None
    custom_id, body = doc.get("custom_id"), doc.get("body")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= CUSTOM_ID_MAX_CHARACTERS:
        told = f"custom_id must be a string of 1 to {CUSTOM_ID_MAX_CHARACTERS} characters."
        raise _wrong(number, "invalid_custom_id", told, "custom_id")
    if doc.get("method") != "POST":
        raise _wrong(number, "invalid_method", "method must be POST.", "method")
    if doc.get("url") != endpoint:
        raise _wrong(number, "invalid_url", f"url must be the endpoint of the batch, {endpoint}.", "url")
    if not isinstance(body, dict):
        raise _wrong(number, "invalid_body", "body must be a JSON object.", "body")
    return Line(number, custom_id, body)


async def read_lines(store: BatchStore, batch: Batch, most_bytes: int) -> AsyncGenerator[Line, None]:
    """The lines of the input, which were found to be fine when the batch began. Raises as `BatchStore.lines` does."""
    number = 0
    async with aclosing(store.lines(batch.batch_id, most_bytes)) as blocks:
        async for lines in blocks:
            for raw in lines:
                number += 1
                if number % _BREATH == 0:
                    await asyncio.sleep(0)
                if is_blank(raw):
                    continue
                try:
                    yield read_line(number, raw, batch.endpoint)
                except WrongLine:
                    continue


def _wrong(number: int, code: str, message: str, param: str | None = None) -> WrongLine:
    return WrongLine(LineProblem(code, message, number, param))


class InputCheck:
    """Looks at every line once, in order. What it finds: `total` lines, their `selector`, and `problems`."""

    def __init__(self, endpoint: str, selector: str = "") -> None:
        """`selector` is the model of every line, where it is told apart from them."""
        self.total = 0
        self.selector = selector
        self.problems: list[LineProblem] = []
        self._endpoint = endpoint
        self._told_apart = bool(selector)
        self._number = 0
        self._seen: set[bytes] = set()

    @property
    def has_enough(self) -> bool:
        """Whether there is no need to look at more."""
        return len(self.problems) >= PROBLEMS_MAX or self.total > LINES_MAX

    def feed(self, lines: Sequence[bytes | None]) -> None:
        """The next lines."""
        for raw in lines:
            self._number += 1
            if is_blank(raw):
                continue
            self.total += 1
            if self.has_enough:
                return
            try:
                self._look(read_line(self._number, raw, self._endpoint))
            except WrongLine as error:
                self.problems.append(error.problem)

    def end(self) -> None:
        """That were all of them."""
        if self.total > LINES_MAX:
            told = f"A batch has at most {LINES_MAX} requests."
            self.problems.insert(0, LineProblem("too_many_requests", told))
        elif not self.total:
            self.problems.append(LineProblem("empty_file", "The input has no requests."))

    def _look(self, line: Line) -> None:
        mark = hashlib.blake2b(line.custom_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if mark in self._seen:
            told = "The custom_id of this line stands on an earlier one, too: it must be unique."
            raise _wrong(line.number, "duplicate_custom_id", told, "custom_id")
        self._seen.add(mark)
        if self._told_apart:
            return
        model = line.body.get("model")
        if not isinstance(model, str) or not model:
            raise _wrong(line.number, "missing_model", "body.model must be a string.", "body.model")
        if len(model) > MAX_MODEL_CHARS:
            told = f"body.model must have at most {MAX_MODEL_CHARS} characters."
            raise _wrong(line.number, "invalid_model", told, "body.model")
        if not self.selector:
            self.selector = model
        elif model != self.selector:
            told = "body.model must be the same on every line of a batch."
            raise _wrong(line.number, "mismatched_model", told, "body.model")
