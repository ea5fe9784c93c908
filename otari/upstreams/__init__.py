"""Who answers: real providers and the stub."""
