"""Configuration: files and environment → one frozen, typed `Config`. The only reader of YAML in the product."""

from otari.config.loading import Loaded, load
from otari.config.mode import platform_url
from otari.config.model_limits import limits, senses
from otari.config.pricing import prices
from otari.config.problems import ConfigError
from otari.config.providers import platform_provider, providers
from otari.config.scripts import ScriptFile, load_recordings, load_stub_script, load_stub_scripts, parse_recording
from otari.config.settings import ClientArgs, Config, PriceSettings, ProviderSettings

__all__ = [
    "ClientArgs",
    "Config",
    "ConfigError",
    "Loaded",
    "PriceSettings",
    "ProviderSettings",
    "ScriptFile",
    "limits",
    "load",
    "load_recordings",
    "load_stub_script",
    "load_stub_scripts",
    "parse_recording",
    "platform_provider",
    "platform_url",
    "prices",
    "providers",
    "senses",
]
