"""Batches at real providers, one file for each vendor's way; the port is `otari.domain.batches.BatchUpstream`."""

from collections.abc import Mapping
from pathlib import Path

from otari.domain.batches import BatchUpstream
from otari.upstreams.batches.anthropic import AnthropicBatches
from otari.upstreams.batches.gemini import GeminiBatches
from otari.upstreams.batches.mistral import MistralBatches
from otari.upstreams.batches.openai import OpenAIBatches
from otari.upstreams.live import LiveUpstream

_ALL = (OpenAIBatches, AnthropicBatches, MistralBatches, GeminiBatches)


def batch_upstreams(live: LiveUpstream, folder: Path | None = None) -> Mapping[str, BatchUpstream]:
    """Who handles batches, by the flavour that a provider's `operations` name; `folder` has room for one batch."""
    return {kind.flavour: kind(live, folder) for kind in _ALL}
