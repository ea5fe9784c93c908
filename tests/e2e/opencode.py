"""Driving the real opencode headless: its home, its configuration, one run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.e2e.npm import OPENCODE_VERSION
from tests.e2e.process import Process, bare_env

RUN_S = 120.0  # a first run on a cold disk takes about 13 s, later ones 3

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


def settings(url: str, key: str, model: str) -> Settings:
    """Settings that know one provider, the gateway at `url`, and one model of it; every tool call is allowed."""
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
                "npm": "@ai-sdk/openai-compatible",
                "name": "Otari",
                "options": {"baseURL": f"{url}/v1", "apiKey": key},
                "models": {model: {"name": "scripted"}},
            }
        },
    }


@dataclass(frozen=True, slots=True)
class Run:
    """How one run of opencode ended."""

    code: int
    out: str
    err: str


class Opencode:
    """opencode with a home folder, a work folder and settings of its own. `env` is added to its bare environment."""

    def __init__(self, executable: Path, folder: Path, settings: Settings, **env: str) -> None:
        self.work = folder / "work"
        self._executable = executable
        self._folder = folder
        self._home = folder / "home"
        self._env = env
        place = self._home / ".config" / "opencode"
        # An empty node_modules and a lock file that names it keep opencode from fetching its plug-in package.
        (place / "node_modules").mkdir(parents=True)
        self.work.mkdir()
        _write(place / "opencode.json", settings)
        _write(place / "package-lock.json", _LOCK)

    def run(self, prompt: str) -> Run:
        """`opencode run` with a title of its own, so that it asks no model for one. Fails after two minutes."""
        command: list[str | Path] = [self._executable, "run", "--title", "a test", prompt]
        env = bare_env(self._home, **dict.fromkeys(_SWITCHES, "1"), **self._env)
        with Process("opencode", command, self._folder, env, cwd=self.work) as process:
            code = process.wait(RUN_S)
            return Run(code, process.out.read_text(), process.err.read_text())


_LOCK = {
    "name": "opencode",
    "lockfileVersion": 3,
    "requires": True,
    "packages": {"": {"dependencies": {"@opencode-ai/plugin": OPENCODE_VERSION}}},
}


def _write(path: Path, doc: Settings) -> None:
    path.write_bytes(orjson.dumps(doc, option=orjson.OPT_INDENT_2))
