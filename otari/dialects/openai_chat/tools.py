"""Tools and the choice among them ↔ canonical tools."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from otari.dialects.openai_chat.content import NAME, marked
from otari.dialects.openai_chat.terms import Terms
from otari.dialects.tool_arguments import foreign_kind, free_parameters
from otari.domain.chat import ChatRequest, Doc, Opaque, Tool, ToolChoice

_EMPTY: Doc = {"type": "object", "properties": {}}
# What OpenAI does not take in a schema that it promises to enforce.
_NOT_ENFORCED = frozenset(
    ["allOf", "oneOf", "not", "dependentRequired", "dependentSchemas", "if", "then", "else", "patternProperties"]
)
_OF_SCHEMAS = ("properties", "$defs", "definitions")  # objects of which each value is a schema


# ---- reading -------------------------------------------------------------------------------------------------------


def read_tools(doc: Doc) -> tuple[Tool | Opaque, ...]:
    """The tools of a request, those in the retired spelling `functions` included."""
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
        case {"type": "custom", "custom": {"name": str(name), **custom}}:
            description = custom.get("description")
            return Tool(
                name,
                description if isinstance(description, str) else None,
                _free_text(custom.get("format")),
                native=Opaque(NAME, entry),
            )
    return Opaque(NAME, entry)


def _free_text(form: Any) -> Doc:
    """The schema of a tool that takes plain text, in the form that it says."""
    match form:
        case {"type": "grammar", "grammar": {**grammar}}:
            return free_parameters(grammar.get("syntax"), grammar.get("definition"))
    return free_parameters(None, None)


def read_choice(doc: Doc) -> ToolChoice | None:
    """None also for a choice that has no canonical form (`allowed_tools`): it stays in `extras` as it is."""
    parallel = doc.get("parallel_tool_calls")
    parallel = parallel if isinstance(parallel, bool) else None
    told = doc.get("tool_choice") if doc.get("tool_choice") is not None else doc.get("function_call")
    match told:
        case "auto" | "none" | "required":
            return ToolChoice(told, parallel=parallel)
        case "any":
            return ToolChoice("required", parallel=parallel)
        case {"type": "function", "function": {"name": str(name)}} | {"type": "custom", "custom": {"name": str(name)}}:
            return ToolChoice("named", name, parallel)
        case {"name": str(name)}:
            return ToolChoice("named", name, parallel)
    return ToolChoice(parallel=parallel) if told is None and parallel is not None else None


# ---- writing -------------------------------------------------------------------------------------------------------


def write_tools(request: ChatRequest, terms: Terms) -> Doc:
    """`tools`, `tool_choice` and `parallel_tool_calls`, as far as there are any.

    OpenAI refuses an empty list of tools, and a choice without tools.
    """
    tools = [entry for tool in request.tools if (entry := _write_tool(tool, terms)) is not None]
    choice = request.tool_choice
    if not tools:
        if choice is not None and choice.mode in ("required", "named"):
            terms.drop("tool_choice without tools")
        return {}
    if choice is None:
        return {"tools": tools}
    choice = _known(choice, request, terms)
    if choice.mode == "none" and "none" not in terms.quirks.tool_choices:
        terms.drop("tools that must not be called")
        return {}
    keys: Doc = {"tools": tools, "tool_choice": _write_choice(choice, terms)}
    return keys if choice.parallel is None else keys | {"parallel_tool_calls": choice.parallel}


def _write_tool(tool: Tool | Opaque, terms: Terms) -> Doc | None:
    if isinstance(tool, Opaque):
        if tool.dialect == NAME:
            return tool.doc
        terms.drop(f"tool {tool.doc.get('type')}")
        return None
    if tool.native is not None and tool.native.dialect == NAME:
        return tool.native.doc
    if (kind := foreign_kind(tool)) is not None:
        terms.drop(f"tool {kind} as function")
    function: Doc = {"name": terms.name(tool.name)}
    if tool.name in terms.names:
        terms.drop("tool names")
    if tool.description is not None:
        function["description"] = tool.description
    parameters = tool.parameters if terms.own else _schema(tool.parameters)
    if parameters is not None:
        function["parameters"] = parameters
    if terms.own and tool.strict is not None:
        function["strict"] = tool.strict
    elif tool.strict and enforceable(parameters):
        function["strict"] = True
    elif tool.strict:
        terms.drop("strict tools")
    return marked({"type": "function", "function": function}, tool.cache, terms)


def _schema(parameters: Doc | None) -> Doc:
    """The schema of a tool, whole; its type must be said."""
    if not parameters:
        return dict(_EMPTY)
    return parameters if "type" in parameters else {"type": "object", **parameters}


def enforceable(schema: Any) -> bool:
    """Whether a schema is as OpenAI wants one that it enforces: every object names all its keys and needs them all.

    True also for what is no schema.
    """
    if not isinstance(schema, dict):
        return True
    if not _NOT_ENFORCED.isdisjoint(schema):
        return False
    if schema.get("type") == "object" or "properties" in schema:
        properties, required = schema.get("properties"), schema.get("required")
        names = set(properties) if isinstance(properties, dict) else set()
        needed = set(filter(_is_text, required)) if isinstance(required, list) else set()
        if schema.get("additionalProperties") is not False or names != needed:
            return False
    return all(map(enforceable, _inner(schema)))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _inner(schema: Doc) -> Iterator[Any]:
    """The schemas that stand directly in a schema."""
    for key in _OF_SCHEMAS:
        if isinstance(schema.get(key), dict):
            yield from schema[key].values()
    yield schema.get("items")
    choices = schema.get("anyOf")
    yield from choices if isinstance(choices, list) else ()


def _known(choice: ToolChoice, request: ChatRequest, terms: Terms) -> ToolChoice:
    """The choice if the server knows it and has the tool; else the model chooses."""
    mode = choice.mode
    if mode == "named" and not terms.own and not _offers(request.tools, choice.name):
        terms.drop("tool_choice of a tool that is not offered")
        return replace(choice, mode="auto", name=None)
    if mode in ("required", "named") and mode not in terms.quirks.tool_choices:
        terms.drop(f"tool_choice {mode}")
        return replace(choice, mode="auto", name=None)
    return choice


def _offers(tools: Iterable[Tool | Opaque], name: str | None) -> bool:
    return any(isinstance(tool, Tool) and tool.name == name for tool in tools)


def _write_choice(choice: ToolChoice, terms: Terms) -> str | Doc:
    if choice.mode != "named":
        return choice.mode
    kind = "custom" if choice.name in terms.freeform else "function"
    return {"type": kind, kind: {"name": terms.name(choice.name or "")}}
