"""On what terms a request is written: what the server takes, what its tools are called, and who hears of losses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from otari.dialects.losses import Drop, collector
from otari.domain.provider import NO_QUIRKS, Quirks

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")  # from none to the most

# What a client of this dialect wrote goes to the server as it is, whatever the server is like.
AS_WRITTEN = Quirks(
    later_system="keep",
    developer_role=True,
    cache_marks=True,
    top_k=True,
    openai_keys=True,
    efforts=EFFORTS,
    signatures="calls",
)


@dataclass(frozen=True, slots=True)
class Terms:
    """`own` says that the request was read from this dialect. `names` are the names of tools on the wire where they are
    not the client's, `freeform` those of the tools that take plain text. `file_ids` says that the server may know the
    files that the client names.
    """

    own: bool = False
    file_ids: bool = False
    quirks: Quirks = NO_QUIRKS
    drop: Drop = field(default_factory=lambda: collector(None))
    names: Mapping[str, str] = field(default_factory=dict)
    freeform: frozenset[str] = frozenset()

    def name(self, tool: str) -> str:
        """What a tool is called on the wire."""
        return self.names.get(tool, tool)
