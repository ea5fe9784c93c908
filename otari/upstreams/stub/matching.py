"""Which rule, and which step of it, answers a request; and what came nearest when none does."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from otari.upstreams.stub.normal import FORMS
from otari.upstreams.stub.patterns import fits, holds
from otari.upstreams.stub.places import MISSING, look
from otari.upstreams.stub.rules import Answer, Pattern, Place, Rule, When
from otari.upstreams.stub.scene import Scene


@dataclass(frozen=True, slots=True)
class Match:
    """The answer to give. `groups` is what the named groups of the rule's patterns caught; `aside`: it counts nowhere.

    `number` says which of the answers it is, where they are given one after the other.
    """

    rule: str
    step: int
    answer: Answer
    groups: Mapping[str, str] = field(default_factory=dict)
    aside: bool = False
    number: int = 0


@dataclass(frozen=True, slots=True)
class Miss:
    """No rule fits. `rule` came nearest ("" when there are none at all), but its conditions `failed` did
    not hold; `nearest` is that rule.

    A condition of a step is written as in the script, `steps[1].expect.tool_result`; `steps` or `replies`
    alone means that the request is past the last one.
    """

    rule: str = ""
    failed: tuple[str, ...] = ()
    nearest: Rule | None = field(default=None, compare=False)


def never_given(rule: str) -> int:
    """How many answers of a rule in sequence were given, for who keeps no count."""
    return 0


def find(
    rules: Iterable[Rule],
    scene: Scene,
    given: Callable[[str], int] = never_given,
    forms: tuple[str, ...] = tuple(FORMS),
) -> Match | Miss:
    """The first rule whose conditions hold, or what came nearest: the fewest failed conditions, first in
    the script. Rules that answer aside do not come near: nobody means them.

    A step whose `expect` does not hold is a miss at once: the rule fits, so what follows it was not meant.
    `given` says how many answers of a rule in sequence were given before; `forms` is what digests leave out.
    Raises TooSlow for a regular expression that does not come to an end.
    """
    nearest: Miss | None = None
    for rule in rules:
        groups: dict[str, str] = {}
        failed = tuple(unmet(rule.when, scene, groups, forms))
        if not failed:
            number = _number(rule, scene, given)
            if number is not None:
                return _answer(rule, number, scene, groups, forms)
            failed = ("steps" if rule.stepped else "replies",)
        if not rule.aside and (nearest is None or len(failed) < len(nearest.failed)):
            nearest = Miss(rule.id, failed, rule)
    return nearest or Miss()


def _number(rule: Rule, scene: Scene, given: Callable[[str], int]) -> int | None:
    """Which answer of a rule comes now; None when they have all been given."""
    many = len(rule.answers)
    number = scene.step if rule.stepped else given(rule.id) if rule.sequence else 0
    if number < many:
        return number
    if rule.sequence == "last":
        return many - 1
    return number % many if rule.sequence == "loop" else None


def _answer(rule: Rule, number: int, scene: Scene, groups: dict[str, str], forms: tuple[str, ...]) -> Match | Miss:
    answer = rule.answers[number]
    if answer.expect is not None:
        place = f"steps[{number}]" if rule.stepped else f"replies[{number}]"
        failed = tuple(f"{place}.expect.{name}" for name in unmet(answer.expect, scene, groups, forms))
        if failed:
            return Miss(rule.id, failed, rule)
    return Match(rule.id, scene.step, answer, groups, rule.aside, number)


def unmet(when: When, scene: Scene, groups: dict[str, str], forms: tuple[str, ...] = tuple(FORMS)) -> Iterator[str]:
    """The conditions that do not hold, by name. Named groups of those that hold are added to `groups`."""
    if when.digest and not scene.digest(forms).startswith(when.digest):
        yield "hash"
    if when.surface and scene.surface not in when.surface:
        yield "surface"
    if when.model and not _named(when.model, scene):
        yield "model"
    if when.session and not any(fnmatchcase(scene.came.session, glob) for glob in when.session):
        yield "session"
    if when.key and not any(fnmatchcase(scene.came.key.reveal(), glob) for glob in when.key):
        yield "key"
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
    for name, patterns in when.headers.items():
        value = scene.came.headers.get(name)
        if value is None or not all(fits(pattern, value, groups) for pattern in patterns):
            yield f"header.{name}"
    for place in when.body:
        if not _is_there(place, scene, groups):
            yield f"body.{place.path}"


def _named(globs: tuple[str, ...], scene: Scene) -> bool:
    """Whether the model is meant: as the provider knows it, or as the client wrote it."""
    names = {scene.model, scene.came.selector or scene.model}
    return any(fnmatchcase(name, glob) for name in names for glob in globs)


def _is_there(place: Place, scene: Scene, groups: dict[str, str]) -> bool:
    found, wanted = look(scene.body, place.steps), place.wanted
    if isinstance(wanted, Pattern):
        return isinstance(found, str) and fits(wanted, found, groups)
    if wanted is None:
        return found is MISSING or found is None
    return (type(found) is type(wanted) and found == wanted) or _same_number(found, wanted)


def _same_number(found: object, wanted: object) -> bool:
    numbers = not isinstance(found, bool) and not isinstance(wanted, bool)
    return numbers and isinstance(found, int | float) and isinstance(wanted, int | float) and found == wanted
