"""What coding clients ask beside the conversation is answered aside. The shapes are those that the clients send."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from otari.stage import read_stub_scripts
from tests.flows.house import play
from tests.flows.stage import Stage

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
TITLE_SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}}
GENERATOR = "You are a title generator. You output ONLY a thread title. Nothing else.\nFollow all rules"
ONE_TITLE = 'Name the session.\n\nReturn JSON with a single "title" field. Capitalize the first letter.'
TASK = "Generate a concise, single-line task title of at most 36 characters.\n\nUser prompt:\nhello"


def system(text: str) -> dict[str, str]:
    return {"role": "system", "content": text}


def user(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


ASIDE: dict[str, tuple[str, dict[str, Any]]] = {
    "opencode-title": (
        CHAT,
        {"messages": [system(GENERATOR), *user("Generate a title for this conversation:", "hello")]},
    ),
    "opencode-title, messages": (
        MESSAGES,
        {"system": [{"type": "text", "text": GENERATOR}], "messages": user("hello")},
    ),
    "opencode-title, responses": (RESPONSES, {"input": [system(GENERATOR), *user("hello")]}),
    "opencode-compaction": (CHAT, {"messages": [system("You are a context summarization agent."), *user("hello")]}),
    "claude-code-title": (
        MESSAGES,
        {
            "system": [{"type": "text", "text": ONE_TITLE}],
            "messages": user("<session>\nhello\n</session>"),
            "output_config": {"format": {"type": "json_schema", "schema": TITLE_SCHEMA}},
        },
    ),
    "claude-code-probe": (MESSAGES, {"max_tokens": 1, "messages": user("quota")}),
    "codex-title": (
        RESPONSES,
        {
            "input": user("<environment_context/>", TASK),
            "text": {"format": {"type": "json_schema", "name": "o", "strict": True, "schema": TITLE_SCHEMA}},
        },
    ),
    "codex-compaction": (
        RESPONSES,
        {"input": user("hello", "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary")},
    ),
}


@pytest.mark.parametrize("name", ASIDE)
def test_what_clients_ask_beside_the_conversation_is_answered_aside(tmp_path: Path, name: str) -> None:
    (tmp_path / "s.yaml").write_bytes(
        orjson.dumps(
            {
                "stub": 1,
                "include": ["preset:opencode", "preset:claude-code", "preset:codex"],
                "rules": [{"id": "mine", "when": {"user": "hello"}, "reply": "Mine"}],
            }
        )
    )
    path, body = ASIDE[name]

    async def scene() -> None:
        async with Stage(tmp_path, read_stub_scripts([str(tmp_path / "s.yaml")])) as stage:
            aside = await stage.post({"model": "m", "max_tokens": 999, **body}, path=path)
            assert aside.status == 200, aside.body
            assert aside.headers["x-stub-rule"] == name.partition(",")[0]
            assert (await stage.ask("hello")).headers["x-stub-rule"] == "mine"
            assert (await stage.get("/stub/journal")).json["calls"] == 1
            assert (await stage.get("/stub/unused")).json["rules"] == []

    play(scene())
