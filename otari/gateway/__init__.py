"""The use cases: one path for every chat-like request."""
