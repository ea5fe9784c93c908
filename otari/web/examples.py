"""Bodies to begin with, shown in the reference: by handler name, then by title; the first one is what is filled in."""

from typing import Any

EXAMPLES: dict[str, dict[str, Any]] = {
    "post_chat_completions": {
        "whole": {
            "model": "stub:script",
            "messages": [{"role": "user", "content": "Hello"}],
        },
        "stream": {
            "model": "stub:script",
            "stream": True,
            "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": "Hello"}],
        },
    },
    "post_messages": {
        "whole": {
            "model": "stub:script",
            "max_tokens": 1024,
            "messages": [{"role": "user", "content": "Hello"}],
        },
        "stream": {
            "model": "stub:script",
            "max_tokens": 1024,
            "stream": True,
            "messages": [{"role": "user", "content": "Hello"}],
        },
    },
    "post_count_tokens": {
        "whole": {"model": "stub:script", "messages": [{"role": "user", "content": "Hello"}]},
    },
    "create_file": {
        "a text": {"purpose": "user_data", "file": "(choose one)"},
    },
    "create_batch": {
        "requests": {
            "model": "stub:script",
            "requests": [
                {"custom_id": "first", "body": {"messages": [{"role": "user", "content": "Hello"}]}},
                {"custom_id": "second", "body": {"messages": [{"role": "user", "content": "Good morning"}]}},
            ],
        },
        "a file": {
            "input_file_id": "file-0123456789abcdef0123456789abcdef",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
        },
    },
    "post_responses": {
        "whole": {"model": "stub:script", "input": "Hello"},
        "stream": {"model": "stub:script", "input": "Hello", "stream": True},
    },
    "post_embeddings": {
        "one": {"model": "stub:script", "input": "How many legs has a spider?"},
        "short": {"model": "stub:script", "input": ["rain", "snow"], "dimensions": 8},
    },
    "post_moderations": {"text": {"model": "stub:script", "input": "I like you."}},
    "post_rerank": {
        "two": {"model": "stub:script", "query": "rain", "documents": ["a sunny beach", "a rainy city"], "top_n": 1},
    },
    "post_rerank_v2": {
        "two": {"model": "stub:script", "query": "rain", "documents": ["a sunny beach", "a rainy city"]},
    },
    "post_image_generations": {"one": {"model": "stub:script", "prompt": "a lighthouse in fog"}},
    "post_transcriptions": {"subtitles": {"model": "stub:script", "file": "RIFF…", "response_format": "srt"}},
    "post_speech": {"hello": {"model": "stub:script", "input": "Hello", "voice": "alloy"}},
    "create_key": {
        "for a new user": {"key_name": "ci", "user_id": "ci"},
        "limited": {"key_name": "laptop", "expires_at": "2030-01-01T00:00:00Z", "allowed_models": ["stub:*"]},
    },
    "change_key": {"revoke": {"is_active": False}, "never expires": {"expires_at": None}},
    "create_user": {"user": {"user_id": "alice", "alias": "Alice"}},
    "change_user": {"block": {"blocked": True}, "no budget": {"budget_id": None}},
    "create_budget": {
        "monthly": {"name": "team", "max_budget": 50, "reset_alignment": "calendar_month"},
        "once": {"max_budget": 5},
    },
    "change_budget": {"raise": {"max_budget": 100}, "no cap": {"max_budget": None}},
    "set_price": {
        "per token": {
            "model_key": "openai:gpt-5.2",
            "input_price_per_million": 1.75,
            "output_price_per_million": 14,
            "cache_read_price_per_million": 0.175,
        }
    },
}
