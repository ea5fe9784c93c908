"""The shipped provider types: what `config/providers.yaml` says about each vendor and local server."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from msgspec import Struct

from otari.config.document import read_yaml
from otari.config.problems import Problems
from otari.config.settings import DialectWord, OperationWord, QuirkSettings
from otari.config.shipped import shipped
from otari.config.typed import WRONG, Typing, struct_type

SHIPPED_FILE = "providers.yaml"

# Other words for a type, as configurations of the original product write them.
SYNONYMS = {"openai-compatible": "openai_compatible"}


Auth = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key"]
Asked = Literal[DialectWord, OperationWord]


class ProviderType(Struct, frozen=True, kw_only=True):
    """What is known of a kind of provider; the comment at the top of the data file explains every field."""

    display_name: str
    base_url: str | None = None
    base_suffix: str | None = None
    auth: Auth = "bearer"
    auths: Mapping[Asked, Auth] = {}
    key_env: tuple[str, ...] = ()
    base_url_env: tuple[str, ...] = ()
    dialects: tuple[DialectWord, ...] = ("chat",)
    elsewhere: tuple[DialectWord, ...] = ()
    operations: Mapping[OperationWord, str] = {}
    batch_discount_percent: int = 0
    paths: Mapping[Asked, str] = {}
    stream_usage: bool = True
    local: bool = False
    key_optional: bool = False
    automatic: bool = True
    models: tuple[str, ...] = ()
    prices_id: str | None = None
    usage_source: Literal["provider", "stub"] = "provider"
    quirks: QuirkSettings = QuirkSettings()
    documents: bool = True
    via: Literal["live", "stub"] = "live"


class _Shipped(Struct, frozen=True, kw_only=True):
    providers: Mapping[str, ProviderType]


@cache
def provider_types() -> Mapping[str, ProviderType]:
    """Every shipped type by name, in the order of the file."""
    problems = Problems()
    doc = read_yaml(shipped(SHIPPED_FILE), SHIPPED_FILE)
    found: Any = Typing(problems).struct(struct_type(_Shipped), doc)
    problems.raise_errors()
    assert found is not WRONG
    types: Mapping[str, ProviderType] = found.providers
    return types


def find_type(name: str) -> ProviderType | None:
    """The type of this name, or None."""
    return provider_types().get(SYNONYMS.get(name, name))


def prices_ids() -> dict[str, str]:
    """What each type that has default prices is called in them."""
    return {name: kind.prices_id for name, kind in provider_types().items() if kind.prices_id is not None}
