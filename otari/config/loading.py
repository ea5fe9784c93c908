"""Where the configuration comes from, and in which order the sources count.

Weakest first: GATEWAY_ variables, the file, a document in the environment, OTARI_ variables. The whole is then checked.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import inspect

from otari.config.document import MAX_BYTES, read_yaml
from otari.config.environment import (
    LEGACY_PREFIX,
    PREFIX,
    interpolate,
    scalar_variables,
    whole_environment,
)
from otari.config.files import read_file
from otari.config.mode import check_mode, with_platform
from otari.config.problems import ConfigError, Problems, below
from otari.config.providers import find_providers
from otari.config.rules import check
from otari.config.settings import NOT_SUPPORTED, OLDER_KEYS, WITHOUT_MEANING, Config
from otari.config.typed import Typing, struct_type

RAW_VARIABLE = "OTARI_CONFIG_YAML"
BASE64_VARIABLE = "OTARI_CONFIG_B64"

_CREDENTIAL_WORDS = ("auth", "cookie", "key", "secret", "token")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A usable configuration.

    `source` says where it came from, `warnings` are lines for the operator, `automatic` names the providers that only a
    key variable switched on. `environ` is the environment with `.env` files beneath it: give it to `providers`.
    """

    config: Config
    warnings: tuple[str, ...]
    source: str
    automatic: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


def load(path: str | None, environ: Mapping[str, str]) -> Loaded:
    """Read the configuration file at `path` (None: no file) and the environment.

    Raises ConfigError with every problem that was found.
    """
    problems = Problems()
    document, others_may_read = _read_file(path) if path is not None else ({}, False)
    whole = whole_environment(environ, path, problems)
    override, variable = _document_of(whole, problems)
    scalars = _scalar_keys()
    legacy = scalar_variables(whole, LEGACY_PREFIX, scalars)
    current = scalar_variables(whole, PREFIX, scalars)
    _warn_of_unread_variables(whole, problems)

    raw = {**legacy, **document, **override, **current}
    labels = {name: LEGACY_PREFIX + name.upper() for name in legacy if name not in document and name not in override}
    labels |= {name: PREFIX + name.upper() for name in current}
    raw = _known_keys(raw, problems)
    raw = {key: interpolate(value, whole, key, problems) for key, value in raw.items()}

    reader = Typing(problems, labels)
    config: Config = reader.struct(struct_type(Config), with_platform(_modern(raw, problems), whole, problems))
    check_mode(config, problems)
    found = find_providers(config, whole, problems)
    names = {*config.providers, *(provider.name for provider in found)}
    config = check(config, names, labels, problems)
    if others_may_read:
        _warn_of_literal_keys(path or "", reader.literal_secrets, override.keys(), problems)
    problems.raise_errors()
    return Loaded(
        config=config,
        warnings=tuple(problems.warnings),
        source=" + ".join(filter(None, (path, variable))) or "defaults and environment",
        automatic=tuple(provider.name for provider in found if provider.name not in config.providers),
        environ=whole,
    )


def _read_file(path: str) -> tuple[dict[str, object], bool]:
    data, others_may_read = read_file(path, MAX_BYTES)
    return _mapping(read_yaml(data, path), path), others_may_read


def _mapping(document: object, source: str) -> dict[str, object]:
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError([f"{source}: must be a mapping of keys to values"])
    return document


def _document_of(environ: Mapping[str, str], problems: Problems) -> tuple[dict[str, object], str | None]:
    """The configuration document in the environment and the variable that holds it."""
    raw, encoded = environ.get(RAW_VARIABLE, ""), environ.get(BASE64_VARIABLE, "")
    if raw:
        if encoded:
            problems.warn(BASE64_VARIABLE, f"ignored, since {RAW_VARIABLE} is set")
        data = raw.encode("utf-8", "surrogateescape")
        return _mapping(read_yaml(data, RAW_VARIABLE), RAW_VARIABLE), RAW_VARIABLE
    if encoded:
        try:
            data = base64.b64decode("".join(encoded.split()), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError([f"{BASE64_VARIABLE}: not base64"]) from None
        return _mapping(read_yaml(data, BASE64_VARIABLE), BASE64_VARIABLE), BASE64_VARIABLE
    return {}, None


def _scalar_keys() -> tuple[str, ...]:
    many = (inspect.DictType, inspect.VarTupleType, inspect.StructType)
    mine = (field.name for field in struct_type(Config).fields if not isinstance(field.type, many))
    return (*mine, *OLDER_KEYS)


def _warn_of_unread_variables(environ: Mapping[str, str], problems: Problems) -> None:
    scalars = _scalar_keys()
    for name in (*Config.__struct_fields__, *WITHOUT_MEANING, *NOT_SUPPORTED):
        variable = PREFIX + name.upper()
        if environ.get(variable) and name not in scalars:
            text = "only a configuration document can set it" if name in Config.__struct_fields__ else "has no effect"
            problems.warn(variable, f"ignored: {text}")


def _known_keys(raw: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """`raw` without the keys of the original product that mean nothing here; each is told."""
    known = dict(raw)
    for key in raw:
        if key in WITHOUT_MEANING:
            problems.warn(key, "has no meaning for this gateway and is ignored")
            del known[key]
        elif key in NOT_SUPPORTED:
            problems.error(key, "is not supported by this version; remove it")
            del known[key]
    return known


def _modern(raw: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """Short and older forms brought into the one that is typed: `alias: selector`, `provider_type:`."""
    doc = dict(raw)
    if isinstance(aliases := doc.get("aliases"), dict):
        doc["aliases"] = {name: [to] if isinstance(to, str) else to for name, to in aliases.items()}
    if isinstance(entries := doc.get("providers"), dict):
        doc["providers"] = {name: _with_type(name, entry, problems) for name, entry in entries.items()}
    if doc.pop("files_backend", "local") != "local":
        problems.error("files_backend", "must be local: files are kept in a folder")
    if (folder := doc.pop("files_local_dir", None)) is not None and doc.setdefault("files_dir", folder) != folder:
        problems.error("files_local_dir", "is an older word for `files_dir`; give one of them")
    return doc


def _with_type(name: str, entry: Any, problems: Problems) -> Any:
    if not isinstance(entry, dict) or "provider_type" not in entry:
        return entry
    if "type" in entry:
        problems.error(below(below("providers", name), "provider_type"), "is another word for `type`; give one of them")
    return {"type": entry["provider_type"], **{key: item for key, item in entry.items() if key != "provider_type"}}


def _warn_of_literal_keys(path: str, places: Iterable[str], overridden: Iterable[str], problems: Problems) -> None:
    above = tuple(overridden)
    risky = [
        place
        for place in places
        if place.split(".")[0] not in above
        and any(word in place.rsplit(".", 1)[-1].lower() for word in _CREDENTIAL_WORDS)
    ]
    if risky:
        problems.warn(
            path,
            f"other users can read this file and the keys in it ({', '.join(risky)}): `chmod 600` it, or write"
            " `${NAME}` and keep the keys in the environment",
        )
