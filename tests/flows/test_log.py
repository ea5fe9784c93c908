"""What the gateway's process logs holds no secret that the gateway knows, whoever logs it."""

import logging
from pathlib import Path

import pytest

from tests.flows.house import MASTER, House, play


def test_a_secret_is_masked_in_the_log_from_the_start_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("some.library")

    async def scene() -> None:
        log.warning("before %s", MASTER)  # no other test's gateway may have cleaned it
        async with House(tmp_path):
            log.warning("within %s", MASTER)

    play(scene())
    assert [record.getMessage() for record in caplog.records] == [f"before {MASTER}", "within ***"]
