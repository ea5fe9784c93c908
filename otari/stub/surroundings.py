"""What a command finds in its environment: where the stub is, keys that it takes, and none of a real provider.

A proxy that the environment names is not asked for what is on this machine.
"""

from collections.abc import Mapping
from pathlib import Path

from otari.config.mode import TOKEN_VARIABLES
from otari.config.provider_types import provider_types
from otari.serving import write_whole

KEY = "sk-stub-default"
_HERE = "127.0.0.1,localhost,::1"
TOKENS = frozenset({"ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "CODEX_API_KEY", *TOKEN_VARIABLES})
"""Variables with keys that no provider type names."""


def told(url: str, master_key: str) -> dict[str, str]:
    """The variables by which clients find the stub that listens at `url`."""
    return {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_BASE": f"{url}/v1",
        "OPENAI_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": KEY,
        "OTARI_URL": url,
        "OTARI_KEY": KEY,
        "OTARI_API_KEY": KEY,
        "OTARI_MASTER_KEY": master_key,
    }


def environment(url: str, master_key: str, around: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command: that of this process without keys of providers, and with the stub."""
    keys = {name for kind in provider_types().values() for name in kind.key_env}
    kept = {name: value for name, value in around.items() if name not in keys and name not in TOKENS}
    direct = {name: ",".join(filter(None, (around.get(name), _HERE))) for name in ("NO_PROXY", "no_proxy")}
    return {**kept, **direct, **told(url, master_key)}


def write_env_file(path: str, url: str, master_key: str) -> None:
    """The variables as lines `NAME=value`, for a shell's `source` or a job's environment. Raises OSError.

    Its owner alone may read it: the master key may be one that is used elsewhere, too.
    """
    lines = "".join(f"{name}={value}\n" for name, value in told(url, master_key).items())
    write_whole(Path(path), lines, mode=0o600)
