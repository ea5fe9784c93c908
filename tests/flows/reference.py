"""The OpenAPI document that a house serves, as a judge of its answers."""

import inspect
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
import orjson
from msgspec import Struct

from otari.web import error_bodies
from otari.web.answers import budgets, files, health, keys, prices, usage, users
from tests.flows.house import Answer

_ANSWERS = (budgets, files, health, keys, prices, usage, users, error_bodies)


class Reference:
    """Judges answers: `check` raises AssertionError for what the document does not say. `seen` is what was judged.

    The document leaves room for fields to come; here an answer of Otari's own shape has none that is not documented.
    """

    def __init__(self, document: bytes) -> None:
        doc = orjson.loads(document)
        self.paths: dict[str, Any] = doc["paths"]
        self.seen: set[tuple[str, int]] = set()
        self._components = doc["components"]
        for kind in (kind for module in _ANSWERS for kind in _structs(module)):
            if (schema := self._components["schemas"].get(kind.__name__)) is not None:
                schema["additionalProperties"] = False
        self._validators: dict[tuple[str, str, str], Any] = {}

    def operation(self, method: str, url: str) -> tuple[str, Any]:
        """The path template and the operation that a request is for; the first template that fits counts."""
        path = urlsplit(url).path.removeprefix("/api")
        for template, item in self.paths.items():
            if _fits(template, path) and method.lower() in item:
                return template, item[method.lower()]
        raise AssertionError(f"{method} {path} is not in the document")

    def check(self, method: str, url: str, answer: Answer) -> None:
        """Status, content type, headers and body are as documented."""
        _, operation = self.operation(method, url)
        name = operation["operationId"]
        told = operation["responses"].get(str(answer.status))
        assert told is not None, f"{name} does not say that it answers {answer.status}: {answer.body[:300]!r}"
        for header in told["headers"]:
            assert header in answer.headers, f"{name} says that {answer.status} has the header {header}"
        self.seen.add((name, answer.status))
        media = answer.headers.get("Content-Type", "").partition(";")[0]
        if "content" not in told:
            assert answer.body == b"", f"{name} says that {answer.status} has no body"
            return
        if "*/*" in told["content"]:
            return
        assert media in told["content"], f"{name} does not say that {answer.status} may be {media!r}"
        if media == "application/json":
            schema = told["content"][media]["schema"]
            validator = self._validator((name, str(answer.status), media), schema)
            wrong = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(answer.json)]
            assert not wrong, f"{name} {answer.status}: {wrong}"

    def _validator(self, which: tuple[str, str, str], schema: Any) -> Any:
        if which not in self._validators:
            whole = {"components": self._components, **schema}
            self._validators[which] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        return self._validators[which]


def _structs(module: ModuleType) -> list[type]:
    return [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, Struct)]


def _fits(template: str, path: str) -> bool:
    """Whether a path is one of a template; the last name of a template may stand for several segments."""
    want, have = template.split("/"), path.split("/")
    named = [index for index, step in enumerate(want) if step.startswith("{")]
    if not named:
        return want == have
    first = named[0]
    behind = len(want) - first - 1
    return want[:first] == have[:first] and len(have) >= len(want) and want[first + 1 :] == have[len(have) - behind :]
