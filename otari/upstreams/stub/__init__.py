"""The scripted provider: deterministic answers without a key and without a network."""
