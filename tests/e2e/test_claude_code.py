"""The real Claude Code, unchanged, over providers of every dialect: the file is written, nothing is asked twice."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.e2e import npm
from tests.e2e.claude_code import ClaudeCode, settings
from tests.e2e.gateway import Gateway
from tests.e2e.loops import (
    CONTENT,
    GOES_ON,
    GOING_ON,
    LAST_WORDS,
    PICTURE,
    THOUGHT,
    UPSTREAMS,
    aliases,
    assert_dropped,
    assert_requests,
    run_loop,
    upstreams,
    writing,
)
from tests.e2e.wire import exchange, request

# What Claude Code gives back of the thinking must reach the model again, whoever has made it.
RULE = writing(
    {"Write": {"file_path": "${path}", "content": CONTENT}}, "Write", "File created successfully", thought=THOUGHT
)
# Several calls at once, one that fails, and a picture as a result.
SEVERAL = {
    "id": "several",
    "when": {"user": r"/two files in (?P<path>[\w./-]+)/"},
    "steps": [
        {
            "think": THOUGHT,
            "call": [{"Write": {"file_path": f"${{path}}/{name}", "content": name}} for name in ("a", "b")],
        },
        {
            "expect": {"tool_result": "/created.*created/s", "thought": THOUGHT},
            "call": [{"Read": {"file_path": f"${{path}}/{name}"}} for name in ("missing", "picture.png")],
        },
        {"expect": {"tool_result": "File does not exist", "has": "image"}, "say": LAST_WORDS},
    ],
}
ENDPOINT = "/v1/messages"
UNKNOWN = "agent"  # for models that it does not know, Claude Code asks for an effort
KNOWN = "claude-sonnet-4-5"  # this one thinks by a budget

# What a provider of each dialect can not be told of the requests.
BOTH = {"cache_control", "context_management", "thinking.display", "tools.defer_loading"}
DROPPED: dict[tuple[str, str], set[str]] = {
    ("chat", UNKNOWN): BOTH | {"system role in mid-conversation"},
    ("chat", KNOWN): BOTH | {"reasoning effort xhigh", "thinking budget"},
    ("messages", UNKNOWN): set(),
    ("messages", KNOWN): set(),
    ("responses", UNKNOWN): BOTH,
    ("responses", KNOWN): BOTH | {"thinking budget"},
    ("gemini", UNKNOWN): BOTH | {"system role in mid-conversation"},
    ("gemini", KNOWN): BOTH | {"thinking budget"},
}

_PAGE = Path(__file__).parents[2] / "docs" / "use-with-claude-code.md"
_SHELL = re.compile(r"```sh\n *(export ANTHROPIC_.*?)```", re.DOTALL)
_EXPORT = re.compile(r'^ *export (\w+)="?([^\s"]+)"?$', re.MULTILINE)
_JSON = re.compile(r"```json\n(.*?)```", re.DOTALL)
_TOTAL = re.compile(r"\*\*Tokens:\*\* ([\d.]+)k / ")
_COUNTED = re.compile(
    r'^otari_requests_total\{.*route="/v1/messages/count_tokens",status="(\w+)"\} (\d+)$', re.MULTILINE
)


@pytest.fixture(scope="module")
def executable() -> Path:
    try:
        return npm.claude_code()
    except npm.MissingTool as problem:
        pytest.fail(str(problem))


@pytest.fixture(scope="module")
def gateway(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("claude")
    config = {
        "providers": upstreams([RULE, SEVERAL, GOING_ON], folder),
        "aliases": aliases(UNKNOWN, KNOWN),
        "enable_metrics": True,
    }
    with Gateway(pyz, folder / "gateway", config) as gateway:
        yield gateway
        gateway.ledger.assert_balanced()


@pytest.mark.parametrize(("dialect", "model"), DROPPED)
def test_claude_code_writes_a_file(
    gateway: Gateway, executable: Path, tmp_path: Path, dialect: str, model: str
) -> None:
    name = f"{model}-{dialect}"
    client = ClaudeCode(executable, tmp_path / "claude", settings(gateway.url, gateway.key, name))
    run, rows = run_loop(client, gateway)
    told: dict[str, Any] = orjson.loads(run.out)
    assert (told["result"], told["num_turns"], told["is_error"]) == (LAST_WORDS, 2, False)
    assert told["modelUsage"][name]["inputTokens"] == sum(row["input_tokens"] for row in rows)
    assert told["modelUsage"][name]["outputTokens"] == sum(row["output_tokens"] for row in rows)
    assert_requests(rows, ENDPOINT)
    assert_dropped(rows, DROPPED[dialect, model])


@pytest.mark.parametrize("dialect", UPSTREAMS)
def test_claude_code_makes_several_calls(gateway: Gateway, executable: Path, tmp_path: Path, dialect: str) -> None:
    before = len(gateway.ledger.usage())
    client = ClaudeCode(executable, tmp_path / "claude", settings(gateway.url, gateway.key, f"{UNKNOWN}-{dialect}"))
    (client.work / "picture.png").write_bytes(PICTURE)
    run = client.run(f"Please make two files in {client.work}")
    assert run.code == 0, f"{run.out}\n{run.err}"
    assert orjson.loads(run.out)["result"] == LAST_WORDS
    assert [(client.work / name).read_text() for name in ("a", "b")] == ["a", "b"]
    assert_requests(gateway.wait_quiet().usage()[before:], ENDPOINT, 3)


def test_a_conversation_goes_on_with_other_providers(gateway: Gateway, executable: Path, tmp_path: Path) -> None:
    """Each of them gets the calls and the thinking of those before it, as far as it may have them."""
    before = len(gateway.ledger.usage())
    client = ClaudeCode(executable, tmp_path / "claude", settings(gateway.url, gateway.key, f"{UNKNOWN}-gemini"))
    run_loop(client, gateway)
    for dialect in UPSTREAMS:
        client.env = settings(gateway.url, gateway.key, f"{UNKNOWN}-{dialect}")
        run = client.go_on("And then?")
        assert run.code == 0, f"{run.out}\n{run.err}"
        assert orjson.loads(run.out)["result"] == GOES_ON
    assert_requests(gateway.wait_quiet().usage()[before:], ENDPOINT, 2 + len(UPSTREAMS))


def test_context_counts_every_part_of_the_prompt_at_once(gateway: Gateway, executable: Path, tmp_path: Path) -> None:
    """`/context` asks for the sizes of its tools and files side by side; none of that is a request to a model."""
    before = len(gateway.ledger.usage())
    client = ClaudeCode(executable, tmp_path / "claude", settings(gateway.url, gateway.key, f"{UNKNOWN}-messages"))
    run = client.run("/context")
    assert run.code == 0, f"{run.out}\n{run.err}"
    assert run.reached == ()
    shown = _TOTAL.search(orjson.loads(run.out)["result"])
    assert shown is not None, run.out
    assert 5 < float(shown[1]) < 20  # thousands of tokens
    metrics = exchange(gateway.port, request("GET", "/metrics", {})).body.decode()
    counted = dict(_COUNTED.findall(metrics))
    assert counted == {"2xx": "24"}
    assert len(gateway.wait_quiet().usage()) == before


@pytest.mark.parametrize("pasted", ["variables", "settings"])
def test_what_the_page_says_works_as_it_stands(pyz: Path, executable: Path, tmp_path: Path, pasted: str) -> None:
    """The blocks that people paste, with nothing changed but port and key, against a stub with the shipped script."""
    with Gateway(pyz, tmp_path / "gateway", {"providers": {"stub": {"type": "stub"}}}) as gateway:
        page = _PAGE.read_text().replace("127.0.0.1:8000", f"127.0.0.1:{gateway.port}")
        (shell,), (file,) = _SHELL.findall(page), _JSON.findall(page)
        if pasted == "variables":
            env, file = dict(_EXPORT.findall(shell.replace("$OTARI_API_KEY", gateway.key))), "{}"
        else:
            env = {"ANTHROPIC_AUTH_TOKEN": gateway.key}
        run = ClaudeCode(executable, tmp_path / "claude", env, file).run("Hello from the page")
        assert run.code == 0, f"{run.out}\n{run.err}"
        assert "Hello from the page" in orjson.loads(run.out)["result"]
        (row,) = gateway.wait_quiet().usage()
    assert (row["selector"], row["state"], row["status"]) == ("stub:echo", "settled", "success")
