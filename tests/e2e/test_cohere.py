"""The cohere package's own rerank, unchanged, against the built gateway: the first client and the second one."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.e2e.gateway import Gateway
from tests.e2e.packages import clients_python
from tests.e2e.process import bare_env

RUN_S = 60.0
DOCUMENTS = ["a sunny beach", "a rainy city", "rain"]

# It runs where there is the package and nothing of ours.
PROGRAM = """
import json, sys
import cohere
from cohere.core.api_error import ApiError

url, key, documents = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
first, second = cohere.Client(api_key=key, base_url=url), cohere.ClientV2(api_key=key, base_url=url)
told = {}
for name, client in (("first", first), ("second", second)):
    ranked = client.rerank(model="stub:any", query="rain in the city", documents=documents, top_n=2)
    told[name] = [[result.index, result.relevance_score] for result in ranked.results]
objects = [{"text": text} for text in documents]
full = first.rerank(model="stub:any", query="rain", documents=objects, return_documents=True)
told["documents"] = [result.document.text for result in full.results]
for name, model, texts in (("lacking", "anthropic:m", documents), ("empty", "stub:any", [])):
    try:
        second.rerank(model=model, query="rain", documents=texts)
    except ApiError as error:
        told[name] = [error.status_code, error.body["error"]["message"]]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def gateway(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    providers = {"stub": {"type": "stub"}, "anthropic": {"api_key": "sk-never-asked"}}
    config = {"providers": providers, "require_pricing": False}
    with Gateway(pyz, tmp_path_factory.mktemp("cohere"), config) as gateway:
        yield gateway


def test_rerank(gateway: Gateway, tmp_path: Path) -> None:
    arguments = [gateway.url, gateway.key, orjson.dumps(DOCUMENTS).decode()]
    done = subprocess.run(
        [str(clients_python()), "-c", PROGRAM, *arguments],
        cwd=tmp_path,
        env=bare_env(tmp_path),
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5_000:]
    told: dict[str, Any] = orjson.loads(done.stdout)
    assert told["first"] == told["second"]
    (best, score), (next_best, lower) = told["first"]
    assert {best, next_best} == {1, 2}
    assert score > lower > 0
    assert set(told["documents"]) == set(DOCUMENTS)
    assert told["documents"][0] == "rain"
    assert told["lacking"] == [400, "Provider anthropic does not support rerank"]
    assert told["empty"][0] == 422
    rows = gateway.wait_quiet().usage()
    assert [(row["endpoint"], row["state"]) for row in rows[:3]] == [("/v1/rerank", "settled")] * 3
