"""Batches by the clients' own libraries, unchanged, against the built gateway: the openai package, and Otari's own."""

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from openai import OpenAI

from tests.e2e.gateway import MASTER_KEY, Gateway, gateway_env, plain_python, stub
from tests.e2e.packages import clients_python
from tests.e2e.process import bare_env, until

RUN_S = 60.0
AT_ONCE_S = 5.0
ENDED = ("completed", "failed", "expired", "cancelled")
RULES = [
    {"id": "slow", "when": {"model": "slow"}, "reply": {"blocks": [{"pause": "50ms"}, {"say": "done"}]}},
    {"id": "echo", "reply": "${user}"},
]


@pytest.fixture(scope="module")
def gateway(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("batches")
    with Gateway(pyz, folder / "gateway", {"providers": stub({"rules": RULES}, folder)}) as gateway:
        yield gateway
        assert gateway.stop() == 0
        assert b"Traceback" not in gateway.written()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=20) as client:
        yield client


def the_input(model: str, count: int) -> bytes:
    lines = (
        {
            "custom_id": f"line-{n}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model, "messages": [{"role": "user", "content": f"text {n}"}]},
        }
        for n in range(count)
    )
    return b"\n".join(orjson.dumps(line) for line in lines)


def begin(client: OpenAI, content: bytes) -> str:
    file = client.files.create(file=("requests.jsonl", content), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"job": "nightly"}
    )
    assert (batch.object, batch.status, batch.input_file_id) == ("batch", "validating", file.id)
    assert batch.metadata == {"job": "nightly"}
    return batch.id


def ended(client: OpenAI, batch_id: str) -> openai.types.Batch:
    return until(
        lambda: batch if (batch := client.batches.retrieve(batch_id)).status in ENDED else None, "its end", RUN_S
    )


def test_openai_s_own_way_from_a_file_to_a_file(client: OpenAI) -> None:
    batch = ended(client, begin(client, the_input("stub:any", 25)))
    assert batch.status == "completed"
    counts = batch.request_counts
    assert counts is not None
    assert (counts.total, counts.completed, counts.failed) == (25, 25, 0)
    assert batch.usage is not None
    assert batch.usage.total_tokens == batch.usage.input_tokens + batch.usage.output_tokens > 0
    assert batch.output_file_id is not None
    answers = [orjson.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
    said = {each["custom_id"]: each["response"]["body"]["choices"][0]["message"]["content"] for each in answers}
    assert said == {f"line-{n}": f"text {n}" for n in range(25)}


def test_a_batch_is_listed_and_can_be_cancelled(client: OpenAI) -> None:
    batch_id = begin(client, the_input("stub:slow", 2_000))
    assert next(iter(client.batches.list(limit=1))).id == batch_id
    until(lambda: client.batches.retrieve(batch_id).status == "in_progress", "its beginning", RUN_S)
    assert client.batches.cancel(batch_id).status == "cancelling"
    batch = ended(client, batch_id)
    assert batch.status == "cancelled"
    assert batch.error_file_id is not None
    failures = client.files.content(batch.error_file_id).text.splitlines()
    assert {orjson.loads(line)["error"]["code"] for line in failures} == {"batch_cancelled"}
    with pytest.raises(openai.NotFoundError, match="not found"):
        client.batches.retrieve("batch_" + "0" * 32)


def test_lists_go_on_by_themselves(client: OpenAI) -> None:
    made = [ended(client, begin(client, the_input("stub:any", 1))).id for _ in range(5)]
    listed = [batch.id for batch in client.batches.list(limit=2)]
    assert listed[:5] == made[::-1]


def test_wrong_lines_are_told(client: OpenAI) -> None:
    batch = ended(client, begin(client, the_input("stub:any", 2) + b"\n{broken"))
    assert batch.status == "failed"
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert [(error.code, error.line) for error in batch.errors.data] == [("invalid_json_line", 3)]


# It runs where there is the package and nothing of ours.
PROGRAM = """
import json, sys, time
from otari import OtariClient
from otari.errors import BatchNotCompleteError, OtariError

url, key = sys.argv[1:]
client = OtariClient(api_base=url, api_key=key)
told = {}


def ask(model, count):
    bodies = [{"messages": [{"role": "user", "content": f"text {n}"}]} for n in range(count)]
    return client.create_batch(
        {
            "model": model,
            "requests": [{"custom_id": f"c{n}", "body": body} for n, body in enumerate(bodies)],
            "completion_window": "24h",
            "metadata": {"team": "search"},
        }
    )


def plain(value):
    return value if isinstance(value, dict) else value.to_dict() if hasattr(value, "to_dict") else vars(value)


batch = plain(ask("stub:any", 8))
told["begun"] = [batch["status"], batch["provider"], batch["metadata"]]
while plain(client.retrieve_batch(batch["id"], "stub"))["status"] != "completed":
    time.sleep(0.01)
results = client.retrieve_batch_results(batch["id"], "stub")
told["results"] = {
    item.custom_id: plain(item.result)["choices"][0]["message"]["content"] for item in results.results
}
slow = plain(ask("stub:slow", 500))
try:
    client.retrieve_batch_results(slow["id"], "stub")
except BatchNotCompleteError as error:
    told["too early"] = [error.batch_id == slow["id"], error.batch_status in ("validating", "in_progress")]
told["cancelled"] = plain(client.cancel_batch(slow["id"], "stub"))["status"]
told["listed"] = [plain(each)["id"] for each in client.list_batches("stub", {"limit": 2})] == [slow["id"], batch["id"]]
try:
    client.list_batches("nobody")
except OtariError as error:
    told["nobody"] = str(error)
print(json.dumps(told))
"""


def run(command: Sequence[str | Path], environ: Mapping[str, str], folder: Path) -> str:
    """What a program writes; in a folder where nothing of ours can be taken for a package."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=RUN_S, env=dict(environ), cwd=folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-3000:]
    return done.stdout


def test_otari_s_own_client_has_all_its_batch_methods(gateway: Gateway, tmp_path: Path) -> None:
    command: list[str | Path] = [clients_python(), "-c", PROGRAM, gateway.url, gateway.key]
    told: dict[str, Any] = orjson.loads(run(command, bare_env(tmp_path), tmp_path))
    assert told["begun"] == ["validating", "stub", {"team": "search"}]
    assert told["results"] == {f"c{n}": f"text {n}" for n in range(8)}
    assert told["too early"] == [True, True]
    assert told["cancelled"] == "cancelling"
    assert told["listed"] is True
    assert "'nobody' is not a supported provider. Supported providers: stub" in told["nobody"]


def test_the_command_watches_a_batch_to_its_end(gateway: Gateway, client: OpenAI, pyz: Path, tmp_path: Path) -> None:
    batch_id = begin(client, the_input("stub:slow", 40))
    otari: list[str | Path] = [plain_python(), pyz, "batch"]
    environ = {**gateway_env(tmp_path), "OTARI_URL": gateway.url}
    with_key = {**environ, "OTARI_API_KEY": gateway.key}
    lines = run([*otari, "watch", batch_id], with_key, tmp_path).splitlines()
    assert lines[-1] == "completed\t40\t40\t0"
    results = [orjson.loads(line) for line in run([*otari, "results", batch_id], with_key, tmp_path).splitlines()]
    assert [result["custom_id"] for result in results] == [f"line-{n}" for n in range(40)]
    (owner,) = gateway.ledger.ask("SELECT user_id FROM batches WHERE batch_id = ?", batch_id)
    as_master = {**environ, "OTARI_MASTER_KEY": MASTER_KEY}
    listed = run([*otari, "list", "--limit", "1", "--user", owner["user_id"]], as_master, tmp_path)
    assert listed.split("\t")[:2] == [batch_id, "completed"]


@pytest.fixture
def busy(pyz: Path, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with a batch whose one line never ends by itself."""
    endless = {"id": "endless", "reply": {"blocks": [{"say": "One "}, {"cut": "hang"}]}}
    config = {"providers": stub({"rules": [endless]}, tmp_path), "shutdown_timeout_s": 20}
    with Gateway(pyz, tmp_path / "gateway", config) as gateway:
        with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=20) as client:
            begin(client, the_input("stub:any", 1))
        until(gateway.ledger.open_rows, "its line to be under way", RUN_S)
        yield gateway


def test_a_second_signal_does_not_wait_for_a_batch(busy: Gateway) -> None:
    busy.send(signal.SIGTERM)
    until(lambda: "draining" in busy.err.read_text(), "it to drain", AT_ONCE_S)
    busy.send(signal.SIGTERM)
    assert busy.wait(AT_ONCE_S) == 1
    (row,) = busy.ledger.usage()
    assert (row["state"], row["status"], row["http_status"]) == ("settled", "error", 503)
    busy.ledger.assert_balanced()


def test_a_batch_is_waited_for_as_long_as_the_operator_says(busy: Gateway) -> None:
    busy.kill()
    config = orjson.loads(busy.config_path.read_bytes())
    busy.write_config({**config, "shutdown_timeout_s": 0.5})
    busy.restart()
    until(busy.ledger.open_rows, "its line to be under way again", RUN_S)
    assert busy.stop(AT_ONCE_S) == 0
    assert [row["state"] for row in busy.ledger.usage()] == ["recovered", "settled"]
    assert [batch["state"] for batch in busy.ledger.ask("SELECT state FROM batches")] == ["in_progress"]
    busy.ledger.assert_balanced()
