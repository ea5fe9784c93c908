"""The OpenAPI document says what the route table says: no more, no less, and every reference in it leads somewhere."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import jsonschema_rs
import msgspec
import orjson
import pytest
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from otari.domain.access import Access
from otari.web.error_bodies import AnthropicError
from otari.web.examples import EXAMPLES
from otari.web.guard import Route
from otari.web.openapi import document, plain_path, statuses_of, tag_of
from otari.web.openapi_words import MEANINGS, TAGS
from otari.web.reply import Shape
from otari.web.table import ROUTES
from otari.web.visit import Visit

ROOT = Path(__file__).parents[2]
DOC = document(ROUTES, "1.2.3")
BY_NAME = {route.handler.__name__: route for route in ROUTES}


def operations(doc: dict[str, Any] = DOC) -> Iterator[tuple[str, str, Any]]:
    """Method, path and operation of everything in a document."""
    for path, item in doc["paths"].items():
        for method, operation in item.items():
            if method != "servers":
                yield method.upper(), path, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(found := node.get("$ref"), str):
            yield found
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def only(route: Route) -> Any:
    """The operation of a single route."""
    ((_, _, operation),) = operations(document([route], ""))
    return operation


async def get_thing(visit: Visit) -> web.StreamResponse:
    """A thing."""
    raise NotImplementedError


def test_every_route_has_one_operation_and_there_are_no_others() -> None:
    told = sorted((method, path) for method, path, _ in operations())
    assert told == sorted((route.method, plain_path(route.path)) for route in ROUTES)


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)


def test_the_version_is_the_products() -> None:
    assert DOC["openapi"] == "3.1.0"
    assert DOC["info"]["version"] == "1.2.3"


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOC))
    assert found
    for reference in found:
        node: Any = DOC
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_it_is_json() -> None:
    assert orjson.loads(orjson.dumps(DOC)) == DOC


def test_every_operation_says_what_it_does_and_belongs_to_a_group_with_a_text() -> None:
    assert {tag["name"] for tag in DOC["tags"]} == {tag_of(route) for route in ROUTES}
    for _, _, operation in operations():
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"][0] in TAGS


def test_every_refusal_has_the_shape_of_errors() -> None:
    for method, path, operation in operations():
        route = BY_NAME[operation["operationId"]]
        for status, response in operation["responses"].items():
            if status == "304":
                assert "content" not in response
            elif int(status) >= 300 and int(status) not in route.others:
                schema = response["content"]["application/json"]["schema"]
                known = {"AnthropicError"} if route.shape is Shape.ANTHROPIC else {"Error", "InvalidFields"}
                if isinstance(route.answer, tuple):
                    known.add("AnthropicError")
                assert {reference.rpartition("/")[2] for reference in references(schema)} <= known, (
                    method,
                    path,
                    status,
                )


def test_every_status_has_a_meaning() -> None:
    assert {status for route in ROUTES for status in statuses_of(route)} <= set(MEANINGS)


def test_parameters_of_the_path_are_declared() -> None:
    for _, path, operation in operations():
        declared = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"]
        assert [f"{{{name}}}" for name in declared] == [part for part in path.split("/") if part.startswith("{")]


def test_a_route_asks_for_the_key_that_its_access_demands() -> None:
    for _, _, operation in operations():
        route = BY_NAME[operation["operationId"]]
        schemes = [name for one in operation["security"] for name in one]
        assert bool(schemes) == (route.access is not Access.OPEN)
        assert ("master" in schemes) == (route.access is Access.MASTER)
        assert ("401" in operation["responses"]) == (route.access is not Access.OPEN)
        assert set(schemes) <= set(DOC["components"]["securitySchemes"])


def test_what_is_not_under_v1_has_no_second_prefix() -> None:
    for path, item in DOC["paths"].items():
        assert ("servers" in item) == (not path.startswith("/v1/"))


def test_every_body_has_an_example_and_every_example_fits_its_body() -> None:
    with_body = {name for name, route in BY_NAME.items() if route.body is not None}
    assert set(EXAMPLES) == with_body
    for name in with_body:
        body = BY_NAME[name].body
        for value in EXAMPLES[name].values():
            if isinstance(body, type):
                msgspec.json.decode(orjson.dumps(value), type=body)


def test_a_chat_answer_may_be_a_stream() -> None:
    chat = DOC["paths"]["/v1/chat/completions"]["post"]
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert "Idempotency-Key" in [parameter["name"] for parameter in chat["parameters"]]
    schema = DOC["components"]["schemas"]["ChatCompletionRequest"]
    assert schema["required"] == ["model", "messages"]
    assert "additionalProperties" not in schema  # what is not named passes


class Page(Struct, kw_only=True):
    """Which part of a list."""

    limit: Annotated[int, Meta(ge=1, le=1000, description="How many.")] = 100
    after: str | UnsetType | None = UNSET
    day: str


def test_a_query_is_told_as_parameters_without_null() -> None:
    operation = only(Route("GET", "/v1/things", get_thing, Access.KEY, "Things", query=Page, answer=list[int]))
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert parameters["limit"] == {
        "name": "limit",
        "in": "query",
        "required": False,
        "description": "How many.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
    }
    assert parameters["after"]["schema"] == {"type": "string"}
    assert parameters["day"]["required"]
    assert "422" in operation["responses"]


def test_a_route_without_an_answer_has_no_content() -> None:
    operation = only(Route("DELETE", "/v1/things/{id}", get_thing, Access.MASTER, "Gone", statuses=(204, 409)))
    assert "content" not in operation["responses"]["204"]
    assert "200" not in operation["responses"]
    assert {"404", "409"} <= set(operation["responses"])


def test_a_schema_may_be_given_as_it_is() -> None:
    answer = {"type": "array", "items": {"type": "integer"}}
    operation = only(Route("GET", "/v1/things", get_thing, Access.OPEN, "Things", answer=answer))
    assert operation["responses"]["200"]["content"]["application/json"]["schema"] == answer


def test_errors_take_the_shape_of_the_route() -> None:
    route = Route("GET", "/v1/things", get_thing, Access.KEY, "Things", shape=Shape.ANTHROPIC)
    schema = only(route)["responses"]["401"]["content"]["application/json"]["schema"]
    assert schema["$ref"].endswith(AnthropicError.__name__)


@pytest.mark.parametrize(
    ("path", "tag", "expected"),
    [("/v1/keys/{id}", "", "keys"), ("/health/liveness", "", "health"), ("/docs", "gateway", "gateway")],
)
def test_a_route_belongs_to_the_first_word_of_its_path(path: str, tag: str, expected: str) -> None:
    assert tag_of(Route("GET", path, get_thing, Access.KEY, "A thing", tag=tag)) == expected


def test_the_written_reference_is_up_to_date() -> None:
    reference = runpy.run_path(str(ROOT / "scripts" / "write_api_reference.py"))["reference"]
    assert (ROOT / "docs" / "api-reference.md").read_text() == reference(), "`make reference` writes it"


def test_amounts_are_read_as_numbers_or_texts_and_answered_as_numbers() -> None:
    schemas = DOC["components"]["schemas"]
    read = schemas["NewPrice"]["properties"]["input_price_per_million"]
    assert (read["type"], read["format"], read["multipleOf"]) == (["number", "string"], "decimal", 1e-06)
    assert re.fullmatch(read["pattern"], "999999999.999999")
    assert not re.fullmatch(read["pattern"], "0.0000001")
    told = schemas["Price"]["properties"]["input_price_per_million"]
    assert told == {"type": "number", "format": "decimal", "minimum": 0}


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({}, True),
        ({"budget_duration_sec": 60, "reset_alignment": None}, True),
        ({"budget_duration_sec": None, "reset_alignment": "calendar_day"}, True),
        ({"budget_duration_sec": 60, "reset_alignment": "calendar_day"}, False),
        ({"max_budget": "0.000000001"}, True),
        ({"max_budget": 0.0000000001}, False),
    ],
)
def test_the_document_judges_a_budget_as_the_gateway_does(body: dict[str, Any], fits: bool) -> None:
    for name in ("NewBudget", "BudgetChange"):
        schema = {"components": DOC["components"], "$ref": f"#/components/schemas/{name}"}
        assert jsonschema_rs.Draft202012Validator(schema).is_valid(body) is fits


def test_a_stream_is_told_event_by_event() -> None:
    content = DOC["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]
    assert content["text/event-stream"]["schema"]["required"] == ["data"]


def test_a_route_of_both_vendors_has_both_shapes_and_the_header_that_chooses() -> None:
    models = DOC["paths"]["/v1/models"]["get"]
    assert "anthropic-version" in [parameter["name"] for parameter in models["parameters"]]
    for status, names in ((200, ["ModelList", "ModelInfoPage"]), (400, ["Error", "AnthropicError"])):
        choices = models["responses"][str(status)]["content"]["application/json"]["schema"]["anyOf"]
        assert [choice["$ref"].rpartition("/")[2] for choice in choices] == names
