"""What the routes of a vendor's shape read and answer, told as types for the reference.

Nothing is decoded into these: requests are read by their dialect, which refuses less than a strict type would, and
answers pass as the provider wrote them. A field that is not named here passes as well.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from otari.web.answers.terms import Absent, Amount, Time

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


class MessagesMessage(Struct, kw_only=True):
    """One message of a Messages conversation."""

    role: Literal["user", "assistant", "system"]
    content: Annotated[str | Sequence[Mapping[str, Any]], Meta(description="Text, or a list of content blocks.")]


class MessagesRequest(Struct, kw_only=True):
    """A request in the Anthropic Messages shape."""

    model: Model
    messages: Annotated[Sequence[MessagesMessage], Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1, description="At most so many tokens. The hold is bounded by it.")]
    system: str | Sequence[Mapping[str, Any]] | None = None
    stream: Annotated[
        bool | None, Meta(description="Answer as a stream of events; the last one is `message_stop`.")
    ] = None
    tools: Annotated[Sequence[Mapping[str, Any]] | None, Meta(description="Tools that the model may call.")] = None
    tool_choice: Mapping[str, Any] | None = None
    thinking: Mapping[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: Sequence[str] | None = None
    metadata: Annotated[
        Mapping[str, Any] | None,
        Meta(description="`user_id` names who pays, when the master key asks; what coding clients put there does not."),
    ] = None


class MessagesAnswer(Struct, kw_only=True):
    """A whole answer in the Anthropic Messages shape."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: Sequence[Mapping[str, Any]]
    stop_reason: str | None
    stop_sequence: str | None
    usage: Mapping[str, Any]


class CountRequest(Struct, kw_only=True):
    """A request in the Anthropic Messages shape that is only to be counted: it needs no `max_tokens`."""

    model: Model
    messages: Annotated[Sequence[Mapping[str, Any]], Meta(min_length=1)]
    system: str | Sequence[Mapping[str, Any]] | None = None
    tools: Annotated[Sequence[Mapping[str, Any]] | None, Meta(description="Tools that the model may call.")] = None
    tool_choice: Mapping[str, Any] | None = None
    thinking: Mapping[str, Any] | None = None


class TokenCount(Struct, kw_only=True):
    """How large a request is."""

    input_tokens: Annotated[int, Meta(ge=1, description="Of the whole request: instructions, messages, tools.")]


class ResponsesRequest(Struct, kw_only=True):
    """A request in the OpenAI Responses shape."""

    model: Model
    input: Annotated[
        str | Sequence[Mapping[str, Any]] | None, Meta(description="Text, or a list of items.", examples=["Hello"])
    ] = None
    instructions: str | None = None
    stream: Annotated[
        bool | None, Meta(description="Answer as a stream of events; the last one is `response.completed`.")
    ] = None
    max_output_tokens: TokenLimit | None = None
    tools: Annotated[Sequence[Mapping[str, Any]] | None, Meta(description="Tools that the model may call.")] = None
    tool_choice: str | Mapping[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Mapping[str, Any] | None = None
    text: Mapping[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    store: Annotated[
        bool | None, Meta(description="true asks the provider to keep the answer: only where it speaks Responses.")
    ] = None
    previous_response_id: Annotated[
        str | None, Meta(description="Goes on after an answer that the provider kept: only where it speaks Responses.")
    ] = None
    metadata: Mapping[str, Any] | None = None
    user: Annotated[
        str | None,
        Meta(description="Who pays, when the master key asks; else the key's own user. Never sent to the provider."),
    ] = None


class ResponsesAnswer(Struct, kw_only=True):
    """A whole answer in the OpenAI Responses shape."""

    id: str
    object: Literal["response"]
    created_at: float
    status: str
    model: str
    output: Sequence[Mapping[str, Any]]
    usage: Mapping[str, Any] | None = None


class ModelPricing(Struct, kw_only=True):
    """What a model costs now."""

    input_price_per_million: Annotated[Amount, Meta(description="USD per million tokens.")]
    output_price_per_million: Annotated[Amount, Meta(description="USD per million tokens.")]


class ModelCard(Struct, kw_only=True):
    """One model that can be asked for."""

    id: Annotated[str, Meta(description="What to send as `model`.", examples=["stub:script"])]
    object: Literal["model"]
    created: Annotated[int, Meta(description="Seconds since 1970; 0 when it is not known.", examples=[0])]
    owned_by: Annotated[str, Meta(description="The provider, or `otari` for an alias.", examples=["stub"])]
    pricing: Annotated[ModelPricing | None, Meta(description="null when no price is known.")]
    context_window: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Tokens of a prompt and its answer together. null: not known."),
    ]
    max_output_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Tokens of one answer. null: not known.")
    ]


class ModelList(Struct, kw_only=True):
    """Every model, sorted by id."""

    object: Literal["list"]
    data: Sequence[ModelCard]


class ModelInfo(Struct, kw_only=True):
    """One model that can be asked for, in Anthropic's shape."""

    type: Literal["model"]
    id: Annotated[str, Meta(description="What to send as `model`.", examples=["stub:script"])]
    display_name: str
    created_at: Annotated[Time, Meta(description="1970 when it is not known.")]
    max_input_tokens: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="null: not known.")]
    max_tokens: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="Of one answer. null: not known.")]
    capabilities: Absent
    lifecycle: Literal["active"]
    line: Absent
    deprecated_at: Absent
    retires_at: Absent


class ModelInfoPage(Struct, kw_only=True):
    """A part of the list of models, in Anthropic's shape."""

    data: Sequence[ModelInfo]
    has_more: Annotated[bool, Meta(description="Whether there are more in the direction that was asked for.")]
    first_id: str | None
    last_id: str | None
