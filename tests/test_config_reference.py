"""`otari/config/settings.py`, `otari.yaml.example` and `docs/configuration.md` say the same."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import NODEFAULT, Struct, structs

from otari.config import (
    ClientArgs,
    Config,
    PriceSettings,
    ProviderSettings,
    limits,
    load,
    prices,
    providers,
    senses,
)
from otari.config.document import read_yaml
from otari.config.provider_types import provider_types
from otari.config.settings import WITHOUT_MEANING, CapabilitySettings, LimitSettings, PlatformSettings, QuirkSettings
from otari.domain.catalog import Limits
from otari.domain.provider import NO_QUIRKS, Quirks, Senses

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "otari.yaml.example"
DOCS = (ROOT / "docs" / "configuration.md").read_text()
CHANGED_IN_EXAMPLE = {"require_pricing", "default_pricing", "providers"}  # so that a first call works, and is priced


def default_of(field: structs.FieldInfo) -> Any:
    return field.default if field.default is not NODEFAULT else field.default_factory()


def plain(value: object) -> object:
    """A default as YAML would give it; that of a whole block is an empty one."""
    if isinstance(value, Struct):
        return {}
    return list(value) if isinstance(value, tuple) else value


def section(heading: str) -> str:
    found = re.search(rf"^#+ {re.escape(heading)}[^\n]*\n(.*?)(?=^#|\Z)", DOCS, re.DOTALL | re.MULTILINE)
    assert found, heading
    return found[1]


def rows(heading: str) -> dict[str, str]:
    """Key → default, from the table under a heading."""
    cells = [line.split("|") for line in section(heading).splitlines() if line.startswith("| `")]
    return {row[1].strip(" `"): row[3].strip() for row in cells}


def keys(cls: type[Struct]) -> list[str]:
    return [field.name for field in structs.fields(cls)]


def uncommented() -> str:
    """The example with every commented key switched on, prose left out."""
    lines = EXAMPLE.read_text().splitlines()
    return "\n".join(re.sub(r"^(\s*)# (\s*[\w.:-]+:( |$))", r"\1\2", line) for line in lines)


def test_the_docs_name_every_key_with_its_default() -> None:
    table = rows("Keys")
    assert list(table) == keys(Config)
    for field in structs.fields(Config):
        assert read_yaml(table[field.name].strip("`").encode(), "docs") == plain(default_of(field)), field.name


@pytest.mark.parametrize(
    ("heading", "cls"),
    [
        ("A provider: `providers.<name>`", ProviderSettings),
        ("Prices: `pricing.", PriceSettings),
        ("Limits of models: `model_limits.", LimitSettings),
        ("What models take beside text: `model_capabilities.", CapabilitySettings),
        ("The platform: `platform`", PlatformSettings),
        ("Quirks: `providers.<name>.quirks`", QuirkSettings),
    ],
)
def test_the_docs_name_every_key_of_an_entry(heading: str, cls: type[Struct]) -> None:
    assert sorted(rows(heading)) == sorted(keys(cls))


def test_the_docs_name_the_defaults_of_the_platform() -> None:
    for key, told in rows("The platform: `platform`").items():
        assert read_yaml(told.strip("`").encode(), "docs") == getattr(PlatformSettings(), key), key


def test_every_quirk_can_be_configured_and_the_docs_name_its_default() -> None:
    table = rows("Quirks: `providers.<name>.quirks`")
    assert keys(QuirkSettings) == [field.name for field in dataclasses.fields(Quirks)]
    for key, told in table.items():
        assert read_yaml(told.strip("`").encode(), "docs") == plain(getattr(NO_QUIRKS, key)), key


def test_the_docs_name_what_client_args_holds() -> None:
    for name in keys(ClientArgs):
        assert f"`{name}`" in section("A provider: `providers.<name>`")


def test_the_docs_name_the_keys_without_meaning() -> None:
    assert all(f"`{key}`" in section("Keys") for key in WITHOUT_MEANING)


def test_the_docs_list_exactly_the_shipped_providers_by_kind() -> None:
    lists = [re.findall(r"`(\w+)`", part) for part in re.findall(r"^\w[^\n]*:\n((?:`.*\n)+)", DOCS, re.MULTILINE)]
    types = provider_types()
    assert lists[0] == [name for name, kind in types.items() if kind.base_url and not kind.local]
    assert lists[1] == [name for name, kind in types.items() if not kind.base_url and not kind.local]
    assert lists[2] == [name for name, kind in types.items() if kind.local]
    needing_an_entry = [name for name, kind in types.items() if not kind.automatic]
    assert all(f"`{name}`" in section("Providers").split("Vendors:")[0] for name in needing_an_entry)


def test_the_example_works_without_any_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load(str(EXAMPLE), {})
    assert loaded.warnings == ()
    assert [provider.name for provider in providers(loaded.config, {})] == ["stub"]
    assert loaded.config.require_pricing is False
    assert prices(loaded.config) == {}


def test_the_example_shows_every_key_with_its_default() -> None:
    document = read_yaml(uncommented().encode(), "example")
    assert isinstance(document, dict)
    assert sorted(document) == sorted(keys(Config))
    nested = {"providers", "aliases", "pricing", "model_limits", "model_capabilities", "platform"}  # show samples
    for field in structs.fields(Config):
        if field.name not in CHANGED_IN_EXAMPLE | nested:
            assert document[field.name] == plain(default_of(field)), field.name
    assert document["platform"] == structs.asdict(PlatformSettings())
    shown: set[str] = {key for entry in document["providers"].values() for key in entry}
    assert shown == set(keys(ProviderSettings))
    (price,) = document["pricing"].values()
    assert sorted(price) == sorted(keys(PriceSettings))
    (limit,) = document["model_limits"].values()
    assert sorted(limit) == sorted(keys(LimitSettings))
    (capability,) = document["model_capabilities"].values()
    assert sorted(capability) == sorted(keys(CapabilitySettings))


def test_the_example_is_valid_with_everything_switched_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    everything = Path("everything.yaml")
    everything.write_text(uncommented())
    everything.chmod(0o600)
    loaded = load("everything.yaml", {"OPENAI_API_KEY": "sk-1", "LAB_KEY": "k-2"})
    assert loaded.warnings == ()
    assert list(prices(loaded.config)) == ["openai:gpt-5.2-mini"]
    assert limits(loaded.config) == {"openai:gpt-5.2-mini": Limits(400_000, 128_000)}
    assert senses(loaded.config) == {"ollama:qwen3": Senses(images=False, documents=False)}
    assert list(loaded.config.aliases) == ["fast", "steady"]
    assert [p.name for p in providers(loaded.config, loaded.environ)] == ["stub", "openai", "ollama", "lab"]
