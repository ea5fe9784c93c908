"""The vendors' packages against the built stub: a miss fails at once, what the script makes fail is retried."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import orjson
import pytest

from tests.e2e.gateway import gateway_env, plain_python
from tests.e2e.process import Process, port_in

SCRIPT: dict[str, Any] = {
    "stub": 1,
    "rules": [
        {"id": "hi", "when": {"user": "hello"}, "reply": "Hello from ${session}"},
        {
            "id": "busy",
            "when": {"user": "busy"},
            "replies": [{"error": {"status": 429, "retry_after": 0}}, {"error": 529}, "third time lucky"],
        },
    ],
}
RETRIES = 3


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, pyz: Path) -> Iterator[str]:
    """A stub that serves until the tests are over, and then says what it had no reply for."""
    folder = tmp_path_factory.mktemp("sdks")
    (folder / "s.yaml").write_bytes(orjson.dumps(SCRIPT))
    port_file = folder / "port"
    words: list[str | Path] = [plain_python(), pyz, "stub", "--script", "s.yaml", "--port-file", port_file]
    with Process("stub", words, folder, gateway_env(folder)) as running:
        yield f"http://127.0.0.1:{port_in(port_file, running)}"
        assert running.stop() == 3
        assert "otari: the script had no reply for 2 requests" in running.err.read_text()


def calls(url: str, session: str) -> list[tuple[str, int]]:
    with urllib.request.urlopen(f"{url}/stub/journal?session={session}", timeout=10) as answer:
        journal = orjson.loads(answer.read())
    return [(entry["result"], entry["status"]) for entry in journal["entries"]]


def test_a_miss_fails_the_openai_package_at_once_and_says_what_to_add(url: str) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="sk-stub-o", max_retries=RETRIES)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-x", messages=[{"role": "user", "content": "good bye"}])
    assert caught.value.code == "stub_miss"
    assert "the nearest rule is 'hi', where these do not hold: user" in str(caught.value)
    assert '- when: {user: "=good bye"}' in caught.value.message
    assert calls(url, "o") == [("miss", 400)]


def test_a_miss_fails_the_anthropic_package_at_once(url: str) -> None:
    client = anthropic.Anthropic(base_url=url, api_key="sk-stub-a", max_retries=RETRIES)
    with pytest.raises(anthropic.BadRequestError, match="the nearest rule is"):
        client.messages.create(model="c", max_tokens=9, messages=[{"role": "user", "content": "good bye"}])
    assert calls(url, "a") == [("miss", 400)]


@pytest.mark.parametrize("package", ["openai", "anthropic"])
def test_what_the_script_makes_fail_is_retried(url: str, package: str) -> None:
    session = f"busy-{package}"
    if package == "openai":
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=f"sk-stub-{session}", max_retries=RETRIES)
        answer = client.responses.create(model="gpt-x", input="busy")
        assert answer.output_text == "third time lucky"
    else:
        other = anthropic.Anthropic(base_url=url, api_key=f"sk-stub-{session}", max_retries=RETRIES)
        told = other.messages.create(model="c", max_tokens=9, messages=[{"role": "user", "content": "busy"}])
        assert [block.text for block in told.content if block.type == "text"] == ["third time lucky"]
    assert [status for _, status in calls(url, session)] == [429, 529, 200]


def test_the_session_in_the_path_works_where_the_key_is_taken(url: str) -> None:
    client = anthropic.Anthropic(base_url=f"{url}/s/in-path", api_key="sk-ant-something")
    with client.messages.stream(model="c", max_tokens=9, messages=[{"role": "user", "content": "hello"}]) as stream:
        assert "".join(stream.text_stream) == "Hello from in-path"
