"""Chat Completions requests ↔ canonical requests."""

from typing import Any

from otari.dialects.envelope import is_private
from otari.dialects.openai_chat_message import NAME
from otari.dialects.openai_chat_turns import read_turns, write_turns
from otari.domain.chat import ChatRequest, Doc, Opaque, Sampling, Shape, Tool, ToolChoice

_SAMPLING = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")
_READ = frozenset(_SAMPLING) | frozenset(
    ("model", "messages", "tools", "functions", "stop", "max_tokens", "n", "stream", "metadata", "reasoning_effort")
)
# From a budget of thinking tokens to an effort: the bounds that any-llm uses.
_EFFORTS = ((1024, "minimal"), (2048, "low"), (8192, "medium"), (24576, "high"))


def read_request(doc: Doc) -> ChatRequest:
    """The request in a checked body (see `read_envelope`). Keys without a canonical home become `extras`."""
    choice, shape = _read_choice(doc), _read_shape(doc.get("response_format"))
    consumed = set(_READ)
    if choice is not None:
        consumed |= {"tool_choice", "function_call", "parallel_tool_calls"}
    if shape is not None:
        consumed.add("response_format")
    limit = doc.get("max_completion_tokens")
    stop, metadata = doc.get("stop"), doc.get("metadata")
    return ChatRequest(
        model=doc["model"],
        turns=read_turns(doc["messages"]),
        tools=_read_tools(doc),
        tool_choice=choice,
        sampling=Sampling(**{key: doc.get(key) for key in _SAMPLING}, stop=_read_stop(stop)),
        max_output_tokens=doc.get("max_tokens") if limit is None else limit,
        choices=doc.get("n") or 1,
        reasoning=_read_reasoning(doc),
        shape=shape,
        stream=doc.get("stream") is True,
        user=doc.get("user") or None,
        metadata=metadata if isinstance(metadata, dict) else None,
        extras={
            key: value
            for key, value in doc.items()
            if key not in consumed and value is not None and not is_private(key, value)
        },
        dialect=NAME,
    )


def write_request(request: ChatRequest) -> Doc:
    """The body for an upstream of this dialect; a stream always asks for usage.

    `user` is the gateway's own and is not sent. `extras`, `metadata` and `top_k` go out only when they were read from
    this dialect: in another they mean something else. Raises OtariError(INVALID) for media it can not carry.
    """
    own = request.dialect == NAME
    extras = dict(request.extras) if own else {}
    doc: Doc = {"model": request.model, "messages": write_turns(request.turns, own=own)}
    _write_tools(request, doc)
    for key in _SAMPLING:
        value = getattr(request.sampling, key)
        if value is not None and (own or key != "top_k"):
            doc[key] = value
    if request.sampling.stop:
        doc["stop"] = list(request.sampling.stop)
    if request.max_output_tokens is not None:
        newer = "max_completion_tokens" in extras
        extras.pop("max_completion_tokens", None)
        doc["max_completion_tokens" if newer else "max_tokens"] = request.max_output_tokens
    if request.choices != 1:
        doc["n"] = request.choices
    if request.shape is not None:
        doc["response_format"] = _write_shape(request.shape)
    effort = _write_effort(request.reasoning)
    if effort is not None and "reasoning" not in extras:
        doc["reasoning_effort"] = effort
    if own and request.metadata is not None:
        doc["metadata"] = request.metadata
    doc |= extras
    if request.stream:
        options = extras.get("stream_options")
        doc |= {"stream": True, "stream_options": {**(options or {}), "include_usage": True}}
    return doc


# ---- tools ---------------------------------------------------------------------------------------------------------


def _read_tools(doc: Doc) -> tuple[Tool | Opaque, ...]:
    legacy = doc.get("functions")
    functions = legacy if isinstance(legacy, list) else []
    entries = [*(doc.get("tools") or ()), *({"type": "function", "function": function} for function in functions)]
    return tuple(map(_read_tool, entries))


def _read_tool(entry: Doc) -> Tool | Opaque:
    match entry:
        case {"function": {"name": str(name), **function}} if entry.get("type") in ("function", None):
            description, parameters = function.get("description"), function.get("parameters")
            strict, mark = function.get("strict"), entry.get("cache_control")
            return Tool(
                name,
                description if isinstance(description, str) else None,
                parameters if isinstance(parameters, dict) else None,
                strict if isinstance(strict, bool) else None,
                mark if isinstance(mark, dict) else None,
            )
    return Opaque(NAME, entry)


def _read_choice(doc: Doc) -> ToolChoice | None:
    """None also for a choice that has no canonical form (`allowed_tools`): it stays in `extras` as it is."""
    parallel = doc.get("parallel_tool_calls")
    parallel = parallel if isinstance(parallel, bool) else None
    told = doc.get("tool_choice") if doc.get("tool_choice") is not None else doc.get("function_call")
    match told:
        case "auto" | "none" | "required":
            return ToolChoice(told, parallel=parallel)
        case "any":
            return ToolChoice("required", parallel=parallel)
        case {"type": "function", "function": {"name": str(name)}} | {"name": str(name)}:
            return ToolChoice("named", name, parallel)
    return ToolChoice(parallel=parallel) if told is None and parallel is not None else None


def _write_tools(request: ChatRequest, doc: Doc) -> None:
    """Tools and the choice among them; a choice without tools is an error at OpenAI and is left out."""
    tools = [entry for tool in request.tools if (entry := _write_tool(tool)) is not None]
    if not tools:
        return
    doc["tools"] = tools
    choice = request.tool_choice
    if choice is None:
        return
    named = {"type": "function", "function": {"name": choice.name}}
    doc["tool_choice"] = named if choice.mode == "named" else choice.mode
    if choice.parallel is not None:
        doc["parallel_tool_calls"] = choice.parallel


def _write_tool(tool: Tool | Opaque) -> Doc | None:
    if isinstance(tool, Opaque):
        return tool.doc if tool.dialect == NAME else None
    function: Doc = {"name": tool.name}
    for key in ("description", "parameters", "strict"):
        value = getattr(tool, key)
        if value is not None:
            function[key] = value
    return {"type": "function", "function": function}


# ---- the rest ------------------------------------------------------------------------------------------------------


def _read_stop(stop: Any) -> tuple[str, ...]:
    if isinstance(stop, str):
        return (stop,)
    return tuple(text for text in stop if isinstance(text, str)) if isinstance(stop, list) else ()


def _read_shape(told: Any) -> Shape | None:
    match told:
        case {"type": "json_object"}:
            return Shape("json_object")
        case {"type": "json_schema", "json_schema": {"schema": dict(schema), **rest}}:
            name, strict = rest.get("name"), rest.get("strict")
            return Shape(
                "json_schema",
                name if isinstance(name, str) else None,
                schema,
                strict if isinstance(strict, bool) else None,
            )
    return None


def _write_shape(shape: Shape) -> Doc:
    if shape.kind == "json_object":
        return {"type": "json_object"}
    described: Doc = {"name": shape.name or "answer", "schema": shape.schema or {}}
    if shape.strict is not None:
        described["strict"] = shape.strict
    return {"type": "json_schema", "json_schema": described}


def _read_reasoning(doc: Doc) -> Doc | None:
    """`reasoning_effort`, or OpenRouter's `reasoning` object (which also stays in `extras`)."""
    effort, other = doc.get("reasoning_effort"), doc.get("reasoning")
    budget = None
    if effort is None and isinstance(other, dict):
        effort, budget = other.get("effort"), other.get("max_tokens")
    told: Doc = {}
    if isinstance(effort, str) and effort != "auto":
        told["effort"] = effort
    if type(budget) is int:
        told["budget_tokens"] = budget
    return told or None


def _write_effort(reasoning: Doc | None) -> str | None:
    match reasoning:
        case {"effort": str(effort)}:
            return effort
        case {"budget_tokens": int(budget)}:
            return next((effort for bound, effort in _EFFORTS if budget <= bound), "xhigh")
    return None
