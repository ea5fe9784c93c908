"""`otari.pyz stub`: the whole gateway for a moment, a script for a model; no configuration, key or network needed."""
