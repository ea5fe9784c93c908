"""The words behind `stub`."""

import pytest

from otari.cli import USAGE_ERROR
from otari.stub.manual import STUB
from otari.stub.options import DIALECTS, Options, read_options


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", Options()),
        ("--script a --script b", Options(scripts=("a", "b"))),
        ("--script=a --lenient --seed 7", Options(scripts=("a",), lenient=True, seed=7)),
        ("--dialects chat,messages", Options(dialects=("chat", "messages"))),
        ("--port 9 -c f.yaml --host ::1", Options(port=9, config="f.yaml", host="::1")),
        ("--port-file p", Options(port_file="p", port=0)),
        ("--env-file e --port 5", Options(env_file="e", port=5)),
        ("--report r.xml -- pytest -x", Options(report="r.xml", port=0, command=("pytest", "-x"))),
        ("-- sh -c true -- --port", Options(port=0, command=("sh", "-c", "true", "--", "--port"))),
    ],
)
def test_words_are_read(words: str, expected: Options) -> None:
    assert read_options(words.split()) == expected
    assert expected.dialects == DIALECTS or "--dialects" in words


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--", "there is no command behind --"),
        ("--script", "argument --script: expected one argument"),
        ("--scr a", "unrecognized arguments: --scr a"),
        ("--port x", "argument --port: 'x' is not a port from 0 to 65535"),
        ("--port 65536", "is not a port"),
        ("--seed -1", "--seed"),
        ("--dialects chat,klingon", "'chat,klingon' is not a list out of chat, messages, responses, gemini"),
        ("--report r.txt", "'r.txt' must end with .json, or .xml for JUnit"),
        ("more", "unrecognized arguments: more"),
    ],
)
def test_wrong_words_are_one_line(words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_options(words.split())
    assert ended.value.code == USAGE_ERROR
    line = capsys.readouterr().err
    assert told in line
    assert line.startswith("otari: ")
    assert line.count("\n") == 1


def test_every_option_is_in_the_manual() -> None:
    for name in Options._fields:
        flag = {"scripts": "--script", "taping": "--mode", "command": "-- CMD"}.get(name, f"--{name.replace('_', '-')}")
        assert flag in STUB, flag
