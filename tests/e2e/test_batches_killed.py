"""A batch of 5,000 requests through the built gateway, which is killed twice in the middle of it.

`OTARI_BATCH_LINES` makes it larger; `make nightly` has as many as a batch may have.

Every line ends with one answer and one settled row. What was under way at a kill stands in the ledger as `recovered`,
beside the row of the try that gave the answer, and the user's spend is the sum of them all.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import openai
import orjson
import pytest
from openai.types import Batch

from tests.e2e.gateway import Gateway, stub
from tests.e2e.ledger import Row
from tests.e2e.process import until

LINES = int(os.environ.get("OTARI_BATCH_LINES", "5000"))
KILL_AT = (LINES // 5, LINES * 3 // 5)  # answers
AT_ONCE = 32
PATIENCE_S = 60.0 + LINES / 50
INPUT_NANO, OUTPUT_NANO = 2_000, 7_000  # per token: 2 and 7 USD per million
_PRICE = {"input_price_per_million": INPUT_NANO / 1000, "output_price_per_million": OUTPUT_NANO / 1000}
# Answers take their time, and not all the same, so that there is always something under way.
PACES = {"quick": "11ms", "easy": "23ms", "slow": "53ms"}
RULES = [
    {"id": pace, "when": {"user": pace}, "reply": {"blocks": [{"pause": pause}, {"say": "${user}"}]}}
    for pace, pause in PACES.items()
]


@dataclass
class Run:
    """Everything that is known after the end."""

    batch: Batch
    answers: list[Row]
    rows: list[Row]
    spend_nano: int
    recovered_per_kill: list[int] = field(default_factory=list)
    results_left: int = 0
    log: str = ""


def text(number: int) -> str:
    """What is asked, and echoed, on a line: how fast, some words, and what tells it from the others."""
    return f"{list(PACES)[number % 3]} line {number}" + " and so on" * (number % 5)


def the_input() -> bytes:
    lines = (
        {
            "custom_id": f"line-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "stub:script", "messages": [{"role": "user", "content": text(number)}]},
        }
        for number in range(LINES)
    )
    return b"\n".join(orjson.dumps(line) for line in lines)


def client_of(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(api_key=gateway.key, base_url=f"{gateway.url}/v1", max_retries=0)


def recovered(gateway: Gateway) -> int:
    return int(gateway.ledger.ask("SELECT count(*) AS n FROM usage WHERE state = 'recovered'")[0]["n"])


@pytest.fixture(scope="module")
def run(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("batches")
    config = {
        "providers": stub({"rules": RULES}, folder),
        "pricing": {"stub:script": _PRICE},
        "batch_concurrency": AT_ONCE,
    }
    per_kill = []
    with Gateway(pyz, folder / "gateway", config) as gateway:
        with client_of(gateway) as client:
            file = client.files.create(file=("in.jsonl", the_input()), purpose="batch")
            batch = client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        for answers in KILL_AT:
            wait_for(gateway, batch.id, answers)
            gateway.kill()
            assert gateway.ledger.out_of_balance() == []
            before = recovered(gateway)
            gateway.restart()
            per_kill.append(recovered(gateway) - before)
        until(lambda: look(gateway, batch.id).status == "completed", "the end of the batch", PATIENCE_S)
        with client_of(gateway) as client:
            batch = client.batches.retrieve(batch.id)
            assert batch.output_file_id is not None
            content = client.files.content(batch.output_file_id).read()
        assert gateway.stop() == 0, gateway.tail()
        gateway.ledger.assert_balanced()
        (owner,) = gateway.ledger.ask("SELECT spend_nano FROM users")
        (left,) = gateway.ledger.ask("SELECT count(*) AS n FROM batch_results")
        told = [orjson.loads(line) for line in content.splitlines()]
        rows = gateway.ledger.usage()
        yield Run(batch, told, rows, owner["spend_nano"], per_kill, left["n"], gateway.err.read_text())


def look(gateway: Gateway, batch_id: str) -> Batch:
    with client_of(gateway) as client:
        return client.batches.retrieve(batch_id)


def wait_for(gateway: Gateway, batch_id: str, answers: int) -> None:
    """Until so many lines have an answer; they must not all have one."""
    counted = 0

    def enough() -> bool:
        nonlocal counted
        (row,) = gateway.ledger.ask("SELECT completed FROM batches WHERE batch_id = ?", batch_id)
        counted = int(row["completed"])
        return counted >= answers

    until(enough, f"{answers} answers", PATIENCE_S)
    assert counted < LINES, "too late for a kill in the middle"


def test_both_kills_hit_requests_that_were_under_way(run: Run) -> None:
    assert all(0 < each <= AT_ONCE for each in run.recovered_per_kill), run.recovered_per_kill


def test_every_line_has_one_answer_and_it_is_its_own(run: Run) -> None:
    counts = run.batch.request_counts
    assert counts is not None
    assert (counts.total, counts.completed, counts.failed) == (LINES, LINES, 0)
    assert run.batch.error_file_id is None
    said = {
        answer["custom_id"]: answer["response"]["body"]["choices"][0]["message"]["content"] for answer in run.answers
    }
    assert len(run.answers) == LINES
    assert said == {f"line-{number}": text(number) for number in range(LINES)}


def test_every_answer_has_one_settled_row(run: Run) -> None:
    settled = [row for row in run.rows if row["state"] == "settled"]
    assert len(settled) == LINES
    assert {row["id"] for row in settled} == {answer["response"]["request_id"] for answer in run.answers}
    assert {(row["endpoint"], row["status"]) for row in settled} == {("/v1/batches", "success")}


def test_what_was_under_way_is_accounted_for_and_nothing_else(run: Run) -> None:
    assert {row["state"] for row in run.rows} == {"settled", "recovered"}
    assert len(run.rows) == LINES + sum(run.recovered_per_kill)


def test_the_spend_is_exactly_the_sum_of_all_rows(run: Run) -> None:
    for row in run.rows:
        if row["state"] == "settled":
            told = INPUT_NANO * row["input_tokens"] + OUTPUT_NANO * row["output_tokens"]
            assert row["cost_nano"] == told > 0
        else:
            assert row["cost_nano"] == row["hold_nano"] > 0
    assert run.spend_nano == sum(row["cost_nano"] for row in run.rows)


def test_the_tokens_of_the_batch_are_those_of_its_answers(run: Run) -> None:
    usage = run.batch.usage
    assert usage is not None
    settled = [row for row in run.rows if row["state"] == "settled"]
    assert usage.input_tokens == sum(row["input_tokens"] for row in settled)
    assert usage.output_tokens == sum(row["output_tokens"] for row in settled)


def test_nothing_is_left_over(run: Run) -> None:
    assert run.results_left == 0
    assert "Traceback" not in run.log
    assert "settled a second time" not in run.log
