"""Faults across rules, and limits: which requests they hit, what they do, and that every run has the same."""

import asyncio

import pytest

from otari.domain.arrival import Arrival, Damage, note_arrival
from otari.domain.chat import Doc, Failed, Reply, Text
from otari.domain.errors import Kind, OtariError
from otari.domain.secret import Secret
from otari.upstreams.stub.script import Script, ScriptError
from otari.upstreams.stub.stub import StubUpstream
from tests.upstreams.stub.rig import DIALECTS, Heard, Words, asks, hear, script

ANSWER = "rules: [{id: ok, reply: one two three four}]\n"


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


class Stubbed:
    """A stub, and its sessions over several calls."""

    def __init__(self, rules: str | Script) -> None:
        self.clock, self.naps = Clock(), list[float]()
        made = script(rules) if isinstance(rules, str) else rules
        self.upstream = StubUpstream(DIALECTS, Words(), made, sleep=self._sleep, now=self.clock, wall=lambda: 0.0)
        self.damages: list[Damage] = []
        self.labels: dict[str, str] = {}

    async def _sleep(self, seconds: float) -> None:
        self.naps.append(seconds)

    def ask(self, doc: Doc, session: str = "default", key: str = "k") -> Heard | OtariError:
        """What comes of a call."""
        came = Arrival(session, key=Secret(key), damage=self.damages.append)

        async def run() -> Heard:
            note_arrival(came)
            heard = Heard()
            await hear(self.upstream, doc, heard)
            return heard

        try:
            return asyncio.run(run())
        except OtariError as error:
            return error
        finally:
            self.labels = came.labels

    def statuses(self, count: int, text: str = "x", session: str = "default") -> str:
        """Of so many calls: `.` for an answer, else what the provider said."""
        told = [self.ask(asks(text), session) for _ in range(count)]
        return " ".join(str(each.upstream_status) if isinstance(each, OtariError) else "." for each in told)


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("{do: {error: 429}}", "429 429 429 429 429 429"),
        ("{times: 2, do: {error: 429}}", "429 429 . . . ."),
        ("{every: 3, do: {error: 503}}", ". . 503 . . 503"),
        ("{every: 2, times: 3, do: {error: 503}}", ". 503 . . . ."),
        ("{p: 1, do: {error: 500}}", "500 500 500 500 500 500"),
        ("{p: 0, do: {error: 500}}", ". . . . . ."),
        ("{when: {model: other}, do: {error: 500}}", ". . . . . ."),
    ],
)
def test_which_requests_a_fault_hits(fault: str, seen: str) -> None:
    assert Stubbed(f"{ANSWER}faults: [{fault}]").statuses(6) == seen


def test_chance_is_the_same_in_every_run_and_not_the_same_in_every_session() -> None:
    rules = ANSWER + "defaults: {seed: %s}\nfaults: [{id: f, p: 0.5, do: {error: 500}}]"
    runs = [Stubbed(rules % 1).statuses(20), Stubbed(rules % 1).statuses(20)]
    assert runs[0] == runs[1]
    assert 4 <= runs[0].count("500") <= 16
    assert Stubbed(rules % 2).statuses(20) != runs[0]
    assert Stubbed(rules % 1).statuses(20, session="other") != runs[0]


def test_sessions_have_counters_of_their_own() -> None:
    stubbed = Stubbed(f"{ANSWER}faults: [{{times: 1, do: {{error: 500}}}}]")
    assert [stubbed.statuses(2, session=session) for session in "ab"] == ["500 .", "500 ."]


def test_faults_come_before_rules_and_the_first_that_is_due_counts() -> None:
    rules = """
    rules: [{id: seq, replies: [one, two]}]
    faults:
    - {id: a, times: 1, do: {error: {status: 429, retry_after: 7, message: slow down}}}
    - {id: b, times: 2, do: {error: 503}}
    """
    stubbed = Stubbed(rules)
    first = stubbed.ask(asks("x"))
    assert isinstance(first, OtariError)
    assert (first.kind, first.retry_after, "slow down" in first.message) == (Kind.RATE_LIMITED, 7.0, True)
    assert stubbed.labels["x-stub-rule"] == "a"
    assert stubbed.statuses(4) == "503 . . None"  # the sequence begins behind the faults; then it is over
    results = [entry.result for entry in stubbed.upstream.sessions.get().journal]
    assert results == ["fault", "fault", "answered", "answered", "miss"]


def test_what_is_answered_aside_is_not_hit_and_not_counted() -> None:
    rules = """
    rules: [{id: t, aside: true, when: {user: title}, reply: T}, {reply: x}]
    faults: [{times: 1, do: {error: 500}}]
    """
    stubbed = Stubbed(rules)
    assert [stubbed.statuses(1, text) for text in ("title", "x", "x", "title")] == [".", "500", ".", "."]


def test_a_delay_is_slept_before_the_answer() -> None:
    stubbed = Stubbed(f"{ANSWER}faults: [{{id: slow, times: 1, do: {{delay: 2s}}}}]")
    assert stubbed.statuses(2) == ". ."
    assert stubbed.naps == [2.0]
    entry = stubbed.upstream.sessions.get().journal[0]
    assert (entry.result, entry.rule, entry.fault) == ("answered", "ok", "slow")


def test_a_delay_comes_before_an_error_too() -> None:
    stubbed = Stubbed(f"{ANSWER}faults: [{{do: {{delay: 1s, error: 500}}}}]")
    assert (stubbed.statuses(1), stubbed.naps) == ("500", [1.0])


def text_of(heard: Heard) -> str:
    """The text that came, however it ended."""
    told = [event for event in heard.events() if hasattr(event, "text")]
    return "".join(event.text for event in told)


@pytest.mark.parametrize(
    ("after", "text"), [("", "one two"), (", after: 0.25", "one"), (", after: 1", "one two three four")]
)
def test_a_cut_comes_after_a_share_of_the_answer(after: str, text: str) -> None:
    heard = Stubbed(f"{ANSWER}faults: [{{do: {{cut: reset{after}}}}}]").ask(asks("x", stream=True))
    assert isinstance(heard, Heard)
    assert heard.error is not None
    assert heard.error.code == "upstream_disconnected"
    assert text_of(heard) == text


def test_a_cut_at_the_very_beginning_sends_nothing() -> None:
    heard = Stubbed(f"{ANSWER}faults: [{{do: {{cut: reset, after: 0}}}}]").ask(asks("x", stream=True))
    assert isinstance(heard, Heard)
    assert (heard.body, heard.error is not None) == (b"", True)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("after", [0, 0.5])
def test_an_error_inside_an_answer_is_an_error_instead_of_it_when_nothing_came(stream: bool, after: float) -> None:
    stubbed = Stubbed(f"{ANSWER}faults: [{{do: {{cut: 'error:529', after: {after}}}}}]")
    heard = stubbed.ask(asks("x", stream=stream))
    if stream and after:
        assert isinstance(heard, Heard)
        assert isinstance(heard.reply(), Failed)
    else:
        assert isinstance(heard, OtariError)
        assert heard.upstream_status == 529


def test_faults_at_the_client_leave_the_answer_alone_and_say_what_is_to_become_of_it() -> None:
    stubbed = Stubbed(
        f"{ANSWER}faults: [{{id: a, times: 1, at: client, do: {{cut: reset}}}},"
        " {times: 1, at: client, do: {error: {status: 503, retry_after: 2}}}]"
    )
    heard = stubbed.ask(asks("x"))
    assert isinstance(heard, Heard)
    reply = heard.reply()
    assert isinstance(reply, Reply)
    assert reply.parts == (Text("one two three four"),)
    assert stubbed.damages == [Damage("reset")]
    assert stubbed.upstream.sessions.get().journal[0].fault == "a"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("{}", "faults[0].do: is missing"),
        ("{do: {}}", "faults[0].do: does nothing"),
        ("{do: {error: 200}}", "faults[0].do.error: must be an HTTP error status"),
        ("{do: {error: 500, cut: eof}}", "faults[0].do.cut: can not stand beside error"),
        ("{do: {cut: snap}}", "faults[0].do.cut: 'snap' is not known here"),
        ("{do: {delay: soon}}", "faults[0].do.delay: must be a duration"),
        ("{do: {delay: 1s, after: 0.5}}", "faults[0].do.after: belongs to a cut"),
        ("{do: {cut: eof, after: 2}}", "faults[0].do.after: must be a number from 0 to 1"),
        ("{at: client, do: {cut: 'error:500'}}", "at the client must be reset, eof, hang or garbage"),
        ("{at: client, do: {cut: eof, after: 0.1}}", "faults[0].do.after: is for cuts at the upstream"),
        ("{at: home, do: {cut: eof}}", "faults[0].at: 'home' is not known here"),
        ("{times: 0, do: {cut: eof}}", "faults[0].times: must be a whole number of at least 1"),
        ("{p: 2, do: {cut: eof}}", "faults[0].p: must be a number from 0 to 1"),
        ("{evry: 2, do: {cut: eof}}", "faults[0].evry: unknown key; did you mean 'every'?"),
        ("{id: ok, do: {cut: eof}}", "faults[0].id: 'ok' is the id of rules[0] already"),
    ],
)
def test_wrong_faults_are_refused(fault: str, told: str) -> None:
    with pytest.raises(ScriptError) as caught:
        script(f"{ANSWER}faults: [{fault}]")
    assert told in str(caught.value)


# ---- limits --------------------------------------------------------------------------------------------------------


def test_requests_beyond_the_limit_are_refused_until_the_minute_is_over() -> None:
    stubbed = Stubbed(f"{ANSWER}limits: {{rpm: 2}}")
    assert stubbed.statuses(1) == "."
    assert stubbed.labels["x-ratelimit-limit-requests"] == "2"
    assert stubbed.labels["x-ratelimit-remaining-requests"] == "1"
    assert stubbed.labels["x-ratelimit-reset-requests"] == "60000ms"
    stubbed.clock.at += 20
    assert stubbed.statuses(1) == "."
    refused = stubbed.ask(asks("x"))
    assert isinstance(refused, OtariError)
    assert (refused.kind, refused.retry_after) == (Kind.RATE_LIMITED, 40)
    assert refused.message == (
        "Provider 'stub' says: Rate limit reached for gpt-x on requests per minute: limit 2, used 2. Try again in 40s."
    )
    assert dict(refused.headers)["x-ratelimit-remaining-requests"] == "0"
    stubbed.clock.at += 40
    assert stubbed.statuses(1) == "."
    assert [entry.result for entry in stubbed.upstream.sessions.get().journal] == [
        "answered",
        "answered",
        "limited",
        "answered",
    ]


def test_tokens_are_counted_as_the_answer_tells_them() -> None:
    stubbed = Stubbed("rules: [{reply: {say: a, usage: {input: 60, output: 40}}}]\nlimits: {tpm: 150}")
    assert stubbed.statuses(3) == ". . 429"


@pytest.mark.parametrize(
    ("scope", "refused"),
    [("key", {"same key"}), ("session", {"same session"}), ("all", {"same key", "same session", "other"})],
)
def test_limits_are_counted_by_key_session_or_all_together(scope: str, refused: set[str]) -> None:
    stubbed = Stubbed(f"{ANSWER}limits: {{rpm: 1, scope: {scope}}}")
    assert isinstance(stubbed.ask(asks("x"), "a", "1"), Heard)
    others = {"same key": ("b", "1"), "same session": ("a", "2"), "other": ("c", "3")}
    found = {
        name for name, (session, key) in others.items() if isinstance(stubbed.ask(asks("x"), session, key), OtariError)
    }
    assert found == refused


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ("{}", "limits: limits nothing"),
        ("{rpm: 0}", "limits.rpm: must be a whole number of at least 1"),
        ("{rpm: 1, scope: town}", "limits.scope: 'town' is not known here"),
        ("5", "limits: must be a map"),
    ],
)
def test_wrong_limits_are_refused(limits: str, told: str) -> None:
    with pytest.raises(ScriptError) as caught:
        script(f"{ANSWER}limits: {limits}")
    assert told in str(caught.value)
