"""A run in which a script is every model: who is let in, what a session is, and what stays as in every other run."""

from pathlib import Path
from typing import Any

import pytest

from otari.domain.catalog import ModelRef
from otari.upstreams.absent import AbsentUpstream
from tests.flows.house import MASTER, play
from tests.flows.stage import Stage, said

HELLO = "rules: [{id: hi, when: {user: hello}, reply: 'I am ${model}'}]"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer anything"},
        {"Authorization": "Bearer gw-not-a-key-of-ours"},
        {"Authorization": "Basic b3RhcmkK"},
        {"Authorization": ""},
        {"x-api-key": "sk-ant-real"},
    ],
)
def test_any_key_or_none_is_let_in(tmp_path: Path, headers: dict[str, str]) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, HELLO) as stage:
            assert said(await stage.ask(headers=headers)) == "I am gpt-x"
            (row,) = stage.rows()
            assert (row["user_id"], row["key_id"], row["cost_nano"]) == ("default", None, 0)
            assert stage.balanced()

    play(scene())


@pytest.mark.parametrize("model", ["gpt-x", "openai:gpt-x", "openai/gpt-x", "a:b:c", "x:", "stub:", ":"])
def test_every_model_is_the_script(tmp_path: Path, model: str) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, HELLO) as stage:
            assert said(await stage.ask(model=model)) == f"I am {model}"

    play(scene())


def test_the_name_of_the_provider_is_not_part_of_the_model(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, HELLO) as stage:
            assert said(await stage.ask(model="stub:gpt-x")) == "I am gpt-x"
            assert stage.gateway.plane.catalog.targets("gpt-x") == (ModelRef("stub", "gpt-x"),)

    play(scene())


def test_a_session_is_named_by_header_path_or_key_in_this_order(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, "rules: [{reply: '${session}'}]") as stage:
            assert said(await stage.ask(session="from-key")) == "from-key"
            in_path = "/s/from%20path/v1/chat/completions?x=1"
            assert said(await stage.ask(session="from-key", path=in_path)) == "from path"
            named = {"X-Stub-Session": "from-header"}
            assert said(await stage.ask(session="from-key", path=in_path, headers=named)) == "from-header"
            assert [row["user_id"] for row in stage.rows()] == ["from-key", "from path", "from-header"]

    play(scene())


def test_where_sessions_are_looked_for_is_the_scripts_choice(tmp_path: Path) -> None:
    rules = "defaults: {session: [key]}\nrules: [{reply: '${session}'}]"

    async def scene() -> None:
        async with Stage(tmp_path, rules) as stage:
            assert said(await stage.ask(session="a", headers={"X-Stub-Session": "b"})) == "a"
            assert (await stage.ask(path="/s/b/v1/chat/completions")).status == 404

    play(scene())


def test_calls_are_counted_by_session_and_every_answer_names_its_rule(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, HELLO) as stage:
            told = [await stage.ask(session=session) for session in ("a", "b", "a")]
            assert [answer.headers["x-stub-call"] for answer in told] == ["1", "1", "2"]
            assert {answer.headers["x-stub-rule"] for answer in told} == {"hi"}
            streamed = await stage.ask(session="b", stream=True)
            assert (streamed.headers["x-stub-rule"], streamed.headers["x-stub-call"]) == ("hi", "2")

    play(scene())


def test_a_miss_is_a_400_that_forbids_retries_in_the_shape_of_the_surface(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, HELLO) as stage:
            miss = await stage.ask("good bye")
            assert (miss.status, miss.headers["x-should-retry"], miss.error["code"]) == (400, "false", "stub_miss")
            assert "'hi', where these do not hold: user" in miss.error["message"]
            body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "bye"}]}
            theirs = await stage.post(body, path="/v1/messages")
            assert (theirs.status, theirs.json["type"]) == (400, "error")
            assert "stub's script" in theirs.error["message"]
            assert stage.desk.sessions.misses == 2
            assert [row["status"] for row in stage.rows()] == ["error", "error"]
            assert "bye" not in stage.rows()[0]["error"]

    play(scene())


def test_a_session_is_a_user_who_can_be_given_a_budget(tmp_path: Path) -> None:
    """A refusal for money, told by the real ledger: no other test server has one."""
    price = {"stub:gpt-x": {"input_price_per_million": 0, "output_price_per_million": 1_000_000}}

    async def scene() -> None:
        rules = "rules: [{reply: {say: hello, usage: {input: 1, output: 1}}}]"
        async with Stage(tmp_path, rules, pricing=price, providers={"stub": {"type": "stub"}}) as stage:
            assert (await stage.ask(session="poor", max_tokens=1)).status == 200
            master = {"Authorization": f"Bearer {MASTER}"}
            made = await stage.post({"max_budget": 2.5}, path="/v1/budgets", headers=master)
            async with stage.client.patch(
                f"{stage.base}/v1/users/poor", json={"budget_id": made.json["budget_id"]}, headers=master
            ) as changed:
                assert changed.status == 200, await changed.text()
            assert (await stage.ask(session="poor", max_tokens=1)).status == 200
            refused = await stage.ask(session="poor", max_tokens=1)
            assert (refused.status, refused.error["type"]) == (403, "insufficient_quota")
            assert (await stage.ask(session="rich", max_tokens=1)).status == 200
            assert stage.balanced()

    play(scene())


def test_a_key_that_exists_is_judged_as_always(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, HELLO) as stage:
            master = {"Authorization": f"Bearer {MASTER}"}
            made = await stage.post({"allowed_models": ["stub:other"]}, path="/v1/keys", headers=master)
            answer = await stage.ask(headers={"Authorization": f"Bearer {made.json['key']}"})
            assert (answer.status, answer.error["code"]) == (403, "model_not_allowed")
            denied = await stage.post({"user_id": "x"}, path="/v1/users")
            assert (denied.status, denied.error["message"]) == (401, "Invalid master key")

    play(scene())


def test_providers_of_a_configuration_are_played_and_keep_names_prices_and_aliases(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "providers": {"openai": {"api_key": "sk-real-0123456789"}, "anthropic": {"api_key": "sk-ant-0123456789"}},
        "aliases": {"fast": ["openai:gpt-5", "anthropic:claude"]},
        "pricing": {"openai:gpt-5": {"input_price_per_million": 1, "output_price_per_million": 1}},
    }
    rules = "rules: [{when: {model: gpt-5}, reply: {error: 500}}, {reply: 'I am ${model}'}]"

    async def scene() -> None:
        async with Stage(tmp_path, rules, **config) as stage:
            assert said(await stage.ask(model="fast")) == "I am claude"
            row = stage.rows()[0]
            assert (row["selector"], row["provider"], row["model"]) == ("fast", "anthropic", "claude")
            assert said(await stage.ask(model="anything")) == "I am anything"

    play(scene())


@pytest.mark.parametrize(("path", "field"), [("/v1/chat/completions", "created"), ("/v1/responses", "created_at")])
def test_what_is_translated_has_the_time_of_the_script_too(tmp_path: Path, path: str, field: str) -> None:
    async def scene() -> None:
        async with Stage(tmp_path, HELLO, speaks=("anthropic-messages",)) as stage:
            body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "input": "hello"}
            answers = [await stage.post(body, path=path, headers={"X-Stub-Session": "same"}) for _ in "ab"]
            assert [answer.json[field] for answer in answers] == [1_767_225_600] * 2

    play(scene())


def test_nothing_can_leave_the_house(tmp_path: Path) -> None:
    async def scene() -> None:
        config: dict[str, Any] = {"providers": {"openai": {"api_key": "sk-real-0123456789"}}}
        async with Stage(tmp_path, HELLO, **config) as stage:
            assert type(stage.gateway.conversations.upstreams["live"]) is AbsentUpstream
            assert {each.via for each in stage.gateway.providers} == {"stub:openai", "stub:stub"}

    play(scene())
