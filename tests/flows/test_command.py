"""The account commands beside a running gateway: reading its ledger, writing through it, and both saying the same."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from otari.command import errand
from tests.flows.house import MASTER, House, chat, play

PRICE = {"input_price_per_million": 2.5, "output_price_per_million": 10}


class Beside:
    """A command line on the machine of a running house, with the house's own configuration."""

    def __init__(self, house: House, capsys: pytest.CaptureFixture[str]) -> None:
        self._house = house
        self._capsys = capsys

    async def run(self, *words: str, remote: bool = False, code: int = 0, key: str = MASTER) -> str:
        """What a command writes to standard output; `remote` knows nothing but the address."""
        environ = {"OTARI_MASTER_KEY": key} if key else {}
        if remote:
            environ["OTARI_URL"] = self._house.base
        else:
            config = {name: value for name, value in self._house.config.items() if name != "master_key"}
            environ |= {"OTARI_CONFIG_YAML": orjson.dumps(config).decode(), "OTARI_PORT": str(self._house.port)}
        self._capsys.readouterr()
        ended = await asyncio.to_thread(errand.run, words, environ)
        self.out, self.err = self._capsys.readouterr()
        assert ended == code, self.err
        return self.out

    async def json(self, *words: str, remote: bool = False) -> Any:
        return orjson.loads(await self.run(*words, "--json", remote=remote))

    async def both(self, *words: str) -> Any:
        """The document of a reading command, which must be the same from the file and from the gateway."""
        near, far = await self.json(*words), await self.json(*words, remote=True)
        assert shared(near, far) == shared(far, near)
        return near


def shared(doc: Any, other: Any) -> Any:
    """What of `doc` is in `other` too: the API may tell more, and its fields for older clients stay there."""
    if isinstance(doc, list) and isinstance(other, list):
        assert len(doc) == len(other)
        return [shared(mine, its) for mine, its in zip(doc, other, strict=True)]
    if isinstance(doc, dict) and isinstance(other, dict):
        return {name: shared(doc[name], other[name]) for name in sorted(doc.keys() & other.keys())}
    return doc


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `.env` file of the folder in which the tests run."""
    monkeypatch.chdir(tmp_path)


def test_what_was_asked_can_be_read_and_explained_while_the_gateway_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene() -> None:
        async with House(tmp_path, pricing={"stub:echo": PRICE}) as house:
            beside = Beside(house, capsys)
            assert (await house.post(chat(text="Hello there"))).status == 200
            (row,) = house.rows()
            (listed,) = await beside.json("usage", "list")
            bill = await beside.json("usage", "explain", row["id"])
            (total,) = await beside.json("usage", "totals", "--by", "model")
        assert listed["id"] == row["id"]
        assert listed["endpoint"] == "/v1/chat/completions"
        assert bill["cost_nano_usd"] == bill["rounded_nano_usd"] == row["cost_nano"] > 0
        assert (bill["price_source"], bill["usage_source"]) == ("config", "stub")
        assert sum(line["amount_pico"] for line in bill["lines"]) == bill["sum_pico_usd"]
        assert (total["name"], total["requests"]) == ("stub:echo", 1)

    play(scene())


def test_without_the_master_key_a_ledger_in_use_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            beside = Beside(house, capsys)
            assert await beside.run("keys", "create", code=3, key="") == ""
            assert "in use by process" in beside.err
            assert len(house.query("SELECT key_id FROM keys")) == 1

    play(scene())


def test_a_key_made_beside_the_gateway_works_at_once_until_it_is_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            beside = Beside(house, capsys)
            await beside.run("users", "create", "alice/ü 🙂", "--alias", "Alice")
            first = (await beside.run("keys", "create", "--user", "alice/ü 🙂", "--name", "laptop")).strip()
            key_id = (await beside.json("keys", "list"))[-1]["id"]
            assert await status(house, first) == 200
            second = (await beside.run("keys", "rotate", key_id)).strip()
            assert await status(house, first) == 401
            assert await status(house, second) == 200
            await beside.run("keys", "revoke", key_id)
            assert await status(house, second) == 401
            await beside.run("keys", "change", key_id, "--active", "yes")
            await beside.run("users", "block", "alice/ü 🙂")
            assert await status(house, second) == 403
            await beside.run("users", "delete", "alice/ü 🙂")
            assert await status(house, second) == 401
            await beside.run("keys", "delete", key_id, remote=True)
            await beside.run("keys", "show", key_id, code=1)
            assert beside.err == f"otari: API key with id '{key_id}' not found\n"
            assert {row["user_id"] for row in house.rows()} == {"alice/ü 🙂"}

    play(scene())


async def status(house: House, token: str) -> int:
    return (await house.post(chat(), headers={"Authorization": f"Bearer {token}"})).status


def test_a_price_set_beside_the_gateway_is_charged_from_now_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            beside = Beside(house, capsys)
            await beside.run("prices", "set", "stub/echo", "--input", "1000", "--output", "0.000001")
            assert (await house.post(chat())).status == 200
            (row,) = house.rows()
            assert (row["price_source"], row["cost_nano"] >= 1_000_000) == ("api", True)
            assert await beside.both("prices", "show", "stub:echo")
            assert await beside.both("prices", "history", "stub:echo")
            await beside.run("prices", "delete", "stub:echo", "--all")
            assert await beside.both("prices", "list") == []
            await beside.run("prices", "show", "stub:echo", code=1)
            near = beside.err
            await beside.run("prices", "show", "stub:echo", code=1, remote=True)
            assert near == beside.err == "otari: Pricing for model 'stub:echo' not found\n"

    play(scene())


def test_a_budget_set_beside_the_gateway_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def scene() -> None:
        async with House(tmp_path, pricing={"stub:echo": PRICE}) as house:
            beside = Beside(house, capsys)
            made = await beside.json("budgets", "create", "--name", "team", "--max", "0.000000001", "--align", "month")
            user_id = house.query("SELECT user_id FROM users")[0]["user_id"]
            await beside.run("users", "change", user_id, "--budget", made["budget_id"])
            assert (await house.post(chat())).status == 403
            await beside.run("budgets", "delete", made["budget_id"], code=1)
            assert user_id in beside.err
            await beside.run("budgets", "change", made["budget_id"], "--max", "none", "--align", "none")
            assert (await house.post(chat())).status == 200
            (budget,) = await beside.both("budgets", "list")
            assert (budget["max_budget"], budget["reset_alignment"]) == (None, None)

    play(scene())


def test_the_file_and_the_gateway_tell_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def scene() -> None:
        async with House(tmp_path, pricing={"stub:echo": PRICE}) as house:
            beside = Beside(house, capsys)
            for text in ("one", "two", "three"):
                assert (await house.post(chat(text=text))).status == 200
            (key,) = await beside.both("keys", "list")
            assert await beside.both("keys", "show", key["id"])
            (user,) = await beside.both("users", "list")
            assert await beside.both("users", "show", user["user_id"])
            assert len(await beside.both("usage", "list", "--limit", "2")) == 2
            assert len(await beside.both("usage", "list", "--since", "1h", "--user", user["user_id"])) == 3
            assert await beside.both("usage", "list", "--until", "1h") == []
            assert len(await beside.both("prices", "list")) == 1

    play(scene())


def test_a_wrong_master_key_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            beside = Beside(house, capsys)
            await beside.run("keys", "list", remote=True, code=1, key="mk-wrong-0123456789abcdef")
            assert beside.err.count("\n") == 1
            assert "OTARI_MASTER_KEY" in beside.err
            assert "mk-wrong" not in beside.err

    play(scene())
