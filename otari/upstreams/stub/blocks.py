"""Reading the blocks of an answer: say, think, json, call, pause, cut."""

from collections.abc import Iterator
from typing import Any

import orjson

from otari.upstreams.stub.fields import (
    Fields,
    Problems,
    duration_of,
    fields_of,
    kind_of,
    nearest,
    text_of,
    word_of,
)
from otari.upstreams.stub.rules import Block, CallTool, Cut, FaultKind, Pause, Say, SayJson, Think
from otari.upstreams.stub.templates import NAMES, texts_in, unknown_places

IN_A_ROW = ("think", "say", "call", "json")  # what may stand side by side in one map
_KINDS = (*IN_A_ROW, "pause", "cut")
_FAULTS: dict[str, FaultKind] = {"reset": "reset", "eof": "eof", "hang": "hang", "garbage": "garbage"}


class BlockReader:
    """Reads blocks; `groups` are the named groups that their templates may use."""

    def __init__(self, problems: Problems, groups: frozenset[str]) -> None:
        self.problems = problems
        self.groups = groups

    def item(self, value: object, path: str) -> Iterator[Block]:
        """One entry of `blocks`: a map with exactly one kind of block; `call` may have id and cut_args_at beside."""
        fields = fields_of(value, path, self.problems)
        if fields is None:
            return
        kinds = [key for key in fields.left if key in _KINDS]
        if len(kinds) != 1:
            told = f"has {' and '.join(kinds)}" if kinds else "has none"
            self.problems.note(path, f"must have exactly one of {', '.join(_KINDS)}; it {told}")
            return
        kind = kinds[0]
        cut_at = self.cut_at(fields) if kind == "call" else None
        call_id = fields.text("id") if kind == "call" else None
        yield from self.block(kind, fields.take(kind), fields.at(kind), call_id=call_id, cut_at=cut_at)
        fields.done(_KINDS)

    def block(
        self, kind: str, value: object, path: str, *, call_id: str | None = None, cut_at: float | None = None
    ) -> Iterator[Block]:
        """The block or blocks (parallel calls) that `value` tells under the key `kind`."""
        match kind:
            case "say" | "think":
                text = self.template(value, path)
                if text is not None:
                    yield Say(text) if kind == "say" else Think(text)
            case "json":
                auto = value == "auto"
                if auto or self._json(value, path):
                    yield SayJson(None if auto else value, auto)
            case "call":
                yield from self._calls(value, path, call_id, cut_at)
            case "pause":
                seconds = duration_of(value, path, self.problems)
                if seconds is not None:
                    yield Pause(seconds)
            case "cut":
                cut = self.cut(value, path)
                if cut is not None:
                    yield cut

    def template(self, value: object, path: str) -> str | None:
        """A text whose places can all be filled."""
        text = text_of(value, path, self.problems)
        if text is not None:
            self._check_places(text, path)
        return text

    def cut_at(self, fields: Fields) -> float | None:
        """The share under `cut_args_at`."""
        return fields.number("cut_args_at", most=1.0)

    def _calls(self, value: object, path: str, call_id: str | None, cut_at: float | None) -> Iterator[CallTool]:
        maps = value if isinstance(value, list) else [value]
        calls: list[CallTool] = []
        for number, item in enumerate(maps):
            place = f"{path}[{number}]" if isinstance(value, list) else path
            fields = fields_of(item, place, self.problems)
            if fields is not None:
                calls.extend(self._calls_of_map(fields))
        if not any(maps):
            self.problems.note(path, "names no tool; write {tool_name: {argument: value}}")
        if call_id is not None and len(calls) > 1:
            self.problems.note(path, "has several calls but one id; give each its own")
        for call in calls:
            yield CallTool(
                call.name,
                call.arguments,
                call.id if call_id is None else call_id,
                call.cut_at if cut_at is None else cut_at,
            )

    def _calls_of_map(self, fields: Fields) -> Iterator[CallTool]:
        """Calls written as `{name: {arguments}, …}`.

        A text under `id` and a number under `cut_args_at` are options of the call, not tools.
        """
        call_id = fields.text("id") if isinstance(fields.left.get("id"), str) else None
        cut_at = self.cut_at(fields) if not isinstance(fields.left.get("cut_args_at"), dict) else None
        names = list(fields.left)
        if call_id is not None and len(names) > 1:
            fields.note("id", "belongs to one call; write several calls as a list")
        for name in names:
            arguments = fields.take(name)
            if not name:
                fields.problems.note(fields.path, "a tool name must not be empty")
            elif self._arguments(arguments, fields.at(name)):
                yield CallTool(name, {} if arguments is None else arguments, call_id, cut_at)

    def _arguments(self, value: object, path: str) -> bool:
        if value is not None and not isinstance(value, dict | str):
            self.problems.note(path, f"must be a map of arguments (or raw argument text), not {kind_of(value)}")
            return False
        return self._json(value, path)

    def _json(self, value: Any, path: str) -> bool:
        """Whether `value` can be written as JSON and all its places can be filled."""
        try:
            orjson.dumps(value)
        except orjson.JSONEncodeError as error:
            self.problems.note(path, f"can not be written as JSON: {error} (keys are text: quote them)")
            return False
        for text in texts_in(value):
            self._check_places(text, path)
        return True

    def _check_places(self, text: str, path: str) -> None:
        for name in unknown_places(text, self.groups):
            hint = nearest(name, {*NAMES, *self.groups, "lorem:20", "body.PLACE"})
            self.problems.note(path, f"${{{name}}} is filled by nothing; {hint}; write $${{ for a plain ${{")

    def cut(self, value: object, path: str) -> Cut | None:
        """The cut that a word tells."""
        if isinstance(value, str) and value.startswith("error:"):
            status = value.removeprefix("error:").strip()
            if status.isascii() and status.isdigit() and 400 <= int(status) <= 599:
                return Cut("error", int(status))
            self.problems.note(path, "error: takes an HTTP error status from 400 to 599, as error:529")
            return None
        word = word_of(value, [*_FAULTS, "error:<status>"], path, self.problems)
        if word is None or word not in _FAULTS:
            return None
        return Cut(_FAULTS[word])
