"""The configuration of a run of the stub: none, or an ordinary file whose providers are all played by the script."""

import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import structs

from otari.config import Config, load
from otari.config.document import MAX_BYTES, read_yaml
from otari.config.files import read_file
from otari.config.provider_types import find_type
from otari.domain.secret import Secret
from otari.stub.options import Options

MASTER_KEY = "mk-stub-master-key"
_HOST = "127.0.0.1"
_SHUTDOWN_S = 0.5
_PLAYED_KEY = "sk-stub-played"
_VARIABLE = re.compile(rb"\$\{(\w+)\}")


def configure(options: Options, folder: Path, environ: Mapping[str, str]) -> tuple[Config, Mapping[str, str]]:
    """The configuration, whose ledger is in `folder`, and the environment that its providers are to be read with.

    Raises ConfigError.
    """
    config, around = Config(require_pricing=False), dict[str, str]()
    if options.config is not None or options.asks_providers:
        played = {} if options.asks_providers or options.config is None else _played_keys(options.config)
        loaded = load(options.config, {**played, **environ})
        config, around = loaded.config, dict(loaded.environ)
    return (
        structs.replace(
            config,
            host=options.host or (config.host if options.config else _HOST),
            port=options.port,
            database_url=f"sqlite:///{folder}/stub.db",
            durability="normal",
            ai_token=None,
            master_key=config.master_key or Secret(environ.get("OTARI_MASTER_KEY") or MASTER_KEY),
            bootstrap_api_key=False,
            shutdown_timeout_s=_SHUTDOWN_S,
        ),
        around,
    )


def _played_keys(path: str) -> dict[str, str]:
    """Something in the place of every key that the file asks for: a played provider needs none, and CI has none."""
    data = read_file(path, MAX_BYTES)[0]
    doc = read_yaml(data, path)
    entries = doc.get("providers") if isinstance(doc, dict) else None
    keys = {name.decode(): _PLAYED_KEY for name in _VARIABLE.findall(data)}
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        told = entry.get("type") or entry.get("provider_type") if isinstance(entry, dict) else None
        kind = find_type(str(told or name))
        if kind is not None and kind.key_env:
            keys[kind.key_env[0]] = _PLAYED_KEY
    return keys
