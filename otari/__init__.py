"""Otari: one local address in front of every LLM provider.

This file imports nothing: `otari.pyz --help` must answer before any library is loaded.
"""

__version__ = "0.1.0"
