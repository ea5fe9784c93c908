"""A configured provider: where it is, what it speaks, and how it wants to be asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from otari.domain.secret import Secret


class Senses(NamedTuple):
    """What a model takes beside text: pictures, and documents (PDF) as they are."""

    images: bool = True
    documents: bool = True


ALL_SENSES = Senses()  # also of a model that nobody knows: its provider will say


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds allowed for opening a connection, and for silence of a provider that is connected."""

    connect_s: float = 10.0
    silence_s: float = 600.0


PATIENT = Timeouts()


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a server wants the Chat Completions requests that are translated for it: servers of that dialect differ.

    A request that its client wrote in the dialect is never touched by them. The defaults are for servers that nobody
    knows: what most of them take, and nothing that a strict one refuses.

    Conversation: `later_system` is what becomes of system messages that do not stand at the beginning: "keep" them,
    "merge" them into the first one, or "demote" them to a marked text of the user; where it is not "keep", neighbours
    of one role are joined too. `developer_role`: the server knows that role. `content_null`: an assistant's message
    with nothing but calls has the content null, else "". `reasoning_replay`: every assistant's message with calls must
    hold its reasoning. `user_after_tools`: a user's message may follow tool results directly. `split_calls`: only one
    call in a message. `tool_ids`: "any" of up to 40 characters, or the "nine" letters and digits of Mistral.

    Keys: `max_tokens_key` and `seed_key` are what limit and seed are called. `cache_marks`: `cache_control` may stand
    on parts and tools. `top_k`: the server knows it. `openai_keys`: it knows what OpenAI has added for itself
    (refusals, file ids, cache keys, `verbosity`, …). `signatures`: thought signatures travel in `extra_content`: of
    "calls" (Google), of "all" thinking (a gateway like this one), or not at all.

    Powers: `reasoning` is how it is told to think: "effort" (`reasoning_effort`), "object" (`reasoning`), "switch"
    (`thinking.type`), "enable" (`enable_thinking`) or not at all; `efforts` are the words that it takes. `shapes` and
    `tool_choices` are what it enforces.
    """

    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    seed_key: Literal["seed", "random_seed"] = "seed"
    later_system: Literal["keep", "merge", "demote"] = "demote"
    developer_role: bool = False
    content_null: bool = True
    cache_marks: bool = False
    top_k: bool = False
    openai_keys: bool = False
    reasoning: Literal["effort", "object", "switch", "enable", "none"] = "effort"
    efforts: tuple[str, ...] = ("low", "medium", "high")
    reasoning_replay: bool = False
    signatures: Literal["none", "calls", "all"] = "none"
    shapes: tuple[str, ...] = ("json_object", "json_schema")
    tool_choices: tuple[str, ...] = ("auto", "none", "required", "named")
    tool_ids: Literal["any", "nine"] = "any"
    user_after_tools: bool = True
    split_calls: bool = False


NO_QUIRKS = Quirks()


@dataclass(frozen=True, slots=True)
class Provider:
    """A configured upstream.

    `via` names the upstream implementation ("live", "stub"). `speaks` are dialect names, best first. `auth` says how
    the secret travels: "bearer", "x-api-key", "api-key", "x-goog-api-key" or "none"; `auths` says it for single
    dialects. `paths` maps a dialect, or another operation, to the path that follows `base_url`, where it is not the
    common one. `operations` are what it does beside conversations, each with the flavour of its wire ("rerank":
    "cohere"). `batch_discount_percent` is how much less a request costs in a batch that it carries out. `headers` are
    the operator's own extra headers. `models` are the names to list; any other model name may still be asked for.
    `stream_usage` is False for servers that refuse `stream_options`. `usage_source` is what rows say where its token
    numbers come from. `kind` is the provider type ("openai"), which shipped prices go by.
    `strict`: what can not be translated without loss is refused. `quirks` say how it wants what is translated for it.
    `senses` are what its models take beside text, as far as that is said of the provider.
    """

    name: str
    via: str
    base_url: str = ""
    secret: Secret | None = None
    speaks: tuple[str, ...] = ("openai-chat",)
    auth: str = "bearer"
    auths: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    operations: Mapping[str, str] = field(default_factory=dict)
    batch_discount_percent: int = 0
    headers: tuple[tuple[str, Secret], ...] = ()
    models: tuple[str, ...] = ()
    timeouts: Timeouts = PATIENT
    stream_usage: bool = True
    free: bool = False
    unpriced_models: tuple[str, ...] = ()
    usage_source: Literal["provider", "stub"] = "provider"
    kind: str = ""
    strict: bool = False
    quirks: Quirks = NO_QUIRKS
    senses: Senses = ALL_SENSES
