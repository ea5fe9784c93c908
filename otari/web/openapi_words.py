"""The sentences of the reference that no route says: what the API is, its groups, its headers, its statuses."""

from typing import Any

from otari.domain.access import Access

DESCRIPTION = """\
Otari speaks OpenAI Chat Completions, Anthropic Messages and OpenAI Responses to its clients, whatever their providers \
speak, and keeps the keys of providers, the budgets and the ledger to itself.

**Two kinds of keys.** A virtual key (`gw-…`) may ask models. The master key may also manage keys, users, budgets and \
prices, and must name a user when it asks a model. Send either as `Authorization: Bearer <key>`; `Otari-Key`, \
`x-api-key` and the older `AnyLLM-Key` and `X-AnyLLM-Key` are read too. The first of them that holds anything counts.

**Two prefixes.** Every path under `/v1` is served under `/api/v1` too.

**Errors** hold the same sentence twice: `detail` for Otari's own clients, `error.message` for OpenAI's. Every answer \
carries `Otari-Request-ID`, which is also the id of the usage row of a request that asked a model.

**Money** is exact: amounts are decimal USD without rounding on the way, times are UTC with their offset.
"""

TAGS = {
    "chat": "Ask a model. Streams are server-sent events; a stream that broke off never looks whole.",
    "messages": "Ask a model in Anthropic's shape.",
    "responses": "Ask a model in the shape of OpenAI's Responses.",
    "embeddings": "Texts as vectors.",
    "moderations": "Is something harmful.",
    "rerank": "Documents by how well they answer a query, in the shape of Cohere's.",
    "images": "Pictures by their description.",
    "audio": "Speech and its transcription.",
    "models": "What can be asked for, and what it costs.",
    "files": "What users keep here to refer to later; everybody sees only the user's own.",
    "batches": "Many requests, answered within a day; everybody sees only the user's own.",
    "keys": "Virtual keys: what clients hold. A secret is shown once, when it is made.",
    "users": "Who pays. Every key belongs to a user.",
    "budgets": "How much users and keys may spend, and when that begins anew.",
    "pricing": "What models cost, with their history.",
    "usage": "The ledger: a row for every request that was admitted.",
    "health": "For load balancers and CI jobs; no key needed. Also served under `/v1` and `/api/v1`.",
    "gateway": "The gateway about itself; no key needed.",
}

SECURITY_SCHEMES: dict[str, Any] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "A virtual key (`gw-…`), or the master key.",
    },
    "keyHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "Otari-Key",
        "description": "The same, plain or as `Bearer <key>`. `x-api-key` is read too.",
    },
    "master": {
        "type": "http",
        "scheme": "bearer",
        "description": "The master key, and no other.",
    },
}

# Either of the schemes of a list will do.
SECURITY: dict[Access, tuple[str, ...]] = {
    Access.OPEN: (),
    Access.KEY: ("key", "keyHeader"),
    Access.MASTER: ("master",),
}

# Where both vendors have such a route: which of the two asks.
ANTHROPIC_VERSION: dict[str, Any] = {
    "name": "anthropic-version",
    "in": "header",
    "description": "With it, answers and refusals have Anthropic's shape. Its value is not looked at.",
    "schema": {"type": "string"},
}

# What a media type of events holds is told event by event, as readers of such documents expect it before OpenAPI 3.2.
EVENT: dict[str, Any] = {
    "type": "object",
    "description": "One of the events, as https://html.spec.whatwg.org/multipage/server-sent-events.html has them.",
    "properties": {
        "event": {"type": "string", "description": "What kind it is, where the API has kinds."},
        "data": {"type": "string", "description": "A JSON document of that kind, or `[DONE]`."},
    },
    "required": ["data"],
}

# Name → what it is, and the statuses that carry it (None: every answer).
HEADERS: dict[str, tuple[dict[str, Any], frozenset[int] | None]] = {
    "Otari-Request-ID": (
        {"description": "Names this request in the log and in the ledger.", "schema": {"type": "string"}},
        None,
    ),
    "Retry-After": (
        {"description": "Seconds after which it is worth asking again.", "schema": {"type": "integer", "minimum": 0}},
        frozenset({429}),
    ),
}

MEANINGS = {
    200: "Success.",
    204: "Done; nothing to tell.",
    206: "The part that was asked for.",
    304: "It has not changed.",
    400: "The request is malformed, or asks for something that this gateway does not have.",
    401: "No key, a wrong or expired one, or not the master key where it is needed.",
    402: "The model has no price, and `require_pricing` is on.",
    403: "The budget is used up, the user is blocked, or the key may not do this.",
    404: "There is no such thing.",
    405: "This path has other methods; `Allow` names them.",
    408: "The body did not arrive in time.",
    409: "It conflicts with what is there: an id that is taken, or something that is still in use.",
    413: "The body is too large: above `json_max_bytes` where a model is asked, `files_max_bytes` for a file, 64 KiB \
elsewhere.",
    415: "The body is not what the route takes (JSON, mostly), or is encoded in a way that is not understood.",
    416: "The part that was asked for lies behind the end.",
    421: "The Host header does not name this gateway.",
    422: "A field or parameter breaks its limits.",
    426: "A websocket was asked for: send the request as a POST.",
    429: "A rate limit, of this gateway or of the provider.",
    500: "A fault of the gateway; its log has it under the request id.",
    502: "The provider failed.",
    503: "The ledger or a file can not be written, or there are too many connections.",
    504: "The provider did not answer in time.",
}
