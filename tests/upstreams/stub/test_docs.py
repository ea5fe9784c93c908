"""The examples in docs/stub.md, and those on the pages about clients, are scripts that work."""

import re
from pathlib import Path

import pytest
import yaml

from otari.config.scripts import PRESETS
from otari.domain.chat import Reply, Text, ToolCall
from otari.domain.errors import Kind
from otari.stub.manual import STUB
from otari.upstreams.stub.conditions import FEATURES, SURFACES, TEXTS
from otari.upstreams.stub.rules import Answer, Say
from otari.upstreams.stub.script import Defaults, Script, read_script
from otari.upstreams.stub.templates import NAMES
from tests.upstreams.stub.rig import ask, asks, refused, tool

DOCS = Path(__file__).parent.parent.parent.parent / "docs"


def blocks_in(page: Path) -> list[str]:
    """Every YAML block on a page."""
    return re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)


def scripts_in(page: Path) -> list[Script]:
    """Every script on a page. Raises when one is wrong."""
    return [read_script(doc, page.name) for block in blocks_in(page) if "stub" in (doc := yaml.safe_load(block))]


PAGE = (DOCS / "stub.md").read_text()
SCRIPTS = scripts_in(DOCS / "stub.md")


def parts(script: Script, text: str, **more: object) -> list[object]:
    reply = ask(script, asks(text, **more)).reply()
    assert isinstance(reply, Reply)
    return [
        p.text if isinstance(p, Text) else (p.name, p.arguments) for p in reply.parts if isinstance(p, Text | ToolCall)
    ]


def test_the_example_for_ci_calls_the_tool() -> None:
    made = parts(SCRIPTS[0], "What is the weather in Oslo?", tools=[tool("get_weather")])
    assert made == [("get_weather", '{"city":"Oslo"}')]


@pytest.mark.parametrize("page", sorted(DOCS.glob("use-with-*.md")), ids=lambda page: page.stem)
def test_the_pages_about_clients_have_a_script(page: Path) -> None:
    (script,) = scripts_in(page)
    assert [len(rule.answers) for rule in script.rules] == [2]


def test_the_defaults_on_the_page_are_the_defaults() -> None:
    assert SCRIPTS[1].defaults == Defaults()
    assert SCRIPTS[1].rules[0].answers == (Answer((Say("Hello!"),)),)


def test_the_replies_on_the_page_answer() -> None:
    replies = SCRIPTS[2]
    assert parts(replies, "one") == ["just text"]
    assert parts(replies, "two") == ["I look.", ("search", '{"q":"two"}')]
    assert parts(replies, "three") == [("read", '{"path":"a"}'), ("read", '{"path":"b"}')]
    error = refused(replies, asks("four"))
    assert (error.kind, error.retry_after) == (Kind.RATE_LIMITED, 2.0)


def test_every_condition_is_explained() -> None:
    for key in (*TEXTS, "model", "surface", "tools", "turn", "step", "stream", "has", "header", "body", "hash"):
        assert f"| `{key}` |" in PAGE
    assert "| `session`, `key` |" in PAGE
    for word in (*FEATURES, *SURFACES[:-1]):
        assert f"`{word}`" in PAGE
    for name in (*NAMES, "lorem:20"):
        assert f"`${{{name}}}`" in PAGE
    for preset in PRESETS:
        assert f"preset:{preset}" in PAGE


def test_every_option_and_exit_code_is_explained() -> None:
    for flag in re.findall(r"--[a-z-]+", STUB):
        assert f"{flag}" in PAGE, flag
    for code in (2, 3, 4, 5):
        assert f"| {code} |" in PAGE


def test_single_shots_and_faults_on_the_page_are_read() -> None:
    assert [rule.id for rule in SCRIPTS[3].rules] == ["vectors", "rank", "harm", "fine", "blue", "silence", "dictation"]
    assert [rule.id for rule in SCRIPTS[4].rules] == ["bat", "any"]
    assert [fault.id for fault in SCRIPTS[5].faults] == ["twice", "third", "half", "chaos"]
    assert SCRIPTS[5].limits is not None
    assert len(SCRIPTS[6].expect) == 2


def test_the_miss_on_the_page_is_the_real_one() -> None:
    shown = " ".join(line.removeprefix("> ") for line in PAGE.splitlines() if line.startswith("> "))
    pasted = next(block for block in blocks_in(DOCS / "stub.md") if block.startswith("- when"))
    told = refused(SCRIPTS[0], {**asks("weather in Oslo"), "model": "script"}).message
    assert told == f"{shown}\n{pasted}".rstrip()
