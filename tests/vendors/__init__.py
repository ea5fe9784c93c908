"""Batch APIs of vendors to test with, on loopback, as the vendors' own libraries know them."""

from collections.abc import Mapping

from tests.vendors.anthropic import AnthropicVendor
from tests.vendors.gemini import GeminiVendor
from tests.vendors.mistral import MistralVendor
from tests.vendors.openai import OpenAIVendor
from tests.vendors.vendor import Vendor

VENDORS: Mapping[str, type[Vendor]] = {
    vendor.flavour: vendor for vendor in (OpenAIVendor, AnthropicVendor, MistralVendor, GeminiVendor)
}
