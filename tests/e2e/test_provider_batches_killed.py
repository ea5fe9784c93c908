"""A batch of 5,000 lines that its provider carries out, through the built gateway, killed at every place of its way.

However often and wherever the process dies: one job at the provider, one answer, one row and one charge for every line,
one file, and nothing held in the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from openai.types import Batch

from tests.e2e.gateway import Gateway
from tests.e2e.ledger import Row
from tests.e2e.process import until
from tests.e2e.vendor import VENDOR_KEY, BatchVendor
from tests.vendors.halting import FILLER, used

LINES = 5_000
INPUT_NANO, OUTPUT_NANO = 1_000, 4_000  # per token: 2 and 8 USD per million, and a batch is half price
PATIENCE_S = 30.0


@dataclass
class Run:
    """Everything that is known after the end."""

    batch: Batch
    answers: list[dict[str, Any]]
    rows: list[Row]
    vendor: dict[str, Any]
    files: list[Row]
    spend_nano: int
    results_left: int
    written: bytes
    at_kill: dict[str, Row] = field(default_factory=dict)


def the_input() -> bytes:
    lines = (
        {
            "custom_id": f"line-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "vendor:m-1", "messages": [{"role": "user", "content": f"{number}"}], "max_tokens": 20},
        }
        for number in range(1, LINES + 1)
    )
    return b"\n".join(orjson.dumps(line) for line in lines)


def client_of(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(api_key=gateway.key, base_url=f"{gateway.url}/v1", max_retries=0, timeout=30)


def begin(gateway: Gateway, content: bytes) -> str:
    with client_of(gateway) as client:
        file = client.files.create(file=("in.jsonl", content), purpose="batch")
        return client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h").id


def stand(gateway: Gateway) -> Row:
    """The one batch as it stands in the ledger, with how many of its results are there."""
    (row,) = gateway.ledger.ask(
        "SELECT state, remote_state, ending, completed, (SELECT count(*) FROM batch_results) AS results FROM batches"
    )
    return row


def kill(gateway: Gateway) -> Row:
    """Kill it; how the batch stands then. Whatever is held or charged is that of the rows."""
    gateway.kill()
    assert gateway.ledger.out_of_balance() == []
    return stand(gateway)


def wait(gateway: Gateway, remote_state: str) -> None:
    until(lambda: stand(gateway)["remote_state"] == remote_state, f"the batch to be {remote_state}", PATIENCE_S)


def ended(gateway: Gateway, batch_id: str) -> Batch:
    with client_of(gateway) as client:

        def look() -> Batch | None:
            batch = client.batches.retrieve(batch_id)
            return batch if batch.status in ("completed", "failed", "cancelled", "expired") else None

        return until(look, "the end of the batch", PATIENCE_S)


def config_over(vendor: BatchVendor) -> dict[str, Any]:
    price = {"input_price_per_million": 2, "output_price_per_million": 8}
    return {"providers": {"vendor": vendor.settings()}, "pricing": {"vendor:m-1": price}}


@pytest.fixture(scope="module")
def run(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("provider-batches")
    at_kill = {}
    with (
        BatchVendor(folder / "vendor") as vendor,
        Gateway(pyz, folder / "gateway", config_over(vendor)) as gateway,
    ):
        vendor.control("upload")
        batch_id = begin(gateway, the_input())
        vendor.wait_halted("upload")
        at_kill["handing in"] = kill(gateway)

        vendor.control("create")
        gateway.restart()
        vendor.wait_halted("create")
        at_kill["handed in"] = kill(gateway)

        vendor.control()
        gateway.restart()
        wait(gateway, "sent")
        at_kill["waiting"] = kill(gateway)

        vendor.control(end=True)
        gateway.restart()
        until(lambda: stand(gateway)["results"] >= LINES // 5, "some results", PATIENCE_S)
        at_kill["collecting"] = kill(gateway)

        gateway.restart()
        wait(gateway, "collected")
        at_kill["writing"] = kill(gateway)

        gateway.restart()
        batch = ended(gateway, batch_id)
        assert batch.output_file_id is not None, batch
        with client_of(gateway) as client:
            content = client.files.content(batch.output_file_id).read()
        assert gateway.stop() == 0, gateway.tail()
        gateway.ledger.assert_balanced()
        (owner,) = gateway.ledger.ask("SELECT spend_nano FROM users")
        yield Run(
            batch,
            answers=[orjson.loads(line) for line in content.splitlines()],
            rows=gateway.ledger.usage(),
            vendor=vendor.told(),
            files=gateway.ledger.ask("SELECT * FROM files WHERE purpose = 'batch_output'"),
            spend_nano=owner["spend_nano"],
            results_left=stand(gateway)["results"],
            written=gateway.written() + content,
            at_kill=at_kill,
        )


def test_every_kill_came_where_it_was_meant_to(run: Run) -> None:
    places = {place: (row["state"], row["remote_state"]) for place, row in run.at_kill.items()}
    assert places == {
        "handing in": ("in_progress", "submitting"),
        "handed in": ("in_progress", "submitting"),
        "waiting": ("in_progress", "sent"),
        "collecting": ("in_progress", "sent"),
        "writing": ("finalizing", "collected"),
    }
    assert 0 < run.at_kill["collecting"]["results"] < LINES
    assert run.at_kill["writing"]["results"] == LINES


def test_the_provider_has_one_job(run: Run) -> None:
    assert len(run.vendor["jobs"]) == 1


def test_every_line_has_one_answer_and_it_is_its_own(run: Run) -> None:
    counts = run.batch.request_counts
    assert counts is not None
    assert (run.batch.status, run.batch.error_file_id) == ("completed", None)
    assert (counts.total, counts.completed, counts.failed) == (LINES, LINES, 0)
    told = [
        (answer["custom_id"], answer["response"]["body"]["choices"][0]["message"]["content"]) for answer in run.answers
    ]
    assert told == [(f"line-{number}", f"said {number} {FILLER}") for number in range(1, LINES + 1)]


def test_every_line_is_charged_once(run: Run) -> None:
    own, *lines = run.rows
    assert (own["id"], own["state"], own["cost_nano"]) == (run.batch.id, "released", 0)
    assert {row["state"] for row in lines} == {"settled"}
    costs = {row["id"]: row["cost_nano"] for row in lines}
    expected = {}
    for number in range(1, LINES + 1):
        prompt, output = used(number)
        expected[f"{run.batch.id}.{number}"] = INPUT_NANO * prompt + OUTPUT_NANO * output
    assert len(lines) == LINES
    assert costs == expected
    assert run.spend_nano == sum(expected.values())


def test_there_is_one_file_and_nothing_is_left_over(run: Run) -> None:
    assert [file["file_id"] for file in run.files] == [run.batch.output_file_id]
    assert run.results_left == 0
    assert b"Traceback" not in run.written
    assert VENDOR_KEY.encode() not in run.written


def test_a_job_that_the_provider_makes_after_the_kill_is_found(pyz: Path, tmp_path: Path) -> None:
    """A request can still be on its way when who sent it has died: nothing is sent again before that is over."""
    with (
        BatchVendor(tmp_path / "vendor") as vendor,
        Gateway(pyz, tmp_path / "gateway", config_over(vendor)) as gateway,
    ):
        vendor.control("late")
        batch_id = begin(gateway, the_input().splitlines()[0])
        vendor.wait_halted("late")
        assert kill(gateway)["remote_state"] == "submitting"
        gateway.restart()
        until(lambda: vendor.told()["lists"], "it to be looked for", PATIENCE_S)
        vendor.control()
        wait(gateway, "sent")
        vendor.control(end=True)
        assert ended(gateway, batch_id).status == "completed"
        assert len(vendor.told()["jobs"]) == 1
        gateway.wait_quiet().assert_balanced()
