"""Functions and the choice among them: `tools` and `toolConfig` ↔ canonical tools."""

from collections.abc import Mapping
from typing import Any

from otari.dialects.gemini.parts import NAME
from otari.dialects.losses import Drop
from otari.dialects.tool_arguments import foreign_kind
from otari.domain.chat import ChatRequest, Doc, Opaque, Tool, ToolChoice

TOOL = "tool"  # of an Opaque: a tool that runs at Google
_KNOWN = frozenset(["name", "description", "parameters", "parametersJsonSchema"])
_EMPTY: Doc = {"type": "object", "properties": {}}
_OF_SCHEMAS = ("properties", "$defs", "defs")  # objects of which each value is a schema
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}


# ---- reading -------------------------------------------------------------------------------------------------------


def read_tools(doc: Doc) -> tuple[Tool | Opaque, ...]:
    """The functions of a request, and its tools that run at Google."""
    tools: list[Tool | Opaque] = []
    for entry in doc.get("tools") or ():
        for key, value in entry.items():
            if key == "functionDeclarations" and isinstance(value, list):
                tools += (_read_function(told) for told in value if isinstance(told, dict))
            elif value is not None:
                tools.append(Opaque(NAME, {"type": key, TOOL: {key: value}}))
    return tuple(tools)


def _read_function(told: Doc) -> Tool:
    """A function; one that says more than a canonical one keeps itself."""
    description, schema = told.get("description"), told.get("parametersJsonSchema")
    if not isinstance(schema, dict):
        schema = json_schema(told["parameters"]) if isinstance(told.get("parameters"), dict) else None
    more = told.keys() - _KNOWN or told.get("parameters") is not None
    return Tool(
        str(told.get("name") or ""),
        description if isinstance(description, str) else None,
        schema,
        native=Opaque(NAME, told) if more else None,
    )


def json_schema(told: Doc) -> Doc:
    """The JSON Schema of a schema in Google's older form, which is OpenAPI's with types in capitals."""
    schema: Doc = {}
    for key, value in told.items():
        if key in _OF_SCHEMAS and isinstance(value, dict):
            schema["$defs" if key == "defs" else key] = {
                name: json_schema(inner) if isinstance(inner, dict) else inner for name, inner in value.items()
            }
        elif key == "anyOf" and isinstance(value, list):
            schema[key] = [json_schema(inner) if isinstance(inner, dict) else inner for inner in value]
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            schema[key] = json_schema(value)
        elif key == "type" and isinstance(value, str):
            schema[key] = value.lower()
        elif key not in ("nullable", "propertyOrdering"):
            schema[key] = value
    if told.get("nullable") is True and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    return schema


def read_choice(doc: Doc) -> tuple[ToolChoice | None, bool]:
    """The choice among tools, and whether that is all that `toolConfig` says."""
    config = doc.get("toolConfig")
    told = config.get("functionCallingConfig") if isinstance(config, dict) else None
    alone = isinstance(config, dict) and config.keys() <= {"functionCallingConfig"}
    match told:
        case {"mode": str(mode), **rest} if not rest.keys() - {"allowedFunctionNames"}:
            match mode.upper(), rest.get("allowedFunctionNames"):
                case "AUTO", None | []:
                    return ToolChoice("auto"), alone
                case "NONE", None | []:
                    return ToolChoice("none"), alone
                case "ANY", None | []:
                    return ToolChoice("required"), alone
                case "ANY", [str(name)]:
                    return ToolChoice("named", name), alone
    return None, False


# ---- writing -------------------------------------------------------------------------------------------------------


def write_tools(request: ChatRequest, own: bool, drop: Drop) -> Doc:
    """`tools` and `toolConfig`, as far as there are any."""
    functions: list[Doc] = []
    tools: list[Doc] = []
    for tool in request.tools:
        if isinstance(tool, Tool):
            functions.append(_write_function(tool, own, drop))
        elif tool.dialect == NAME:
            tools.append(tool.doc[TOOL])
        else:
            drop(f"tool {tool.doc.get('type')}")
    if functions:
        tools.insert(0, {"functionDeclarations": functions})
    choice = request.tool_choice
    if choice is not None and choice.parallel is False:
        drop("parallel_tool_calls")
    if tools:
        return {"tools": tools} | ({} if choice is None else {"toolConfig": _write_choice(choice)})
    if choice is not None and choice.mode in ("required", "named"):
        drop("tool_choice without tools")
    return {}


def _write_function(tool: Tool, own: bool, drop: Drop) -> Doc:
    if tool.native is not None and tool.native.dialect == NAME:
        return dict(tool.native.doc)
    if (kind := foreign_kind(tool)) is not None:
        drop(f"tool {kind} as function")
    if tool.strict and not own:
        drop("strict tools")
    if tool.cache is not None:
        drop("cache_control")
    told: Doc = {"name": tool.name}
    if tool.description:
        told["description"] = tool.description
    return told | {"parametersJsonSchema": _schema(tool.parameters)}


def _schema(parameters: Doc | None) -> Doc:
    """The schema of a function, whole; its type must be said."""
    if not parameters:
        return dict(_EMPTY)
    return parameters if "type" in parameters else {"type": "object", **parameters}


def _write_choice(choice: ToolChoice) -> Doc:
    told: Doc = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        told["allowedFunctionNames"] = [choice.name]
    return {"functionCallingConfig": told}


def allowed_tools(told: Any, names: Mapping[str, str]) -> Doc | None:
    """The `toolConfig` for OpenAI's choice of a few functions, in the shape of Chat Completions or of Responses; None
    for anything else. `names` are those of the wire, where they differ.

    "auto" among some of the functions is what Google calls VALIDATED.
    """
    if not isinstance(told, dict) or told.get("type") != "allowed_tools":
        return None
    inner = told.get("allowed_tools")
    chosen = inner if isinstance(inner, dict) else told
    entries = chosen.get("tools")
    found = [_name(entry) for entry in entries] if isinstance(entries, list) else []
    allowed = [names.get(name, name) for name in found if name is not None]
    if not allowed or len(allowed) != len(found):
        return None
    mode = "ANY" if chosen.get("mode") == "required" else "VALIDATED"
    return {"functionCallingConfig": {"mode": mode, "allowedFunctionNames": allowed}}


def _name(entry: Any) -> str | None:
    match entry:
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            return name
    return None
