"""Limits and capabilities of models in the configuration, as the catalog wants them."""

from otari.config.problems import Problems, below
from otari.config.settings import Config, LimitSettings
from otari.domain.catalog import Limits
from otari.domain.provider import Senses


def limits(config: Config) -> dict[str, Limits]:
    """Every configured limit by `provider:model`."""
    return {key: Limits(entry.context_window, entry.max_output_tokens) for key, entry in config.model_limits.items()}


def senses(config: Config) -> dict[str, Senses]:
    """What models take beside text, by `provider:model`, where it is configured."""
    return {key: Senses(entry.supports_image, entry.supports_pdf) for key, entry in config.model_capabilities.items()}


def check_limits(key: str, entry: LimitSettings, problems: Problems) -> None:
    """Tell an answer that would be longer than the window it has to fit into."""
    window, output = entry.context_window, entry.max_output_tokens
    if window is not None and output is not None and output > window:
        problems.error(below("model_limits", key), "`max_output_tokens` is larger than `context_window`")
