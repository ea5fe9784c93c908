"""The OpenAPI 3.1 document: what the route table and the typed bodies say, in the words of that standard.

See https://spec.openapis.org/oas/v3.1.0. Nothing is written down here that a row of the table, a type or a handler's
docstring says already.
"""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from otari.domain.access import Access
from otari.web.error_bodies import AnthropicError, Error, InvalidFields
from otari.web.examples import EXAMPLES
from otari.web.guard import Route
from otari.web.openapi_words import (
    ANTHROPIC_VERSION,
    DESCRIPTION,
    EVENT,
    HEADERS,
    MEANINGS,
    SECURITY,
    SECURITY_SCHEMES,
    TAGS,
)
from otari.web.reply import Shape

Doc = dict[str, Any]

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)(?::[^}]*)?\}")
# What stands before every handler answers these: broken HTTP or two credentials, a foreign Host, a fault of ours, too
# many connections or a ledger that can not be written.
_ALWAYS = frozenset({400, 421, 500, 503})
_WITH_KEY = frozenset({401, 429})
_WITH_BODY = frozenset({408, 413, 415})
_LIMITED = frozenset({429, 503})


def document(routes: Iterable[Route], version: str) -> Doc:
    """The document for these routes; `version` is the product's."""
    routes = tuple(routes)
    schemas = _Schemas(routes)
    paths: dict[str, Doc] = {}
    for route in routes:
        path = plain_path(route.path)
        item = paths.setdefault(path, {})
        if not path.startswith("/v1/"):
            item["servers"] = [{"url": "/"}]
        item[route.method.lower()] = _operation(route, schemas)
    used = {tag_of(route) for route in routes}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Otari",
            "version": version,
            "summary": "One address in front of every model.",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}, {"url": "/api", "description": "The same paths once more."}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items() if name in used],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "headers": {name: header for name, (header, _) in HEADERS.items()},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def plain_path(path: str) -> str:
    """A path of the table as OpenAPI writes it: `{name:.+}` is `{name}`."""
    return _PARAMETER.sub(r"{\1}", path)


def tag_of(route: Route) -> str:
    """The group of a route: its own word, or the first word of its path behind the version."""
    return route.tag or route.path.removeprefix("/v1").split("/")[1]


def statuses_of(route: Route) -> tuple[int, ...]:
    """Every status that a route can answer, in order."""
    said = set(route.statuses) | set(route.others)
    if route.media and not any(status < 300 for status in said):
        said.add(200)
    said |= _ALWAYS
    if route.access is not Access.OPEN:
        said |= _WITH_KEY
    if route.body is not None:
        said |= _WITH_BODY
    if "{" in route.path:
        said.add(404)
    if route.query is not None:
        said.add(422)
    if route.repeatable:
        said |= {409, 422}
    return tuple(sorted(said))


def _operation(route: Route, schemas: "_Schemas") -> Doc:
    name = route.handler.__name__
    operation: Doc = {"tags": [tag_of(route)], "summary": route.summary, "operationId": name}
    if text := inspect.getdoc(route.handler):
        operation["description"] = text
    operation["security"] = [{scheme: []} for scheme in SECURITY[route.access]]
    parameters = _parameters(route, schemas)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        content: Doc = {"schema": schemas.of(route.body)}
        if name in EXAMPLES:
            content["examples"] = {title: {"value": value} for title, value in EXAMPLES[name].items()}
        operation["requestBody"] = {"required": True, "content": {route.takes: content}}
    operation["responses"] = {str(status): _response(route, status, schemas) for status in statuses_of(route)}
    return operation


def _parameters(route: Route, schemas: "_Schemas") -> list[Doc]:
    found: list[Doc] = []
    for match in _PARAMETER.finditer(route.path):
        parameter: Doc = {
            "name": match[1],
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
        }
        if match[0] != f"{{{match[1]}}}":
            parameter["description"] = "May hold slashes."
        found.append(parameter)
    if route.query is not None:
        found += _query_parameters(schemas.whole(route.query))
    if isinstance(route.answer, tuple):
        found.append(ANTHROPIC_VERSION)
    if route.repeatable:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "A request that is repeated with the same value gets the first answer again.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
            }
        )
    return found


def _query_parameters(schema: Doc) -> list[Doc]:
    required = schema.get("required", ())
    found: list[Doc] = []
    for name, told in schema.get("properties", {}).items():
        parameter: Doc = {"name": name, "in": "query", "required": name in required}
        plain = dict(_without_null(told))
        if text := plain.pop("description", None):
            parameter["description"] = text
        found.append({**parameter, "schema": plain})
    return found


def _without_null(schema: Doc) -> Doc:
    """A parameter is there or not; there is no way to write null in a query."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf" and not (key == "default" and value is None)}
    return {**choices[0], **rest}


def _response(route: Route, status: int, schemas: "_Schemas") -> Doc:
    names = [name for name, (_, where) in HEADERS.items() if where is None or status in where]
    told: Doc = {
        "description": MEANINGS.get(status) or HTTPStatus(status).phrase,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
    }
    if status in route.others:
        told["content"] = {"application/json": {"schema": schemas.of(route.others[status])}}
    elif status == HTTPStatus.NOT_MODIFIED:
        pass
    elif status >= 300:
        told["content"] = {"application/json": {"schema": schemas.of(_error(route, status))}}
    elif status != HTTPStatus.NO_CONTENT:
        told["content"] = {media: _success(route, media, schemas) for media in route.media}
    return told


def _error(route: Route, status: int) -> object:
    if route.shape is Shape.ANTHROPIC:
        return AnthropicError
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return InvalidFields
    return (Error, AnthropicError) if isinstance(route.answer, tuple) else Error


def _success(route: Route, media: str, schemas: "_Schemas") -> Doc:
    if media == "text/event-stream":
        return {"schema": EVENT}
    if media in ("*/*", "audio/*"):  # bytes
        return {"schema": {}}
    if media != "application/json":
        return {"schema": {"type": "string"}}
    return {"schema": {} if route.answer is None else schemas.of(route.answer)}


class _Schemas:
    """The schema of every type that the routes name; structs stand among the components and are referred to."""

    def __init__(self, routes: Sequence[Route]) -> None:
        named: list[type] = [Error, InvalidFields]
        if any(route.shape is Shape.ANTHROPIC or isinstance(route.answer, tuple) for route in routes):
            named.append(AnthropicError)
        sources: list[object] = [*named]
        for route in routes:
            sources += [*_each(route.body), route.query, *_each(route.answer), *route.others.values()]
        self._types = [source for source in sources if source is not None and not isinstance(source, Mapping)]
        self._refs, self.components = msgspec.json.schema_components(
            self._types, schema_hook=_own_type, ref_template=_REF
        )
        _tell_decimals(self.components)
        for kind in self._types:  # what no single field can say
            if isinstance(kind, type) and (more := getattr(kind, "more_schema", None)):
                self.components[kind.__name__] |= more
        for route in routes:  # a query is told as parameters
            if route.query is not None:
                self.components.pop(route.query.__name__, None)

    def of(self, source: object) -> Doc:
        """The schema to write where `source` is meant."""
        if isinstance(source, Mapping):
            return dict(source)
        if isinstance(source, tuple):
            return {"anyOf": [self.of(each) for each in source]}
        return next(ref for kind, ref in zip(self._types, self._refs, strict=True) if kind == source)

    def whole(self, struct: type) -> Doc:
        """The schema of a struct itself."""
        return msgspec.json.schema(struct, schema_hook=_own_type)["$defs"][struct.__name__]  # type: ignore[no-any-return]


def _each(source: object) -> tuple[object, ...]:
    return source if isinstance(source, tuple) else (source,)


def _tell_decimals(node: object) -> None:
    """What is read as a decimal may be sent as a number too: msgspec's schema only speaks of texts."""
    if isinstance(node, dict):
        if node.get("format") == "decimal" and node.get("type") == "string":
            node["type"] = ["number", "string"]
        for value in node.values():
            _tell_decimals(value)
    elif isinstance(node, list):
        for value in node:
            _tell_decimals(value)


def _own_type(kind: type) -> Doc:
    """A type of our own says itself how it travels."""
    return dict(kind.json_schema)  # type: ignore[attr-defined]  # `answers/terms.py` has them all
