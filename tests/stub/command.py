"""Running `otari stub` as a process of its own, from the tree, against small programs."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

RULES = {"stub": 1, "rules": [{"id": "hi", "when": {"user": "hello"}, "reply": "Hello from ${session}"}]}
TIMEOUT_S = 60

# What a client does, with the standard library alone: asks and prints the text, or the status of a refusal.
ASK = """
import json, os, sys, urllib.error, urllib.request
body = {"model": "gpt-x", "messages": [{"role": "user", "content": sys.argv[1]}]}
request = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(),
    {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"})
try:
    print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
except urllib.error.HTTPError as error:
    print(error.code)
"""


def asking(text: str) -> list[str]:
    """A command that asks the stub."""
    return [sys.executable, "-c", ASK, text]


def script_in(folder: Path, rules: Mapping[str, object] = RULES, name: str = "script.yaml") -> Path:
    """A script file."""
    path = folder / name
    path.write_bytes(orjson.dumps(rules))
    return path


def stub(*words: str | Path, **env: str) -> list[str]:
    """The command line of a stub."""
    return [sys.executable, "-m", "otari", "stub", *map(str, words)]


def run(words: Sequence[str], folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end, in `folder`, with temporary files in it too."""
    (folder / "tmp").mkdir(exist_ok=True)
    around = {**os.environ, "TMPDIR": str(folder / "tmp"), **env}
    return subprocess.run(words, cwd=folder, env=around, capture_output=True, text=True, timeout=TIMEOUT_S)
