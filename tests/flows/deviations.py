"""What we answer otherwise than the gateway whose exchanges are kept, as a table of rewrites of its answers.

A rewrite that changes nothing is a fault of the table, and so is one that concerns no exchange: an answer is what the
table says, or what it was, and nothing in between. `why` is for people. `exchanges` are names, or `all`, or
`{holding: text}`: those whose answer has that text in it. `set` and `drop` take paths into the answer (`*`: every entry
of a list), all of them below `at` if it is there; `replace` takes texts. `errors` names, by exchange, a type, a code
and a field for the `error` object that stands beside `detail`.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.flows.exchanges import Document, Exchange


@dataclass(frozen=True, slots=True)
class Deviation:
    """One entry of the table."""

    told: Mapping[str, Any]

    def concerned(self, answers: Mapping[str, Document]) -> list[str]:
        """The names of the exchanges that this is about, whether there are such or not."""
        named = self.told.get("exchanges", self.told.get("errors"))
        if named == "all":
            return list(answers)
        if isinstance(named, dict) and "holding" in named:
            return [name for name, answer in answers.items() if named["holding"] in str(answer)]
        return list(named)

    def rewritten(self, name: str, answer: Document) -> Document:
        """The answer to the exchange `name`, as it is here."""
        out = copy.deepcopy(answer)
        above = [self.told["at"]] if "at" in self.told else []
        for path in self.told.get("drop", ()):
            for place, key in _places(out, ".".join([*above, path]).split(".")):
                place.pop(key, None)
        for path, value in self.told.get("set", {}).items():
            for place, key in _places(out, ".".join([*above, path]).split(".")):
                place[key] = copy.deepcopy(value)
        for old, new in self.told.get("replace", {}).items():
            out = replaced(out, old, new)
        if "errors" in self.told:
            kind, code, field = (*self.told["errors"][name], None, None)[:3]
            message = _message(out["json"]["detail"])
            out["json"]["error"] = {"message": message, "type": kind, "param": field, "code": code}
        return out


def read(path: Path) -> list[Deviation]:
    """The table."""
    return [Deviation(told) for told in yaml.safe_load(path.read_text())]


def ours(table: Iterable[Deviation], exchanges: Iterable[Exchange]) -> tuple[dict[str, Document], list[str]]:
    """What we answer to each exchange, by its name, and what is wrong with the table."""
    answers = {exchange.name: exchange.expected for exchange in exchanges if not exchange.prepares}
    faults: list[str] = []
    for deviation in table:
        concerned, why = deviation.concerned(answers), deviation.told["why"]
        if not concerned:
            faults.append(f"no exchange is concerned by: {why}")
        for name in concerned:
            if name not in answers:
                faults.append(f"there is no exchange '{name}': {why}")
                continue
            rewritten = deviation.rewritten(name, answers[name])
            if rewritten == answers[name]:
                faults.append(f"'{name}' does not differ in this: {why}")
            answers[name] = rewritten
    return answers, faults


def _places(node: Any, path: list[str]) -> Iterator[tuple[Any, Any]]:
    """Every container and key that a path leads to."""
    step, *rest = path
    if step == "*":
        for index, entry in enumerate(node):
            if rest:
                yield from _places(entry, rest)
            else:
                yield node, index
        return
    key: Any = int(step) if isinstance(node, list) else step
    if rest:
        yield from _places(node[key], rest)
    else:
        yield node, key


def replaced(node: Any, old: str, new: str) -> Any:
    if isinstance(node, dict):
        return {key: replaced(value, old, new) for key, value in node.items()}
    if isinstance(node, list):
        return [replaced(value, old, new) for value in node]
    return node.replace(old, new) if isinstance(node, str) else node


def _message(detail: Any) -> str:
    if isinstance(detail, str):
        return detail
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in detail)
