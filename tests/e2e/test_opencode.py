"""The real opencode, unchanged, writes a file through the built gateway: two requests, two settled rows, no retry.

opencode hides a broken stream by asking again, so that a right file alone proves little. The number of requests does.
"""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.e2e import npm
from tests.e2e.gateway import Gateway, stub
from tests.e2e.ledger import Row
from tests.e2e.opencode import Opencode, settings

CONTENT = 'Hello from a scripted model.\nÄpfel, 日本語, "quotes" and a tab:\t.\n'
LAST_WORDS = "The note is written."

_PAGE = Path(__file__).parents[2] / "docs" / "use-with-opencode.md"
_JSON = re.compile(r"```json\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def executable() -> Path:
    try:
        return npm.opencode()
    except npm.MissingTool as problem:
        pytest.fail(str(problem))


def writing_script(note: Path) -> dict[str, Any]:
    """First the model calls opencode's `write` tool; told that it worked, it says so."""
    steps = [
        {"say": "I write the note.", "call": {"write": {"filePath": str(note), "content": CONTENT}}},
        {"expect": {"tool_result": "Wrote file successfully"}, "say": LAST_WORDS},
    ]
    return {"rules": [{"id": "note", "when": {"tools": ["write"], "user": "write the note"}, "steps": steps}]}


def assert_two_requests(rows: list[Row]) -> None:
    assert [(row["state"], row["status"], row["http_status"]) for row in rows] == [("settled", "success", 200)] * 2
    assert all(row["stream"] == 1 and row["endpoint"] == "/v1/chat/completions" for row in rows)
    assert all(row["input_tokens"] > 0 and row["output_tokens"] > 0 for row in rows)
    assert [row["flags"] for row in rows] == ["", ""]


def assert_note_written(client: Opencode, note: Path) -> None:
    run = client.run("Please write the note")
    assert run.code == 0, f"{run.out}\n{run.err}"
    assert note.read_bytes() == CONTENT.encode()
    assert LAST_WORDS in run.out
    assert sorted(path.name for path in client.work.iterdir()) == [note.name]


def test_opencode_works_with_the_stub_provider(pyz: Path, executable: Path, tmp_path: Path) -> None:
    note = tmp_path / "opencode" / "work" / "note.txt"
    config = {"providers": stub(writing_script(note), tmp_path)}
    with Gateway(pyz, tmp_path / "gateway", config) as gateway:
        client = Opencode(executable, tmp_path / "opencode", settings(gateway.url, gateway.key, "stub:agent"))
        assert_note_written(client, note)
        rows = gateway.wait_quiet().usage()
        assert gateway.stop() == 0
    assert_two_requests(rows)
    assert {(row["provider"], row["model"]) for row in rows} == {("stub", "agent")}
    gateway.ledger.assert_balanced()


def test_opencode_works_with_a_provider_over_http(pyz: Path, executable: Path, tmp_path: Path) -> None:
    """The provider is a second gateway: its ledger is the journal of what the first one really sent."""
    note = tmp_path / "opencode" / "work" / "note.txt"
    back_config = {"providers": stub(writing_script(note), tmp_path)}
    with Gateway(pyz, tmp_path / "back", back_config, name="back") as back:
        front_config = {
            "providers": {"far": {"type": "openai", "api_key": back.key, "api_base": f"{back.url}/v1"}},
            "pricing": {"far:stub:agent": {"input_price_per_million": 1.5, "output_price_per_million": 6}},
            "require_pricing": True,
        }
        with Gateway(pyz, tmp_path / "front", front_config, name="front") as front:
            client = Opencode(executable, tmp_path / "opencode", settings(front.url, front.key, "far:stub:agent"))
            assert_note_written(client, note)
            sent, received = front.wait_quiet().usage(), back.wait_quiet().usage()
            assert front.stop() == 0
        assert back.stop() == 0
    assert_two_requests(sent)
    assert_two_requests(received)
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
