"""The help text tells every verb and option that there is, and can be had before anything is loaded."""

import importlib
import os
import subprocess
import sys

import pytest

from otari.cli import HELP
from otari.command.manual import MANUAL, SHARED, page
from otari.command.parsing import Parser
from otari.verbs import NOUNS
from tests.command.ground import Desk, furnish


@pytest.mark.parametrize("noun", NOUNS)
def test_every_verb_and_option_is_in_the_manual(noun: str) -> None:
    text = MANUAL[noun]
    assert f"  {noun} " in HELP
    for name, verb in importlib.import_module(f"otari.command.{noun}").VERBS.items():
        assert f"{noun} {name}" in text
        parser = Parser()
        verb.options(parser)
        for action in parser._actions:
            for flag in action.option_strings:
                assert flag in text, f"{noun} {name} {flag}"


def test_the_shared_options_are_in_the_manual() -> None:
    for flag in ("-c, --config", "--url", "--json", "--local", "OTARI_URL", "OTARI_MASTER_KEY"):
        assert flag in SHARED


@pytest.mark.parametrize("words", [["keys", "--help"], ["help", "keys"], ["keys", "create", "-h"]])
def test_help_for_a_noun_loads_nothing(words: list[str]) -> None:
    code = (
        "import sys; before = set(sys.modules); from otari.cli import main; main();"
        " print(sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout == page("keys")
    assert done.stderr == "['otari', 'otari.cli', 'otari.command', 'otari.command.manual']\n"


def test_listing_keys_loads_no_server_and_no_event_loop(desk: Desk) -> None:
    desk.write(furnish)
    code = (
        "import sys; from otari.verbs import run; assert run(['keys', 'list']) == 0;"
        " print({'aiohttp', 'asyncio', 'http.client', 'ssl', 'tiktoken'} & set(sys.modules), file=sys.stderr)"
    )
    environ = {**os.environ, **desk.environ}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
    assert "laptop" in done.stdout
    assert done.stderr == "set()\n"
