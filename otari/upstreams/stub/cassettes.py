"""A folder of recordings: one script file for each session, with the very bytes of the answers in a file beside it.

Files are read at the start and written whole or not at all. Nothing is written that holds a key which the gateway
knows, and what looks like one is masked.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from otari.domain.chat import Doc
from otari.domain.redaction import Redactor, mask_shapes
from otari.upstreams.stub.recording import fingerprint, same_answer, short_hash
from otari.upstreams.stub.rules import Answer, Pace, Rule
from otari.upstreams.stub.script import VERSION, ScriptError, Source, read_scripts
from otari.upstreams.stub.shapes import changes, shape_of
from otari.upstreams.stub.takes import SUFFIX, Key, Take, read_takes, write_takes
from otari.upstreams.stub.yaml_text import yaml_text

_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_CHARACTERS = 80
_OWN_KEYS = frozenset({"stub", "recorded", "rules"})


class Label(NamedTuple):
    """What a new file says of itself: the day, and the version of the gateway."""

    day: str
    version: str


class Unkept(Exception):
    """A recording was not written. The message says where something stood that must not be written down."""


def file_name(session: str) -> str:
    """The name of a session's file, without its ending: readable, and another one for every session."""
    name = _ODD.sub("-", session).strip("-.")[:_NAME_CHARACTERS] or "session"
    return name if name == session else f"{name}-{short_hash(session)}"


class Cassette:
    """The recordings of one session: `rules` as they stand in the file, `takes` the bytes of their answers."""

    def __init__(self, path: Path, label: Label) -> None:
        self.path = path
        self.head: Doc = {"stub": VERSION, "recorded": {"at": label.day, "otari": label.version}}
        self.rules: list[Doc] = []
        self.takes: dict[Key, Take] = {}
        self.text = ""  # of the file as it is now; empty when there is none

    def find(self, when: Doc) -> list[Doc]:
        """The recordings for a request, in the order in which they were made."""
        return [rule for rule in self.rules if rule.get("when") == when]

    def playing(self, speed: float) -> tuple[Rule, ...]:
        """The rules that give the recordings again; those for the same request one after the other."""
        script = read_scripts([Source({"stub": VERSION, "rules": self.rules}, self.path.name)])
        found: dict[bytes, Rule] = {}
        for doc, rule in zip(self.rules, script.rules, strict=True):
            answers = tuple(self._exact(doc, rule, number, speed) for number in range(len(rule.answers)))
            same = orjson.dumps(doc["when"], option=orjson.OPT_SORT_KEYS) if "seen" in doc else rule.id.encode()
            first = found.get(same)
            if first is None or first.stepped:
                found[same] = replace(rule, answers=answers)
            else:
                found[same] = replace(first, answers=(*first.answers, *answers), sequence="last")
        return tuple(found.values())

    def _exact(self, doc: Doc, rule: Rule, number: int, speed: float) -> Answer:
        """One answer, with its bytes as long as nobody has edited what it says."""
        answer = rule.answers[number]
        if answer.pace is not None:
            pace = answer.pace
            answer = replace(answer, pace=Pace(pace.ttft_s / speed, pace.tps * speed) if speed else Pace())
        told = doc.get("reply")
        take = self.takes.get(Key(rule.id, number))
        if take is None or not isinstance(told, dict) or told.get("exact") != fingerprint(told):
            return answer
        return replace(answer, exact=take.exact(speed)) if told["exact"] == take.word else answer

    def write(self, parse: Callable[[bytes], object]) -> None:
        """Put both files in place. What people wrote into the script file stays, if new rules can stand behind it."""
        whole = yaml_text({**self.head, "rules": self.rules})
        if self.text:
            known = _rules_in(parse(self.text.encode()))
            behind = self.text.rstrip("\n") + "\n" + _items(self.rules[len(known) :])
            if self.rules[: len(known)] == known and _rules_in(parse(behind.encode())) == self.rules:
                whole = behind
        if whole != self.text:
            _put(self.path, whole.encode())
            self.text = whole
        ids = {rule.get("id") for rule in self.rules}
        takes = write_takes({key: take for key, take in self.takes.items() if key.rule in ids})
        beside = self.path.with_suffix(SUFFIX)
        if takes:
            _put(beside, takes)
        else:
            beside.unlink(missing_ok=True)


class Cassettes:
    """The folder. `parse` reads YAML, None when it is none; `label` is for new files; `speed` says how fast recordings
    are given again.
    """

    def __init__(
        self,
        folder: Path,
        files: Iterable[Source],
        parse: Callable[[bytes], object],
        redactor: Redactor,
        label: Label,
        speed: float = 1.0,
    ) -> None:
        """Raises ScriptError when a file is not a recording of this version, OSError when one can not be read."""
        self.folder = folder
        self.drift: list[str] = []  # what `compare` found
        self._parse = parse
        self._redactor = redactor
        self._label = label
        self._speed = speed
        self._all = {Path(source.name).stem: self._read(source) for source in files}
        self._new: dict[str, Cassette] = {}  # of `renew`, until the end
        self._compared: Counter[tuple[str, str]] = Counter()

    # ---- giving again ----

    def rules(self, session: str) -> tuple[Rule, ...]:
        """The rules that give the recordings of a session again."""
        cassette = self._all.get(file_name(session))
        return () if cassette is None else cassette.playing(self._speed)

    # ---- keeping ----

    def append(self, session: str, made: Doc, reply: Doc, take: Take) -> str:
        """Keep a recording behind those that are there; the id of its rule comes back. Raises Unkept."""
        self._refuse_secret(session)
        cassette = self._all.get(file_name(session)) or self._fresh(session)
        rule = self._kept(cassette, made, reply, take)
        cassette.write(self._parse)
        self._all[file_name(session)] = cassette
        return rule

    def renew(self, session: str, made: Doc, reply: Doc, take: Take) -> str:
        """Keep a recording for the new file of a session, which takes the place of the old one in `finish`.

        What says the same as before stays as it was, so that nothing changes in the file when nothing has changed.
        """
        fresh = self._new.get(session)
        if fresh is None:
            self._refuse_secret(session)
            fresh = self._new[session] = self._fresh(session)
        before = self._all.get(file_name(session))
        number = len(fresh.find(made["when"]))
        known = before.find(made["when"])[number : number + 1] if before is not None else []
        if before is not None and known and same_answer(known[0]["reply"], reply):
            fresh.rules.append(known[0])
            old = Key(str(known[0]["id"]))
            if old in before.takes:
                fresh.takes[old] = before.takes[old]
            return old.rule
        return self._kept(fresh, made, reply, take)

    def compare(self, session: str, made: Doc, reply: Doc, take: Take) -> str:
        """Hold an answer against the recording for its request, by shape alone; the id of its rule comes back."""
        cassette = self._all.get(file_name(session))
        recorded = cassette.find(made["when"]) if cassette is not None else []
        number = self._compared[session, made["when"]["hash"]]
        self._compared[session, made["when"]["hash"]] += 1
        if cassette is None or not recorded:
            self.drift.append(f"{file_name(session)}: no recording of {made['id']}{_since(cassette, made['seen'])}")
            return ""
        rule = str(recorded[min(number, len(recorded) - 1)]["id"])
        before = cassette.takes.get(Key(rule))
        if before is None:
            self.drift.append(f"{file_name(session)}: {rule}: could not check, its bytes are not kept")
        else:
            self.drift += [f"{file_name(session)}: {rule}: {line}" for line in shape_changes(before, take)]
        return rule

    def finish(self, *, interrupted: bool = False) -> list[str]:
        """Put the new files in the place of the old ones; what is to be told of it.

        After a run that was interrupted they stay as they were: what was not asked any more would be lost.
        """
        if interrupted and self._new:
            self._new.clear()
            return ["nothing was recorded anew: the run was interrupted"]
        for session, fresh in self._new.items():
            before = self._all.get(file_name(session))
            if before is not None:
                fresh.text = before.text
                if fresh.rules == before.rules:
                    continue
            fresh.write(self._parse)
        self._new.clear()
        return []

    def _kept(self, cassette: Cassette, made: Doc, reply: Doc, take: Take) -> str:
        """Add a recording to a cassette, masked where it must be; the id of its rule comes back. Raises Unkept."""
        used = {rule.get("id") for rule in cassette.rules}
        number = next(n for n in count(len(cassette.rules) + 1) if f"{n:03}-{made['id']}" not in used)
        file, at = cassette.path.name, f"rules[{len(cassette.rules)}]"
        rule, _ = self._clean({**made, "id": f"{number:03}-{made['id']}"}, f"{file}: {at}")
        rule["reply"], masked = self._clean(reply, f"{file}: {at}.reply")
        request, _ = self._clean(take.request, f"{file}: the request of {at}")
        spelled = "\n".join(take.texts())
        if self._redactor.holds(spelled):
            raise Unkept(f"{file}: the answer of {at} holds a key")
        if not masked and mask_shapes(spelled) == spelled:  # bytes with a mask in them would not be the very bytes
            rule["reply"]["exact"] = word = fingerprint(rule["reply"])
            cassette.takes[Key(rule["id"])] = replace(take, request=request, word=word)
        cassette.rules.append(rule)
        return str(rule["id"])

    def _clean(self, value: Any, place: str) -> tuple[Any, bool]:
        """`value` without what looks like a secret, and whether there was something. Raises Unkept for known keys."""
        match value:
            case str():
                if self._redactor.holds(value):
                    raise Unkept(f"{place} holds a key")
                clean = mask_shapes(value)
                return clean, clean != value
            case list():
                items = [self._clean(item, f"{place}[{number}]") for number, item in enumerate(value)]
                return [item for item, _ in items], any(masked for _, masked in items)
            case dict():
                found: Doc = {}
                any_masked = False
                for key, item in value.items():
                    if self._redactor.holds(key):
                        raise Unkept(f"{place} holds a key")
                    name = mask_shapes(key)
                    found[name], masked = self._clean(item, f"{place}.{name}")
                    any_masked = any_masked or masked or name != key
                return found, any_masked
        return value, False

    def _refuse_secret(self, session: str) -> None:
        """Raises Unkept for a session whose name may not be written down: the name of its file would tell it."""
        if self._redactor.holds(session):
            raise Unkept("the name of the session holds a key")

    def _fresh(self, session: str) -> Cassette:
        return Cassette(self.folder / f"{file_name(session)}.yaml", self._label)

    # ---- reading ----

    def _read(self, source: Source) -> Cassette:
        read_scripts([source])  # for its problems
        doc = source.doc
        assert isinstance(doc, dict), "a script is a map"
        odd = sorted(set(doc) - _OWN_KEYS)
        if odd:
            raise ScriptError((f"{source.name}: a recording has no {', '.join(odd)}",))
        path = Path(source.name)
        cassette = Cassette(path, self._label)
        cassette.head = {key: value for key, value in doc.items() if key != "rules"}
        cassette.rules, cassette.text = list(doc.get("rules") or ()), path.read_text()
        beside = path.with_suffix(SUFFIX)
        if beside.exists():
            try:
                cassette.takes = dict(read_takes(beside.read_bytes()))
            except ValueError as error:
                raise ScriptError((f"{beside}: {error}",)) from None
        return cassette

    def cassettes(self) -> Iterator[Cassette]:
        """All that there are, by the name of their file."""
        for name in sorted(self._all):
            yield self._all[name]


def shape_changes(before: Take, now: Take) -> list[str]:
    """What is different in the shape of two answers. A stream and a whole answer can not be compared."""
    if before.stream != now.stream or before.dialect != now.dialect:
        return ["could not check: it came in another form"]
    return list(changes(shape_of(before.body, stream=before.stream), shape_of(now.body, stream=now.stream)))


def _since(cassette: Cassette | None, seen: Doc) -> str:
    """What has changed in a request since something like it was recorded: its system text, its tools."""
    for rule in cassette.rules if cassette is not None else ():
        before = rule.get("seen") or {}
        if all(before.get(key) == seen.get(key) for key in ("user", "turn", "step")):
            told = [key for key in ("system_sha", "tools_sha") if before.get(key) != seen.get(key)]
            return f"; since {rule.get('id')} these have changed: {', '.join(told) or 'its messages'}"
    return ""


def _rules_in(doc: object) -> list[Doc]:
    return list(doc.get("rules") or ()) if isinstance(doc, dict) else []


def _items(rules: list[Doc]) -> str:
    """Rules as the entries of a list that stands at the end of a file."""
    return yaml_text(rules) if rules else ""


def _put(path: Path, data: bytes) -> None:
    """Write a file that appears whole. Raises OSError."""
    waiting = path.with_name(path.name + ".new")
    try:
        waiting.write_bytes(data)
        os.replace(waiting, path)
    except OSError:
        waiting.unlink(missing_ok=True)
        raise
