"""What single-shot calls read and answer, told as types for the reference; see `vendor_bodies.py`.

Only rerank is checked by its type: it has no vendor's shape of errors.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from otari.web.vendor_bodies import Model

User = Annotated[
    str | None,
    Meta(description="Who pays, when the master key asks; else the key's own user. Never sent to the provider."),
]


def _one_or_many(*many: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a text, or of a list of one of these kinds."""
    lists = [{"type": "array", "minItems": 1, "items": items} for items in many]
    return {"anyOf": [{"type": "string"}, *lists]}


_TEXT = {"type": "string"}
_TOKEN = {"type": "integer", "minimum": 0, "maximum": 2_147_483_647}
_PARTS = [
    {"type": "object", "properties": {"type": {"const": kind}, kind: told}, "required": ["type", kind]}
    for kind, told in (
        ("text", _TEXT),
        ("image_url", {"type": "object", "properties": {"url": _TEXT}, "required": ["url"]}),
    )
]
Place = Annotated[int, Meta(ge=0, description="Which one of the request: 0 is the first.")]


class EmbeddingsRequest(Struct, kw_only=True):
    """Texts, or tokens of OpenAI's (for providers that take them), in the OpenAI shape."""

    model: Model
    input: Annotated[
        Any,
        Meta(
            description="A text, texts, or tokens of OpenAI's where the provider takes them.",
            examples=["How many legs has a spider?"],
            extra_json_schema=_one_or_many(_TEXT, _TOKEN, {"type": "array", "minItems": 1, "items": _TOKEN}),
        ),
    ]
    dimensions: Annotated[int, Meta(ge=1, le=65_536, description="How long the vectors are to be.")] | None = None
    encoding_format: Annotated[
        Literal["float", "base64"] | None, Meta(description="base64: little-endian 32-bit floats.")
    ] = None
    user: User = None


class Embedding(Struct, kw_only=True):
    """One vector."""

    object: Literal["embedding"]
    index: Place
    embedding: Sequence[float] | str


class EmbeddingsUsage(Struct, kw_only=True):
    """What was read, in tokens."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(Struct, kw_only=True):
    """Vectors in the order of the texts."""

    object: Literal["list"]
    data: Sequence[Embedding]
    model: str
    usage: EmbeddingsUsage


class ModerationQuery(Struct, kw_only=True):
    """What to tell beside the verdict."""

    include_raw: Annotated[bool, Meta(description="Add what the provider wrote, as `provider_raw`.")] = False


class ModerationRequest(Struct, kw_only=True):
    """Texts or images to look at, in the OpenAI shape."""

    model: Model
    input: Annotated[
        Any,
        Meta(
            description="A text, texts, or texts and images as parts.",
            examples=["I like you."],
            extra_json_schema=_one_or_many({"anyOf": [_TEXT, *_PARTS]}),
        ),
    ]
    user: User = None


class ModerationResult(Struct, kw_only=True):
    """What was found in one input."""

    flagged: bool
    categories: Mapping[str, bool]
    category_scores: Mapping[str, float]
    category_applied_input_types: Mapping[str, Sequence[str]] | None = None
    provider_raw: Mapping[str, Any] | None = None


class Moderation(Struct, kw_only=True):
    """A result for every input."""

    id: str
    model: str
    results: Sequence[ModerationResult]


class RerankDocument(Struct, kw_only=True):
    """A document with more to it than its text; only that is read."""

    text: str


class RerankRequest(Struct, kw_only=True):
    """A query and documents, in the shape of Cohere's rerank."""

    model: Model
    query: Annotated[str, Meta(min_length=1, examples=["rain"])]
    documents: Annotated[list[str | RerankDocument], Meta(min_length=1, examples=[["a sunny beach", "a rainy city"]])]
    top_n: (
        Annotated[int, Meta(ge=1, le=2_147_483_648, description="At most so many results; all without it.")] | None
    ) = None
    max_tokens_per_doc: (
        Annotated[int, Meta(ge=1, le=2_147_483_648, description="Cut documents that are longer.")] | None
    ) = None
    return_documents: Annotated[bool | None, Meta(description="Give every document back with its result.")] = None
    user: User = None


class RerankResult(Struct, kw_only=True):
    """One document's place."""

    index: Place
    relevance_score: Annotated[float, Meta(description="Higher is better; its scale is the provider's.")]
    document: Mapping[str, Any] | None = None


class RerankUsage(Struct, kw_only=True):
    """What was read, in tokens, where the provider counts them."""

    total_tokens: int


class Reranked(Struct, kw_only=True):
    """Documents, best first."""

    id: str
    results: Sequence[RerankResult]
    model: str | None = None
    meta: Mapping[str, Any] | None = None
    usage: RerankUsage | None = None


class ImagesRequest(Struct, kw_only=True):
    """A description of pictures, in the OpenAI shape; further keys pass."""

    model: Model
    prompt: Annotated[str, Meta(min_length=1, examples=["a lighthouse in fog"])]
    n: Annotated[int, Meta(ge=1, le=128, description="How many. The hold is bounded by it.")] | None = None
    size: Annotated[str | None, Meta(examples=["1024x1024"])] = None
    quality: str | None = None
    style: str | None = None
    response_format: Annotated[str | None, Meta(description="`url` or `b64_json`, where the model has both.")] = None
    stream: Annotated[bool | None, Meta(description="Answer as events.")] = None
    partial_images: Annotated[int, Meta(ge=0, le=3, description="So many are shown on the way.")] | None = None
    user: User = None


class Images(Struct, kw_only=True):
    """Pictures, as the provider wrote them."""

    created: int
    data: Sequence[Mapping[str, Any]]
    usage: Mapping[str, Any] | None = None


class SpeechRequest(Struct, kw_only=True):
    """A text to be spoken, in the OpenAI shape; further keys pass."""

    model: Model
    input: Annotated[str, Meta(min_length=1, examples=["Hello"])]
    voice: Annotated[str, Meta(min_length=1, examples=["alloy"])] | Mapping[str, Any]
    response_format: Annotated[str | None, Meta(description="mp3 (without it), opus, aac, flac, wav or pcm.")] = None
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    instructions: str | None = None
    stream_format: Annotated[Literal["audio", "sse"] | None, Meta(description="sse: answer as events.")] = None
    user: User = None


class TranscriptionForm(Struct, kw_only=True):
    """A recording, in the OpenAI shape; further fields pass."""

    file: Annotated[
        str, Meta(description="The recording, with its name: at most 25 MB.", extra_json_schema={"format": "binary"})
    ]
    model: Model
    language: str | None = None
    prompt: str | None = None
    response_format: Annotated[
        str | None,
        Meta(description="json (without it), verbose_json, diarized_json; text, srt and vtt come as plain text."),
    ] = None
    temperature: str | None = None
    timestamp_granularities: Annotated[
        Sequence[str] | None, Meta(description="`word`, `segment`: the field may stand twice.")
    ] = field(default=None, name="timestamp_granularities[]")
    stream: Annotated[bool | None, Meta(description="Answer as events, where the provider can.")] = None
    user: User = None


class Transcription(Struct, kw_only=True):
    """What was said, as the provider wrote it."""

    text: str
    usage: Mapping[str, Any] | None = None
