"""Which rule, and which step of it, answers a request; and what came nearest when none does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from otari.upstreams.stub.patterns import fits, holds
from otari.upstreams.stub.rules import Answer, Rule, When
from otari.upstreams.stub.scene import Scene


@dataclass(frozen=True, slots=True)
class Match:
    """The answer to give. `groups` is what the named groups of the rule's patterns caught."""

    rule: str
    step: int
    answer: Answer
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Miss:
    """No rule fits. `rule` came nearest ("" when there are none at all), but its conditions `failed` did
    not hold.

    A condition of a step is written as in the script, `steps[1].expect.tool_result`; `steps` alone means
    that the request is past the last step.
    """

    rule: str = ""
    failed: tuple[str, ...] = ()


def find(rules: tuple[Rule, ...], scene: Scene) -> Match | Miss:
    """The first rule whose conditions hold, or what came nearest: the fewest failed conditions, first in
    the script.

    A step whose `expect` does not hold is a miss at once: the rule fits, so what follows it was not meant.
    """
    nearest: Miss | None = None
    for rule in rules:
        groups: dict[str, str] = {}
        failed = tuple(_failed(rule.when, scene, groups))
        if not failed and rule.stepped and scene.step >= len(rule.answers):
            failed = ("steps",)
        if not failed:
            return _step(rule, scene, groups)
        if nearest is None or len(failed) < len(nearest.failed):
            nearest = Miss(rule.id, failed)
    return nearest or Miss()


def _step(rule: Rule, scene: Scene, groups: dict[str, str]) -> Match | Miss:
    step = scene.step if rule.stepped else 0
    answer = rule.answers[step]
    if answer.expect is not None:
        unmet = tuple(f"steps[{step}].expect.{name}" for name in _failed(answer.expect, scene, groups))
        if unmet:
            return Miss(rule.id, unmet)
    return Match(rule.id, scene.step, answer, groups)


def _failed(when: When, scene: Scene, groups: dict[str, str]) -> Iterator[str]:
    """The conditions that do not hold, by name. Named groups of those that hold are added to `groups`."""
    if when.surface and scene.surface not in when.surface:
        yield "surface"
    if when.model and not any(fnmatchcase(scene.model, glob) for glob in when.model):
        yield "model"
    for name, patterns in when.texts.items():
        if not all(fits(pattern, scene.texts[name], groups) for pattern in patterns):
            yield name
    if not set(when.tools) <= set(scene.tools):
        yield "tools"
    if when.turn is not None and not holds(when.turn, scene.turn):
        yield "turn"
    if when.step is not None and not holds(when.step, scene.step):
        yield "step"
    if when.stream is not None and when.stream != scene.stream:
        yield "stream"
    if not set(when.has) <= scene.features:
        yield "has"
