"""An answer that is made at once is the one that its stream adds up to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.dialects import DIALECTS
from otari.upstreams.stub.dice import Identity
from otari.upstreams.stub.matching import Match, find
from otari.upstreams.stub.reply import Casting, beats, plain_reply, whole
from otari.upstreams.stub.scene import scene_of
from otari.upstreams.stub.script import read_script
from tests.upstreams.stub.rig import Words, asks, tool

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="$"), max_size=20)
arguments = st.dictionaries(st.sampled_from(["a", "b"]), texts | st.integers(-(2**60), 2**60), max_size=2)
blocks = st.lists(
    texts.map(lambda text: {"say": text})
    | texts.map(lambda text: {"think": text})
    | arguments.map(lambda doc: {"json": doc})
    | arguments.map(lambda doc: {"call": {"f": doc}})
    | arguments.map(lambda doc: {"call": {"g": doc}, "cut_args_at": 0.5}),
    max_size=6,
)


def cast_of(dialect: str, listed: list[dict[str, Any]]) -> Casting:
    chat = DIALECTS["openai-chat"].read_request(asks("hello ${user}", tools=[tool("f")]))
    doc = DIALECTS[dialect].write_request(chat)
    if dialect == "openai-responses":
        doc["include"] = ["reasoning.encrypted_content"]
    script = read_script({"stub": 1, "rules": [{"reply": {"blocks": listed}}]}, "s")
    request = DIALECTS[dialect].read_request(doc)
    surface = {"openai-chat": "chat", "anthropic-messages": "messages", "openai-responses": "responses"}
    scene = scene_of(request, surface.get(dialect, dialect), body=doc)
    match = find(script.rules, scene)
    assert isinstance(match, Match)
    return Casting(request, scene, match, Identity(0, match.rule, 0, doc), script.defaults)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(listed=blocks)
def test_at_once_is_what_the_stream_adds_up_to(dialect: str, listed: list[dict[str, Any]]) -> None:
    cast = cast_of(dialect, listed)
    assert plain_reply(cast, Words()) == whole(beats(cast, Words()))


@pytest.mark.parametrize("block", [{"pause": "1s"}, {"cut": "reset"}])
def test_what_takes_time_or_breaks_is_not_made_at_once(block: dict[str, str]) -> None:
    assert plain_reply(cast_of("openai-chat", [{"say": "a"}, block]), Words()) is None
