"""What holds for batches at every vendor, whatever its wire."""

import orjson
import pytest

from otari.domain.batches import BatchAnswer
from otari.domain.errors import Kind
from tests.upstreams.batches.scene import FLAVOURS, KEY, OURS, Scene, body, lines_of, play

ANSWER = {"id": "x", "n": [1, 2.5, "ü"]}
everywhere = pytest.mark.parametrize("flavour", FLAVOURS)


@everywhere
def test_every_line_is_handed_in_under_its_number(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        look = await at.create(3)
        (asked,) = at.vendor.asked.values()
        assert list(asked) == ["1", "2", "3"]
        wanted = [body(at.dialect, f"say {number}") for number in range(3)]
        if flavour == "mistral":  # where the model is the job's
            wanted = [{key: value for key, value in doc.items() if key != "model"} for doc in wanted]
        assert list(asked.values()) == wanted
        assert look.state in ("validating", "in_progress")
        assert look.error is None

    play(flavour, scene)


@everywhere
def test_results_come_in_any_order_and_each_line_has_one(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        lines = [at.vendor.good(str(number), {**ANSWER, "line": number}) for number in (3, 1, 2)]
        answers = await at.ended(lines)
        assert [(answer.number, answer.status, answer.code, answer.message) for answer in answers] == [
            (number, 200, None, None) for number in (1, 2, 3)
        ]
        assert [orjson.loads(answer.body or b"") for answer in answers] == [{**ANSWER, "line": n} for n in (1, 2, 3)]

    play(flavour, scene)


@everywhere
def test_a_line_that_was_refused_says_why_as_a_request_alone_would(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        vendor = at.vendor
        words = f"no such field; your key is {KEY}"
        answers = await at.ended(
            [vendor.good("1", ANSWER)], [vendor.bad("2", 400, words), vendor.bad("3", 429, "slow")]
        )
        refused, slow = answers[1:]
        assert (refused.status, refused.body) == (400, None)
        assert refused.message == "Provider 'acme' says: no such field; your key is ***"
        assert refused.code
        assert (slow.status, slow.code) == (429, "rate_limit_exceeded")

    play(flavour, scene)


@everywhere
def test_the_gateways_credentials_are_no_concern_of_the_client(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        (answer,) = await at.ended([], [at.vendor.bad("1", 401, "the key sk-abcdefghijk is wrong")], many=1)
        assert (answer.status, answer.code) == (502, "upstream_credentials")
        assert answer.message == "The provider rejected the gateway's credentials"

    play(flavour, scene)


@everywhere
def test_results_of_errors_alone_are_read_too(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        answers = await at.ended([], [at.vendor.bad(str(number), 400, f"bad {number}") for number in (2, 1, 3)])
        assert [answer.message for answer in answers] == [f"Provider 'acme' says: bad {number}" for number in (1, 2, 3)]

    play(flavour, scene)


@everywhere
def test_a_line_that_the_provider_left_out_is_an_error(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        answers = await at.ended([at.vendor.good("2", ANSWER)])
        assert [(answer.number, answer.status, answer.code) for answer in answers] == [
            (1, 502, "batch_line_missing"),
            (2, 200, None),
            (3, 502, "batch_line_missing"),
        ]

    play(flavour, scene)


@everywhere
def test_a_result_that_was_not_done_for_lack_of_time_or_by_a_cancel_says_so(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        answers = await at.ended([at.vendor.good("1", ANSWER)], [at.vendor.expired("2"), at.vendor.cancelled("3")])
        late, cancelled = answers[1:]
        assert cancelled.code == "batch_cancelled"
        assert late.code == ("upstream_timeout" if flavour == "gemini" else "batch_expired")
        assert late.status == 504

    play(flavour, scene)


@everywhere
def test_hostile_results_harm_nobody(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        vendor = at.vendor
        names = ("0", "4", "-1", "01", "1 ", "١", "9999999999999999999", "", "../1", "batch_1")
        strange = [vendor.good(name, {"whose": "not ours"}) for name in names]
        first, again = vendor.good("1", {"the": "first"}), vendor.good("1", {"the": "second"})
        broken = [b"{", b"[]", b"null", b'{"custom_id":{},"key":[],"result":7}', b"\xff\xfe"]
        answers = await at.ended([*strange, *broken, first, again, vendor.bad("1", 400, "late"), *broken])
        assert answers == [
            BatchAnswer(1, 200, b'{"the":"first"}', None, None),
            *(
                BatchAnswer(n, 502, None, "batch_line_missing", "The provider's results hold no answer to this line.")
                for n in (2, 3)
            ),
        ]

    play(flavour, scene)


@everywhere
def test_results_without_end_are_given_up(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        flood = [at.vendor.good("77", {})] * 1_100
        created = await at.create(3)
        at.vendor.end(next(iter(at.vendor.jobs)), at.vendor.done, flood)
        look = await at.looked(created.remote_id)
        error = await at.failure(at.results(look, 3))
        assert (error.kind, error.code) == (Kind.UPSTREAM, "upstream_format")

    play(flavour, scene)


@everywhere
def test_results_that_break_off_can_be_asked_for_again(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        many = 150  # more than stand in a call itself
        created = await at.create(many)
        lines = [at.vendor.good(str(number), {"text": "a" * 400}) for number in range(1, many + 1)]
        at.vendor.end(next(iter(at.vendor.jobs)), at.vendor.done, lines)
        look = await at.looked(created.remote_id)
        at.vendor.cut_at = 30_000
        got, error = await at.broken_off(look, many)
        assert error.code == "upstream_disconnected"
        assert 0 < len(got) < many
        assert all(answer.status == 200 for answer in got)
        at.vendor.cut_at = None
        assert [answer.status for answer in await at.results(look, many)] == [200] * many

    play(flavour, scene)


@everywhere
def test_results_that_are_gone_are_told_line_by_line(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        many = 150
        created = await at.create(many)
        lines = [at.vendor.good(str(number), {}) for number in range(1, many + 1)]
        at.vendor.end(next(iter(at.vendor.jobs)), at.vendor.done, lines)
        look = await at.looked(created.remote_id)
        at.vendor.files.clear()
        answers = await at.results(look, many)
        assert [(answer.number, answer.code) for answer in answers] == [
            (number, "batch_line_missing") for number in range(1, many + 1)
        ]

    play(flavour, scene)


@everywhere
def test_a_batch_is_cancelled_and_keeps_what_was_done(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        created = await at.create(3)
        assert (await at.upstream.cancel(at.attempt, created.remote_id)).state in ("cancelling", "cancelled")
        job = next(iter(at.vendor.jobs))
        word = {"openai": "cancelled", "anthropic": "ended", "mistral": "CANCELLED", "gemini": "BATCH_STATE_CANCELLED"}
        rest = [at.vendor.cancelled(name) for name in ("2", "3")] if flavour == "anthropic" else []
        at.vendor.end(job, word[flavour], [at.vendor.good("1", ANSWER), *rest])
        look = await at.looked(created.remote_id)
        assert look.state == "cancelled"
        assert [answer.code for answer in await at.results(look, 3)] == [None, "batch_cancelled", "batch_cancelled"]

    play(flavour, scene)


@everywhere
def test_an_expired_batch_keeps_what_was_done(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        created = await at.create(2)
        word = {
            "openai": "expired",
            "anthropic": "ended",
            "mistral": "TIMEOUT_EXCEEDED",
            "gemini": "BATCH_STATE_EXPIRED",
        }[flavour]
        lines = [at.vendor.expired(name) for name in ("1", "2")] if flavour == "anthropic" else []
        at.vendor.end(next(iter(at.vendor.jobs)), word, lines)
        look = await at.looked(created.remote_id)
        assert look.state == "expired"
        assert [answer.code for answer in await at.results(look, 2)] == ["batch_expired", "batch_expired"]

    play(flavour, scene)


@pytest.mark.parametrize("flavour", ["openai", "mistral", "gemini"])
def test_a_batch_that_is_refused_as_a_whole_says_why_for_every_line(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        created = await at.create(2)
        word = {"openai": "failed", "mistral": "FAILED", "gemini": "BATCH_STATE_FAILED"}[flavour]
        at.vendor.end(next(iter(at.vendor.jobs)), word, [], words=f"line too long, {KEY}")
        look = await at.looked(created.remote_id)
        assert look.state == "failed"
        assert look.error in ("line 3: line too long, ***", "line too long, ***")
        answers = await at.results(look, 2)
        assert [(answer.status, answer.code, answer.message) for answer in answers] == [
            (502, "batch_failed", look.error)
        ] * 2

    play(flavour, scene)


@pytest.mark.parametrize("flavour", ["openai", "mistral", "gemini"])
def test_a_batch_that_was_handed_in_is_found_again_by_our_name(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        assert await at.upstream.find(at.attempt, OURS) is None
        created = await at.create(1)
        for number in range(3):
            docs = lines_of([body(at.dialect, "another")])
            await at.upstream.create(at.attempt, f"batch_{number}", at.dialect, docs)
        at.vendor.page = 2 if flavour != "mistral" else 100
        found = await at.upstream.find(at.attempt, OURS)
        assert found is not None
        assert found.remote_id == created.remote_id
        assert await at.upstream.find(at.attempt, "batch_nobodys") is None

    play(flavour, scene)


@pytest.mark.parametrize("flavour", ["openai", "gemini"])
def test_what_can_not_be_told_of_too_many_batches_is_not_guessed(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        for number in range(22):
            await at.upstream.create(at.attempt, f"batch_{number}", at.dialect, lines_of([body(at.dialect, "x")]))
        at.vendor.page = 1
        assert (await at.failure(at.upstream.find(at.attempt, OURS))).code == "batch_unknown"

    play(flavour, scene)


def test_a_batch_at_anthropic_can_not_be_found_again() -> None:
    async def scene(at: Scene) -> None:
        error = await at.failure(at.upstream.find(at.attempt, OURS))
        assert (error.kind, error.code, at.vendor.seen) == (Kind.UPSTREAM, "batch_unknown", [])

    play("anthropic", scene)


@everywhere
def test_a_refusal_is_what_it_is_for_any_request(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        created = await at.create(1)
        cases = {
            401: "upstream_credentials",
            429: "rate_limit_exceeded",
            500: "upstream_error",
            302: "upstream_redirect",
        }
        for status, code in cases.items():
            at.vendor.refusal = (status, {"error": {"type": "x", "message": f"no: {KEY}"}})
            for doing in (at.create(1), at.looked(created.remote_id), at.results(created._replace(results="f"), 1)):
                error = await at.failure(doing)
                assert (error.code, error.upstream_status) == (code, status)
                assert KEY not in f"{error.message}{error.detail}"

    play(flavour, scene)


@everywhere
def test_a_provider_that_is_not_there_is_told_apart_from_one_that_took_the_batch(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        gone = at.at(base_url="http://127.0.0.1:9/v1beta/openai")
        lines = lines_of([body(at.dialect, "x")])
        error = await at.failure(at.upstream.create(gone, OURS, at.dialect, lines))
        assert (error.code, error.retryable) == ("upstream_unreachable", True)

    play(flavour, scene)


@everywhere
def test_an_address_from_outside_may_only_be_a_public_one(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        error = await at.failure(at.upstream.look(at.at(public_only=True), "b1"))
        assert error.code == "upstream_unreachable"
        assert at.vendor.seen == []

    play(flavour, scene)


@everywhere
def test_an_answer_that_is_no_batch_is_an_error(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        created = await at.create(1)
        job = next(iter(at.vendor.jobs))
        good = dict(at.vendor.jobs[job])
        for bad in ({}, {"id": "x"}, {**good, "status": "?", "processing_status": "?", "metadata": {"state": "?"}}):
            at.vendor.jobs[job] = bad
            assert (await at.failure(at.looked(created.remote_id))).code == "upstream_format"
        for name in ("../models", "a/b", "", 7, None, "x" * 300):
            at.vendor.jobs[job] = {**good, "id": name, "name": name}
            assert (await at.failure(at.looked(created.remote_id))).code == "upstream_format"

    play(flavour, scene)


@everywhere
def test_more_lines_than_the_provider_takes_are_refused_before_anything_is_sent(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        setattr(at.upstream, "lines_max", 2)  # noqa: B010  (a property to the port)
        error = await at.failure(at.create(3))
        assert (error.kind, error.code) == (Kind.TOO_LARGE, "batch_too_large")
        assert at.vendor.seen == []

    play(flavour, scene)


@everywhere
def test_the_key_travels_as_the_vendor_wants_it(flavour: str) -> None:
    async def scene(at: Scene) -> None:
        created = await at.create(1)
        await at.looked(created.remote_id)
        prefix = "Bearer " if at.vendor.key_header == "authorization" else ""
        assert {seen.headers[at.vendor.key_header] for seen in at.vendor.seen} == {prefix + KEY}
        (get,) = [seen for seen in at.vendor.seen if seen.method == "GET"]
        assert not {"content-length", "content-type"} & set(get.headers)

    play(flavour, scene)
