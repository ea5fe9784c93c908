"""The built gateway in front of a real model: what its ledger says against what the model server itself counted.

`make e2e-real`. Needs only the repository's own virtual environment; the model server is installed into the cache of
the end-to-end tests when it is not there. Every process that this starts is ended by it.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # started as a file: the root, where `tests` lies, is not on the path

import model_server  # noqa: E402
from openai import OpenAI  # noqa: E402

from tests.e2e.gateway import Gateway  # noqa: E402
from tests.e2e.ledger import Row  # noqa: E402

PROVIDER = "local"
MAX_TOKENS = 48
INPUT_NANO, OUTPUT_NANO = 100, 400  # per token: 0.10 and 0.40 USD per million

_BODY: dict[str, Any] = {
    "model": f"{PROVIDER}:{model_server.MODEL}",
    "messages": [{"role": "user", "content": "Write two short sentences about a gateway to a garden."}],
    "max_tokens": MAX_TOKENS,
    # Not of OpenAI's API: it must reach the server as it is. Without its cache, the server reads every prompt whole.
    "extra_body": {"cache_prompt": False},
}

Answer = tuple[str, tuple[int, int] | None]  # the text, and the usage that the client was told


@dataclass(frozen=True)
class Measured:
    """One request: what the client, the server's counters and the ledger say of its tokens (prompt, answer)."""

    name: str
    asked: bool
    text: str
    told: tuple[int, int] | None
    counted: tuple[int, int]
    row: Row
    took_s: float

    @property
    def booked(self) -> tuple[int, int]:
        """What the ledger says."""
        return self.row["input_tokens"], self.row["output_tokens"]

    def problems(self) -> list[str]:
        """What does not agree; empty when all is well."""
        found = []
        if self.booked != self.counted:
            found.append(f"the ledger says {self.booked}, the server counted {self.counted}")
        if self.told is None and self.asked:
            found.append("the client was told no usage")
        elif self.told is not None and not self.asked:
            found.append("the client was told a usage that it did not ask for")
        elif self.told is not None and self.told != self.booked:
            found.append(f"the client was told {self.told}, the ledger says {self.booked}")
        if not self.text.strip():
            found.append("the answer is empty")
        end = (self.row["state"], self.row["status"], self.row["usage_source"], self.row["flags"])
        if end != ("settled", "success", "provider", ""):
            found.append(f"the row ended as {end}")
        cost = INPUT_NANO * self.counted[0] + OUTPUT_NANO * self.counted[1]
        if self.row["cost_nano"] != cost:
            found.append(f"the row costs {self.row['cost_nano']} nano-USD instead of {cost}")
        return found


def say(text: str) -> None:
    """One line of progress, at once."""
    print(text, flush=True)


def streamed(client: OpenAI, *, with_usage: bool) -> Answer:
    """The text and the usage of a streamed answer."""
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if with_usage else {}
    text, told = "", None
    for chunk in client.chat.completions.create(**_BODY, stream=True, **options):
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        if chunk.usage is not None:
            told = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    return text, told


def whole(client: OpenAI) -> Answer:
    """The text and the usage of an answer in one piece."""
    answer = client.chat.completions.create(**_BODY)
    usage = answer.usage
    told = None if usage is None else (usage.prompt_tokens, usage.completion_tokens)
    return answer.choices[0].message.content or "", told


def measure(server: model_server.ModelServer, gateway: Gateway) -> list[Measured]:
    """Three requests, one after the other, each with its row and what the server's counters gained."""
    asks: list[tuple[str, bool, Callable[[OpenAI], Answer]]] = [
        ("streamed, usage asked for", True, lambda client: streamed(client, with_usage=True)),
        ("streamed, no usage asked for", False, lambda client: streamed(client, with_usage=False)),
        ("in one piece", True, whole),
    ]
    results = []
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=60) as client:
        for number, (name, asked, ask) in enumerate(asks):
            say(f"asking: {name}")
            before, began = server.counters(), time.monotonic()
            text, told = ask(client)
            took_s = time.monotonic() - began
            after = server.counters()
            row = gateway.wait_quiet().usage()[number]
            counted = (after[0] - before[0], after[1] - before[1])
            results.append(Measured(name, asked, text, told, counted, row, took_s))
    return results


def report(results: list[Measured]) -> list[str]:
    """Print what was measured; all problems come back."""
    say(f"\n{'request':32}{'server counted':>16}{'ledger':>12}{'client':>12}{'nano-USD':>10}{'seconds':>9}")
    for one in results:
        told = "-" if one.told is None else "{} + {}".format(*one.told)
        counted, booked = ("{} + {}".format(*pair) for pair in (one.counted, one.booked))
        say(f"{one.name:32}{counted:>16}{booked:>12}{told:>12}{one.row['cost_nano']:>10}{one.took_s:>9.2f}")
    say(f"the model said: {results[0].text.strip()[:200]!r}\n")
    return [f"{one.name}: {problem}" for one in results for problem in one.problems()]


def main() -> int:
    """Install, start, measure, compare. 0 when everything agrees."""
    pyz = Path(os.environ.get("OTARI_PYZ") or ROOT / "otari.pyz").resolve()
    if not pyz.is_file():
        say(f"{pyz} is missing; `make build` makes it")
        return 1
    try:
        executable, model = model_server.install(say)
    except model_server.NotInstalled as error:
        say(str(error))
        return 1
    with tempfile.TemporaryDirectory(prefix="otari-e2e-real-") as temporary:
        folder = Path(temporary)
        say(f"loading {model.name} ({model.stat().st_size >> 20} MiB)")
        with model_server.ModelServer(executable, model, folder) as server:
            price = {"input_price_per_million": INPUT_NANO / 1000, "output_price_per_million": OUTPUT_NANO / 1000}
            config = {
                "providers": {PROVIDER: {"type": "llamacpp", "api_base": server.api_base}},
                "pricing": {f"{PROVIDER}:{model_server.MODEL}": price},
            }
            with Gateway(pyz, folder / "gateway", config) as gateway:
                results = measure(server, gateway)
                code = gateway.stop()
    problems = report(results)
    if code != 0:
        problems.append(f"the gateway ended with {code}")
    for problem in problems:
        say(f"PROBLEM {problem}")
    say("NOT OK" if problems else "OK: the ledger has the model server's own counts")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
