"""Streams that no provider should send, translated: the whole answer or an error, never an invented end."""

from pathlib import Path

import pytest

from otari.domain.chat import Reply, fold
from tests.cells.cell import GEMINI, MESSAGES, STILL, TRANSLATED, WORDS, Cell
from tests.cells.clients import BY_DIALECT
from tests.cells.losses import told_by
from tests.dialects.told import read_all
from tests.flows.foreign import MODEL, PATHS, Foreign, request
from tests.flows.hostile_streams import BROKE, ERRORS, MISCHIEF, SAID, Mischief, Outcome, failing, given, other_answers
from tests.flows.house import Answer, play
from tests.scripted import Given, ScriptedProvider

each_cell = pytest.mark.parametrize("cell", TRANSLATED, ids=str)
FAILING = [(cell, spelling) for cell in TRANSLATED for spelling in ERRORS[cell.server]]


def outcome(cell: Cell, answer: Answer) -> Outcome:
    """What the client got. Fails unless it is valid in its dialect."""
    client = BY_DIALECT[cell.client]
    if answer.status != 200:
        assert answer.status in (500, 502, 503, 504)
        assert answer.json["detail"] == answer.error["message"]
        assert (answer.json.get("type") == "error") == (cell.client == MESSAGES)
        return "refused"
    events = read_all(STILL[cell.client].reader(), answer.body)
    if isinstance(fold(events), Reply):
        assert answer.whole
        client.check(answer.body)
        return "whole"
    client.check_failed(answer.body)
    return "failed"


def ask(tmp_path: Path, cell: Cell, answer: Given, *, stream: bool = True) -> Answer:
    """What the client gets of a provider's answer; the books are right afterwards."""
    got: list[Answer] = []

    async def scene() -> None:
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider) as house:
            provider.given[MODEL] = answer
            got.append(await house.ask(cell, request(cell, stream=stream)))
            await house.eventually(house.balanced)
            (row,) = house.rows()
            good = got[0].status == 200 and got[0].whole and not _end(got[0]).endswith("failed")
            assert (row["status"] == "success") == good

    play(scene())
    return got[0]


def _end(answer: Answer) -> str:
    """The last event by its name, where it has one."""
    return answer.body.rpartition(b"event: ")[2].partition(b"\n")[0].decode()


@each_cell
@pytest.mark.parametrize("mischief", MISCHIEF, ids=[mischief.name for mischief in MISCHIEF])
def test_a_stream_comes_whole_or_breaks_off(tmp_path: Path, cell: Cell, mischief: Mischief) -> None:
    answer = ask(tmp_path, cell, given(cell.server, mischief))
    got = outcome(cell, answer)
    assert got in mischief.outcomes
    twice = cell.server == GEMINI and mischief.name.endswith("twice")  # whose events have no numbers and no end
    if got == "whole" and mischief.outcomes == ("whole",) and not twice:
        reply = fold(read_all(STILL[cell.client].reader(), answer.body))
        assert isinstance(reply, Reply)
        assert told_by(reply).text == SAID


@pytest.mark.parametrize(("cell", "spelling"), FAILING, ids=[f"{cell}-{spelling}" for cell, spelling in FAILING])
def test_an_error_in_the_middle_is_told(tmp_path: Path, cell: Cell, spelling: str) -> None:
    answer = ask(tmp_path, cell, failing(cell.server, spelling, at_once=False))
    assert outcome(cell, answer) == "failed"
    error = BY_DIALECT[cell.client].check_failed(answer.body)
    assert BROKE in error["message"]
    assert SAID[:2] in answer.body.decode()


@pytest.mark.parametrize(("cell", "spelling"), FAILING, ids=[f"{cell}-{spelling}" for cell, spelling in FAILING])
def test_an_error_at_once_is_a_status(tmp_path: Path, cell: Cell, spelling: str) -> None:
    answer = ask(tmp_path, cell, failing(cell.server, spelling, at_once=True))
    assert outcome(cell, answer) == "refused"
    assert BROKE in answer.error["message"]


@each_cell
@pytest.mark.parametrize("name", other_answers())
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_what_is_no_answer_is_a_status(tmp_path: Path, cell: Cell, name: str, stream: bool) -> None:
    answer = ask(tmp_path, cell, other_answers()[name], stream=stream)
    assert outcome(cell, answer) == "refused"


@each_cell
def test_an_error_at_once_leads_to_the_next_provider(tmp_path: Path, cell: Cell) -> None:
    async def scene() -> None:
        aliases = {"two": [f"{WORDS[cell.server]}:broken", f"{WORDS[cell.server]}:{MODEL}"]}
        async with ScriptedProvider() as provider, Foreign(tmp_path, provider, aliases=aliases) as house:
            provider.given["broken"] = failing(cell.server, next(iter(ERRORS[cell.server])), at_once=True)
            provider.given[MODEL] = given(cell.server, MISCHIEF[0])
            asked = {**request(cell, stream=True), "model": "two"}
            answer = await house.post(asked, path=PATHS[cell.client])
            assert outcome(cell, answer) == "whole"
            assert len(provider.requests) == 2
            assert house.balanced()

    play(scene())
