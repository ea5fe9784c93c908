"""The whole house with a script for a model, as `otari stub` builds it, in this process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otari.dialects import DIALECTS
from otari.stage import STAGE, scripted
from otari.upstreams.stub.desk import Desk
from otari.upstreams.stub.script import Script
from tests.flows.house import Answer, House, chat
from tests.upstreams.stub.rig import script

FRONT: dict[str, Any] = {"providers": {}, "bootstrap_api_key": False, "shutdown_timeout_s": 0.5}


class Stage(House):
    """A gateway in which `rules` (YAML, or a script) are every model; keys are not asked for."""

    def __init__(
        self, folder: Path, rules: str | Script, *, speaks: tuple[str, ...] = tuple(DIALECTS), **config: Any
    ) -> None:
        super().__init__(folder, None, **{**FRONT, **config})
        self.setting = scripted(script(rules) if isinstance(rules, str) else rules, speaks)

    @property
    def desk(self) -> Desk:
        """Where it can be asked what happened."""
        return self.gateway.app[STAGE].desk

    async def ask(
        self,
        text: str = "hello",
        session: str = "default",
        *,
        headers: Mapping[str, str] | None = None,
        path: str = "/v1/chat/completions",
        **more: object,
    ) -> Answer:
        """A chat completion in a session that is named by the key."""
        sent = {"Authorization": f"Bearer sk-stub-{session}", **(headers or {})}
        return await self.post({**chat("gpt-x", text), **more}, headers=sent, path=path)


def said(answer: Answer) -> str:
    """The text of a whole chat completion."""
    assert answer.status == 200, answer.body
    text: str = answer.json["choices"][0]["message"]["content"]
    return text
