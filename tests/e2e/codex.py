"""Driving the real Codex headless: its configuration and one run."""

from pathlib import Path

from tests.e2e.coding import CodingClient, Run


def settings(url: str, model: str) -> str:
    """A configuration that knows one provider, the gateway at `url`, and nothing that would reach other hosts. The key
    is read from OTARI_API_KEY. Broken streams are not asked for again.
    """
    return f"""
model = "{model}"
model_provider = "otari"
check_for_update_on_startup = false

[model_providers.otari]
name = "Otari"
base_url = "{url}/v1"
env_key = "OTARI_API_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
{_QUIET}"""


def built_in(url: str, model: str) -> str:
    """A configuration that leads the provider that Codex brings along to the gateway at `url`."""
    return f"""
model = "{model}"
openai_base_url = "{url}/v1"
check_for_update_on_startup = false
{_QUIET}"""


# What Codex would fetch from other hosts at its start.
_QUIET = """
[analytics]
enabled = false

[features]
apps = false
plugins = false
"""


class Codex(CodingClient):
    """Codex with a configuration of its own. It may do anything: its sandbox needs powers that containers lack."""

    def __init__(self, executable: Path, folder: Path, settings: str, key: str) -> None:
        super().__init__("codex", executable, folder)
        self._key = key
        self._place = self.home / ".codex"
        self._place.mkdir()
        self.configure(settings)

    def configure(self, settings: str) -> None:
        """Replace the configuration; it counts from the next run."""
        (self._place / "config.toml").write_text(settings)

    def run(self, prompt: str) -> Run:
        """`codex exec`, with its events as JSON lines."""
        return self._asked(prompt)

    def go_on(self, prompt: str) -> Run:
        """The same, as the next turn of the last conversation."""
        return self._asked(prompt, "resume", "--last")

    def _asked(self, prompt: str, *more: str) -> Run:
        place = str(self._place)
        words = ("--skip-git-repo-check", "--json", "--dangerously-bypass-approvals-and-sandbox")
        return self._run(
            "exec", *more, *words, prompt, OTARI_API_KEY=self._key, CODEX_API_KEY=self._key, CODEX_HOME=place
        )
