"""`/metrics` of the whole gateway: off unless wanted, and the same numbers as in the ledger."""

import re
from pathlib import Path

from tests.flows.house import House, chat, play

PRICE = {"stub:echo": {"input_price_per_million": 3, "output_price_per_million": 15}}


def value(text: str, name: str, **labels: str) -> str:
    """The value of the one sample with this name and these labels."""
    wanted = [f'{label}="{told}"' for label, told in labels.items()]
    (found,) = [
        line for line in text.splitlines() if re.match(rf"{name}[{{ ]", line) and all(label in line for label in wanted)
    ]
    return found.rpartition(" ")[2]


def test_nothing_is_told_unless_it_is_wanted(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            assert (await house.get("/metrics")).status == 404

    play(scene())


def test_it_needs_no_key_and_speaks_the_text_format(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, enable_metrics=True) as house:
            answer = await house.get("/metrics")
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert float(value(answer.body.decode(), "process_resident_memory_bytes")) > 1_000_000

    play(scene())


def test_requests_are_told_by_the_template_of_their_route(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, enable_metrics=True) as house:
            key = {"Authorization": f"Bearer {house.key}"}
            for path in ("/v1/models/stub:nothing", "/api/v1/models/stub:nothing", "/v1/models/a/b"):
                assert (await house.get(path, **key)).status == 404
            assert (await house.get("/v1/unheard-of")).status == 404
            text = (await house.get("/metrics")).body.decode()
            counted = value(text, "otari_requests_total", route="/v1/models/{model_id}", status="4xx")
            assert counted == "3"
            assert value(text, "otari_requests_total", route="other") == "1"
            assert "nothing" not in text
            assert "unheard-of" not in text

    play(scene())


def test_tokens_and_costs_are_those_of_the_ledger(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, enable_metrics=True, pricing=PRICE) as house:
            for number in range(3):
                assert (await house.post(chat(text="word " * (number + 1), stream=number == 2))).status == 200
            assert (await house.post(chat("stub:echo", messages="no list"))).status == 400
            await house.eventually(house.balanced)
            rows = house.rows()
            text = (await house.get("/metrics")).body.decode()
            labels = {"provider": "stub", "model": "echo"}
            nano = sum(row["cost_nano"] for row in rows)
            assert nano > 0
            assert value(text, "otari_cost_usd_total", **labels) == f"0.{nano:09d}"
            for kind in ("input", "output"):
                total = sum(row[f"{kind}_tokens"] for row in rows)
                assert value(text, "otari_tokens_total", kind=kind, **labels) == str(total)
            assert value(text, "otari_requests_total", route="/v1/chat/completions", status="2xx") == "3"
            assert value(text, "otari_requests_total", route="/v1/chat/completions", status="4xx") == "1"

    play(scene())


def test_the_ledger_tells_how_it_is(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path, enable_metrics=True) as house:
            before = (await house.get("/metrics")).body.decode()
            assert (await house.post(chat())).status == 200
            after = (await house.get("/metrics")).body.decode()
            for name in ("otari_ledger_commits_total", "otari_ledger_operations_total"):
                assert int(value(after, name)) > int(value(before, name))
            assert value(after, "otari_ledger_waiting") == "0"
            assert value(after, "otari_ledger_healthy") == "1"

    play(scene())
