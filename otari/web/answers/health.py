"""What the health routes answer."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Mode = Annotated[Literal["hybrid"], Meta(description="Only where a platform decides.")]


class Health(Struct, kw_only=True):
    """The process answers."""

    status: Literal["healthy"]
    mode: Mode | UnsetType = UNSET
    platform_reachable: Literal["yes", "no"] | UnsetType = UNSET


class Readiness(Struct, kw_only=True):
    """Requests can be admitted. Who admits them is there: the ledger, or the platform."""

    status: Literal["healthy"]
    database: Literal["connected"] | UnsetType = UNSET
    mode: Mode | UnsetType = UNSET
    platform: Literal["connected"] | UnsetType = UNSET
    version: str
