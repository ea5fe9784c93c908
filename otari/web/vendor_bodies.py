"""What the routes of a vendor's shape read and answer, told as types for the reference.

Nothing is decoded into these: requests are read by their dialect, which refuses less than a strict type would, and
answers pass as the provider wrote them. A field that is not named here passes as well.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Model = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=512,
        description="What to ask: `provider:model`, or an alias. `GET /v1/models` lists what there is.",
        examples=["stub:script"],
    ),
]
TokenLimit = Annotated[int, Meta(ge=1, description="At most so many tokens per choice. The hold is bounded by it.")]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max", "auto"]


class ChatMessage(Struct, kw_only=True):
    """One message of the conversation; further keys (`name`, `tool_call_id`, `cache_control`, …) pass."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[
        str | Sequence[Mapping[str, Any]] | None, Meta(description="Text, or a list of content parts.")
    ] = None
    tool_calls: Sequence[Mapping[str, Any]] | None = None


class ChatCompletionRequest(Struct, kw_only=True):
    """A request in the OpenAI Chat Completions shape."""

    model: Model
    messages: Annotated[Sequence[ChatMessage], Meta(min_length=1)]
    stream: Annotated[
        bool | None, Meta(description="Answer as a stream of events; the last one is `data: [DONE]`.")
    ] = None
    stream_options: Annotated[
        Mapping[str, Any] | None, Meta(description='`{"include_usage": true}` adds a chunk with the usage.')
    ] = None
    max_completion_tokens: TokenLimit | None = None
    max_tokens: TokenLimit | None = None
    n: Annotated[int, Meta(ge=1, le=128, description="How many answers.")] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | Sequence[str] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: Annotated[Sequence[Mapping[str, Any]] | None, Meta(description="Functions that the model may call.")] = None
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: Mapping[str, Any] | None = None
    reasoning_effort: Effort | None = None
    user: Annotated[
        str | None,
        Meta(description="Who pays, when the master key asks; else the key's own user. Never sent to the provider."),
    ] = None


class ChatCompletion(Struct, kw_only=True):
    """A whole answer, as the provider wrote it."""

    id: str
    object: Literal["chat.completion"]
    created: Annotated[int, Meta(description="Seconds since 1970.")]
    model: str
    choices: Sequence[Mapping[str, Any]]
    usage: Mapping[str, Any] | None = None


class ModelPricing(Struct, kw_only=True):
    """What a model costs now."""

    input_price_per_million: Annotated[float, Meta(description="USD per million tokens.")]
    output_price_per_million: Annotated[float, Meta(description="USD per million tokens.")]


class ModelCard(Struct, kw_only=True):
    """One model that can be asked for."""

    id: Annotated[str, Meta(description="What to send as `model`.", examples=["stub:script"])]
    object: Literal["model"]
    created: Annotated[int, Meta(description="Seconds since 1970; 0 when it is not known.", examples=[0])]
    owned_by: Annotated[str, Meta(description="The provider, or `otari` for an alias.", examples=["stub"])]
    pricing: Annotated[ModelPricing | None, Meta(description="null when no price is known.")]


class ModelList(Struct, kw_only=True):
    """Every model, sorted by id."""

    object: Literal["list"]
    data: Sequence[ModelCard]
