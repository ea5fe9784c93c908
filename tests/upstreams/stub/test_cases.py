"""Golden cases: a script and a request in, canonical events out."""

from pathlib import Path

import pytest
import yaml

from otari.dialects.openai_chat import OPENAI_CHAT
from otari.domain.chat import (
    Doc,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Started,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from otari.upstreams.stub.dice import Identity
from otari.upstreams.stub.matching import Match, find
from otari.upstreams.stub.reply import Beat, Casting, beats
from otari.upstreams.stub.rules import Cut, Pause
from otari.upstreams.stub.scene import scene_of
from otari.upstreams.stub.script import read_script
from tests.upstreams.stub.rig import Words

CASES = sorted(Path(__file__).parent.joinpath("cases").glob("*.yaml"))


def played(case: Doc) -> tuple[Beat, ...]:
    script = read_script({"stub": 1, **case["script"]}, "case")
    request = OPENAI_CHAT.read_request(case["request"])
    scene = scene_of(request, "chat")
    match = find(script.rules, scene)
    assert isinstance(match, Match), match
    identity = Identity(script.defaults.seed, match.rule, match.step, case["request"])
    return beats(Casting(request, scene, match, identity, script.defaults, script.defaults.clock or 0), Words())


def short(beat: Beat) -> str:
    """A beat as one line. Ids that the stub made are left out."""
    match beat:
        case Started(reply_id, model, created):
            return f"start {model} {created}" + ("" if reply_id.startswith("chatcmpl-") else f" {reply_id}")
        case PartStarted(index, Text("")):
            return f"{index} text"
        case PartStarted(index, Thinking("")):
            return f"{index} thinking"
        case PartStarted(index, ToolCall(call_id, name, "")):
            made = call_id.startswith("call_") and len(call_id) == len("call_") + 24
            return f"{index} call {name}" + ("" if made else f" {call_id}")
        case PartDelta(index, text):
            return f"{index} +{text}"
        case PartEnded(index):
            return f"{index} end"
        case UsageSeen(usage):
            return " ".join(["usage", *(f"{k}={v}" for k, v in usage._asdict().items() if v is not None)])
        case Finished(finish):
            return f"finish {finish.value}"
        case Pause(seconds):
            return f"pause {seconds:g}"
        case Cut(kind):
            return f"cut {kind}"
    raise AssertionError(f"unexpected {beat}")


def test_there_are_cases() -> None:
    assert CASES


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_case_plays_as_written(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    assert [short(beat) for beat in played(case)] == case["events"]
