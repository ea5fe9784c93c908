"""Driving the real opencode headless: its home, its configuration, one run."""

from pathlib import Path
from typing import Any

import orjson

from tests.e2e.coding import CodingClient, Run
from tests.e2e.npm import OPENCODE_VERSION

COMPATIBLE, OPENAI, ANTHROPIC = "@ai-sdk/openai-compatible", "@ai-sdk/openai", "@ai-sdk/anthropic"  # built into it

# Everything that would reach out to other hosts or pick up settings of whoever runs the tests.
_SWITCHES = (
    "OPENCODE_DISABLE_MODELS_FETCH",
    "OPENCODE_DISABLE_AUTOUPDATE",
    "OPENCODE_DISABLE_LSP_DOWNLOAD",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS",
    "OPENCODE_DISABLE_SHARE",
    "OPENCODE_DISABLE_CLAUDE_CODE",
    "OPENCODE_DISABLE_EXTERNAL_SKILLS",
    "OPENCODE_PURE",
)

Settings = dict[str, Any]


def settings(url: str, key: str, model: str, adapter: str = COMPATIBLE) -> Settings:
    """Settings that know one provider, the gateway at `url` by one adapter, and one model of it; every tool call is
    allowed.
    """
    return {
        "$schema": "https://opencode.ai/config.json",
        "autoupdate": False,
        "share": "disabled",
        "permission": "allow",
        "enabled_providers": ["otari"],
        "model": f"otari/{model}",
        "small_model": f"otari/{model}",
        "provider": {
            "otari": {
                "npm": adapter,
                "name": "Otari",
                "options": {"baseURL": f"{url}/v1", "apiKey": key},
                "models": {model: {"name": "scripted"}},
            }
        },
    }


class Opencode(CodingClient):
    """opencode with settings of its own. `env` is added to its bare environment."""

    def __init__(self, executable: Path, folder: Path, settings: Settings, **env: str) -> None:
        super().__init__("opencode", executable, folder)
        self._env = env
        place = self.home / ".config" / "opencode"
        # An empty node_modules and a lock file that names it keep opencode from fetching its plug-in package.
        (place / "node_modules").mkdir(parents=True)
        _write(place / "opencode.json", settings)
        _write(place / "package-lock.json", _LOCK)

    def run(self, prompt: str) -> Run:
        """`opencode run` with a title of its own, so that it asks no model for one."""
        return self._run("run", "--title", "a test", prompt, **dict.fromkeys(_SWITCHES, "1"), **self._env)


_LOCK = {
    "name": "opencode",
    "lockfileVersion": 3,
    "requires": True,
    "packages": {"": {"dependencies": {"@opencode-ai/plugin": OPENCODE_VERSION}}},
}


def _write(path: Path, doc: Settings) -> None:
    path.write_bytes(orjson.dumps(doc, option=orjson.OPT_INDENT_2))
