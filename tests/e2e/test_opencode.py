"""The real opencode, unchanged, by each adapter that is built into it, over providers of every dialect."""

import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.e2e import npm
from tests.e2e.gateway import Gateway, stub
from tests.e2e.loops import CONTENT, MODELS, aliases, assert_dropped, assert_requests, run_loop, upstreams, writing
from tests.e2e.opencode import ANTHROPIC, COMPATIBLE, OPENAI, Opencode, settings

RULE = writing({"write": {"filePath": "${path}", "content": CONTENT}}, "write", "Wrote file successfully")
ENDPOINTS = {COMPATIBLE: "/v1/chat/completions", OPENAI: "/v1/responses", ANTHROPIC: "/v1/messages"}

# What a provider of each dialect can not be told of both requests, and of the second one only. What signs the thinking
# of a model does not pass through an adapter for Chat Completions, and the other two do not ask a model to think.
DROPPED: dict[tuple[str, str], tuple[set[str], set[str]]] = {
    ("chat", COMPATIBLE): (set(), set()),
    ("chat", OPENAI): ({"prompt_cache_key"}, set()),
    ("chat", ANTHROPIC): ({"cache_control"}, set()),
    ("messages", COMPATIBLE): (set(), {"thinking of another model"}),
    ("messages", OPENAI): ({"prompt_cache_key"}, set()),
    ("messages", ANTHROPIC): (set(), set()),
    ("responses", COMPATIBLE): (set(), {"thinking of another model"}),
    ("responses", OPENAI): (set(), set()),
    ("responses", ANTHROPIC): ({"cache_control"}, {"thinking of another model"}),
    ("gemini", COMPATIBLE): (set(), {"thinking of another model", "thought signature missing"}),
    ("gemini", OPENAI): ({"prompt_cache_key"}, set()),
    ("gemini", ANTHROPIC): ({"cache_control"}, set()),
}

_PAGE = Path(__file__).parents[2] / "docs" / "use-with-opencode.md"
_JSON = re.compile(r"```json\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def executable() -> Path:
    try:
        return npm.opencode()
    except npm.MissingTool as problem:
        pytest.fail(str(problem))


@pytest.fixture(scope="module")
def gateway(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("opencode")
    with Gateway(
        pyz, folder / "gateway", {"providers": upstreams([RULE], folder), "aliases": aliases("agent")}
    ) as gateway:
        yield gateway
        gateway.ledger.assert_balanced()


@pytest.mark.parametrize(("dialect", "adapter"), DROPPED)
def test_opencode_writes_a_file(gateway: Gateway, executable: Path, tmp_path: Path, dialect: str, adapter: str) -> None:
    pasted = settings(gateway.url, gateway.key, f"agent-{dialect}", adapter)
    _, rows = run_loop(Opencode(executable, tmp_path / "opencode", pasted), gateway)
    assert_requests(rows, ENDPOINTS[adapter])
    assert_dropped(rows, *DROPPED[dialect, adapter])
    assert {(row["provider"], row["model"]) for row in rows} == {(dialect, MODELS[dialect])}


def test_opencode_works_with_a_provider_over_http(pyz: Path, executable: Path, tmp_path: Path) -> None:
    """The provider is a second gateway: its ledger is the journal of what the first one really sent."""
    with Gateway(pyz, tmp_path / "back", {"providers": stub({"rules": [RULE]}, tmp_path)}, name="back") as back:
        front_config = {
            "providers": {"far": {"type": "openai", "api_key": back.key, "api_base": f"{back.url}/v1"}},
            "pricing": {"far:stub:agent": {"input_price_per_million": 1.5, "output_price_per_million": 6}},
            "require_pricing": True,
        }
        with Gateway(pyz, tmp_path / "front", front_config, name="front") as front:
            client = Opencode(executable, tmp_path / "opencode", settings(front.url, front.key, "far:stub:agent"))
            _, sent = run_loop(client, front)
            received = back.wait_quiet().usage()
            assert front.stop() == 0
        assert back.stop() == 0
    assert_requests(sent, ENDPOINTS[COMPATIBLE])
    assert_requests(received, ENDPOINTS[COMPATIBLE])
    assert [row["usage_source"] for row in sent] == ["provider"] * 2
    for here, there in zip(sent, received, strict=True):
        assert (here["input_tokens"], here["output_tokens"]) == (there["input_tokens"], there["output_tokens"])
        assert here["cost_nano"] == 1500 * here["input_tokens"] + 6000 * here["output_tokens"]
    front.ledger.assert_balanced()


def test_the_documented_settings_work_as_they_stand(pyz: Path, executable: Path, tmp_path: Path) -> None:
    """The block that people paste, with nothing changed but the port, against a stub with the shipped script."""
    (block,) = _JSON.findall(_PAGE.read_text())
    with Gateway(pyz, tmp_path / "gateway", {"providers": {"stub": {"type": "stub"}}}) as gateway:
        pasted = orjson.loads(block.replace("127.0.0.1:8000", f"127.0.0.1:{gateway.port}"))
        client = Opencode(executable, tmp_path / "opencode", pasted, OTARI_API_KEY=gateway.key)
        run = client.run("Hello from the page")
        assert run.code == 0, f"{run.out}\n{run.err}"
        assert "Hello from the page" in run.out
        (row,) = gateway.wait_quiet().usage()
    assert (row["selector"], row["state"], row["status"]) == ("stub:echo", "settled", "success")
