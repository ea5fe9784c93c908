"""The data that ships with Otari, installed as `otari.data`: providers, prices, presets, token tables."""
