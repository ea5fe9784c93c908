"""Real coding clients over a gateway that is connected to a platform: the built file, unchanged clients, a scripted
platform, and behind it all a second gateway with a stub, whose ledger is the journal of what was really sent.
"""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import claude_code, codex, npm, opencode
from tests.e2e.claude_code import ClaudeCode
from tests.e2e.codex import Codex
from tests.e2e.coding import CodingClient
from tests.e2e.gateway import Gateway
from tests.e2e.loops import CONTENT, assert_requests, run_loop, upstreams, writing
from tests.e2e.opencode import ANTHROPIC, COMPATIBLE, OPENAI, Opencode
from tests.e2e.platform import GATEWAY_TOKEN, USER_TOKEN, ConnectedGateway, Document, Platform
from tests.e2e.process import until

COMMAND = f"printf %s {shlex.quote(CONTENT)} > note.txt"
RULES = [
    writing({"write": {"filePath": "${path}", "content": CONTENT}}, "write", "Wrote file successfully"),
    writing({"Write": {"file_path": "${path}", "content": CONTENT}}, "Write", "File created successfully"),
    writing({"exec_command": {"cmd": COMMAND}}, "exec_command", "Process exited with code 0"),
]
COST = "0.0042"
REPORTED_S = 20.0

# What the platform says that providers are: one that speaks all dialects, and one that has to be translated for.
NATIVE, TRANSLATED = "otari", "openai_compatible"
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"

Make = Callable[[Path, str, str], CodingClient]  # a folder, the gateway's address, a model


@dataclass(frozen=True, slots=True)
class Scene:
    """A connected gateway, its platform, and the gateway that stands for the providers."""

    front: ConnectedGateway
    platform: Platform
    back: Gateway


@pytest.fixture(scope="module", params=[NATIVE, TRANSLATED])
def scene(request: pytest.FixtureRequest, pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("connected")
    with Gateway(pyz, folder / "back", {"providers": upstreams(RULES, folder)}, name="back") as back:
        told = ("--provider", request.param, "--api-key", back.key, "--cost", COST)
        with (
            Platform(folder / "platform", f"{back.url}/v1", *told) as platform,
            ConnectedGateway(pyz, folder / "front", platform) as front,
        ):
            yield Scene(front, platform, back)
            assert front.stop() == 0, front.tail()
            assert front.kept() == []
            for secret in (GATEWAY_TOKEN, USER_TOKEN, back.key):
                assert secret.encode() not in front.written() + front.database.read_bytes()


def of_claude_code(folder: Path, url: str, model: str) -> CodingClient:
    executable = found(npm.claude_code)
    return ClaudeCode(executable, folder, claude_code.settings(url, USER_TOKEN, model))


def of_codex(folder: Path, url: str, model: str) -> CodingClient:
    return Codex(found(npm.codex), folder, codex.settings(url, model), USER_TOKEN)


def of_opencode(adapter: str) -> Make:
    def make(folder: Path, url: str, model: str) -> CodingClient:
        told = opencode.settings(url, USER_TOKEN, model, adapter)
        if adapter == ANTHROPIC:  # it sends `apiKey` as x-api-key, which is not looked at here
            told["provider"]["otari"]["options"]["headers"] = {"Authorization": f"Bearer {USER_TOKEN}"}
        return Opencode(found(npm.opencode), folder, told)

    return make


def found(tool: Callable[[], Path]) -> Path:
    try:
        return tool()
    except npm.MissingTool as problem:
        pytest.fail(str(problem))


@pytest.mark.parametrize("dialect", ["chat", "messages"])  # that the provider at the very end speaks
@pytest.mark.parametrize(
    ("make", "endpoint"),
    [
        pytest.param(of_claude_code, MESSAGES, id="claude-code"),
        pytest.param(of_codex, RESPONSES, id="codex"),
        pytest.param(of_opencode(COMPATIBLE), CHAT, id="opencode-compatible"),
        pytest.param(of_opencode(OPENAI), RESPONSES, id="opencode-openai"),
        pytest.param(of_opencode(ANTHROPIC), MESSAGES, id="opencode-anthropic"),
    ],
)
def test_a_client_writes_a_file(scene: Scene, tmp_path: Path, make: Make, endpoint: str, dialect: str) -> None:
    before = len(scene.platform.reports())
    client = make(tmp_path / "client", scene.front.url, f"some:{dialect}:agent")
    _, rows = run_loop(client, scene.back)
    native = NATIVE in scene.platform.command
    assert_requests(rows, endpoint if native else CHAT)
    reports = until(lambda: whole(scene.platform.reports()[before:]), "two reports", REPORTED_S)
    told = [(report["usage"]["prompt_tokens"], report["usage"]["completion_tokens"]) for report in reports]
    assert sorted(told) == sorted((row["input_tokens"], row["output_tokens"]) for row in rows)
    assert all((report["status"], report["is_final_attempt"]) == ("success", True) for report in reports)
    assert {report["correlation_id"] for report in reports} <= scene.platform.offered()


def whole(reports: list[Document]) -> list[Document]:
    """The reports of a run, once both have come."""
    assert len(reports) <= 2
    return reports if len(reports) == 2 else []
