"""What the terminal says of a gateway before and when it serves: alone, or connected to a platform."""

import orjson
import pytest

from otari.config import load
from otari.report import check_report
from otari.welcome import Welcome, welcome_text

TOKEN = "gw_canary-token-1234567890"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_check_says_that_the_gateway_is_connected_and_where(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    loaded = load(None, {"OTARI_AI_TOKEN": TOKEN, "PLATFORM_BASE_URL": "https://platform.example/v1"})
    assert check_report(loaded, (), {}, as_json=as_json) == 0
    said = capsys.readouterr().out
    assert TOKEN not in said
    if as_json:
        assert orjson.loads(said)["platform"] == "https://platform.example/v1"
        return
    assert "platform       https://platform.example/v1 decides and accounts: this gateway is connected\n" in said
    assert "reports        sqlite:///./otari.db (durability full)\n" in said
    assert "provider " not in said
    assert "pricing" not in said


@pytest.mark.parametrize("as_json", [False, True])
def test_a_check_of_a_gateway_that_decides_itself(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    assert check_report(load(None, {}), (), {}, as_json=as_json) == 0
    said = capsys.readouterr().out
    if as_json:
        assert orjson.loads(said)["platform"] is None
        return
    assert "ledger         sqlite:///./otari.db (durability full)\n" in said
    assert "provider       none: " in said
    assert "platform" not in said


def test_the_greeting_of_a_connected_gateway_names_the_platform_and_no_providers() -> None:
    facts = Welcome(
        version="1",
        address="http://127.0.0.1:8000",
        ledger="otari.db (durability full)",
        providers=(),
        platform="https://platform.example/v1",
        warnings=["something to know"],
    )
    lines = welcome_text(facts, colour=False).splitlines()
    assert lines == [
        "otari 1 serves http://127.0.0.1:8000",
        "  platform   https://platform.example/v1 decides and accounts; clients send its user tokens as bearer tokens",
        "  reports    otari.db (durability full)",
        "  note       something to know",
    ]
