"""Driving the real Claude Code headless: its environment and one run."""

from collections.abc import Mapping
from pathlib import Path

from tests.e2e.coding import CodingClient, Run

# Everything that would reach out to other hosts.
_SWITCHES = (
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "DISABLE_AUTOUPDATER",
    "DISABLE_ERROR_REPORTING",
    "DISABLE_TELEMETRY",
)
# It hides broken streams: it asks again, and then for an answer that is not streamed.
_STRICT = {"CLAUDE_CODE_MAX_RETRIES": "0", "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1"}


def settings(url: str, key: str, model: str) -> dict[str, str]:
    """The variables that lead it to the gateway at `url`, and to one model for all it does."""
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": key,
        "ANTHROPIC_MODEL": model,
        "ANTHROPIC_SMALL_FAST_MODEL": model,
    }


class ClaudeCode(CodingClient):
    """Claude Code with the variables `env` and a settings file, allowed to write files and nothing else."""

    def __init__(self, executable: Path, folder: Path, env: Mapping[str, str], settings: str = "{}") -> None:
        super().__init__("claude", executable, folder)
        self.env = env
        self._place = self.home / ".claude"
        self._place.mkdir()
        (self._place / "settings.json").write_text(settings)

    def run(self, prompt: str) -> Run:
        """`claude -p`, without retries; its result is JSON."""
        return self._asked(prompt)

    def go_on(self, prompt: str) -> Run:
        """The same, as the next turn of the last conversation."""
        return self._asked(prompt, "--continue")

    def _asked(self, prompt: str, *more: str) -> Run:
        env = {**dict.fromkeys(_SWITCHES, "1"), **_STRICT, "CLAUDE_CONFIG_DIR": str(self._place), **self.env}
        words = ("--output-format", "json", "--permission-mode", "acceptEdits", "--allowedTools", "Write")
        return self._run("-p", prompt, *more, *words, **env)
