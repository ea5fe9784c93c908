"""Answers that break off, silence, and leaving: nothing hangs, and the provider stops."""

import asyncio
from dataclasses import replace

import pytest

from otari.domain.errors import Kind
from tests.upstreams.live_world import PATIENT, World, call, play, soon_idle


def test_a_stream_that_is_cut_gives_what_came_and_then_fails() -> None:
    async def scene(world: World) -> None:
        got, error = await world.broken("cut_mid_event-n3")
        assert (error.kind, error.code, error.upstream_status) == (Kind.UPSTREAM, "upstream_disconnected", 200)
        assert error.message == "LLM provider error (the answer of 'acme' broke off)"
        assert b"w2 " in got
        assert got.endswith(b'"choi')

    play(scene)


def test_a_document_that_is_cut_fails() -> None:
    async def scene(world: World) -> None:
        error = await world.failure("cut_body")
        assert (error.kind, error.code) == (Kind.UPSTREAM, "upstream_disconnected")

    play(scene)


def test_a_stream_that_just_ends_just_ends() -> None:
    async def scene(world: World) -> None:
        body = await world.stream("eof_without_done-n2")
        assert b"w1 " in body
        assert b"[DONE]" not in body

    play(scene)


def test_silence_within_a_stream_is_a_timeout_after_what_came() -> None:
    async def scene(world: World) -> None:
        got, error = await world.broken("stall_after_2", timeouts=replace(PATIENT, silence_s=0.05))
        assert (error.kind, error.code) == (Kind.UPSTREAM_TIMEOUT, "upstream_timeout")
        assert error.message == "LLM provider timeout ('acme' sent nothing for 0.05 s)"
        assert b"w1 " in got
        await soon_idle(world)

    play(scene)


@pytest.mark.parametrize("stream", [False, True])
def test_silence_before_the_answer_is_a_timeout(stream: bool) -> None:
    async def scene(world: World) -> None:
        error = await world.failure("slow_headers-60000", stream, timeouts=replace(PATIENT, silence_s=0.05))
        assert (error.kind, error.retryable) == (Kind.UPSTREAM_TIMEOUT, True)
        await soon_idle(world)

    play(scene)


def test_leaving_a_stream_stops_the_provider() -> None:
    async def scene(world: World) -> None:
        async with world.live.send(world.attempt, call("ok-n100000-i1", stream=True)) as reply:
            await anext(aiter(reply.chunks()))
            assert world.provider.open == 1
        await soon_idle(world)
        assert world.provider.requests[0].state == "aborted"

    play(scene)


@pytest.mark.parametrize("model", ["stall_after_2", "slow_headers-60000"])
def test_a_cancelled_caller_stops_the_provider(model: str) -> None:
    async def scene(world: World) -> None:
        answering = asyncio.Event()

        async def listen() -> None:
            async for _ in world.pieces(model):
                answering.set()

        task = asyncio.create_task(listen())
        await (answering.wait() if model.startswith("stall") else world.provider.busy())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await soon_idle(world)
        assert world.provider.requests[0].state == "aborted"

    play(scene)


def test_leaving_an_answer_unread_stops_the_provider_and_costs_only_its_connection() -> None:
    async def scene(world: World) -> None:
        async with world.live.send(world.attempt, call("ok-n100000-i1", stream=True)):
            pass
        await soon_idle(world)
        await world.ask("ok")
        await world.ask("ok")
        left, second, third = (arrival.peer_port for arrival in world.provider.requests)
        assert left != second
        assert second == third

    play(scene)
