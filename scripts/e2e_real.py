"""The built gateway in front of a real model: what its ledger says against what the model server itself counted, for
every client dialect over every dialect of the server.

`make e2e-real`. Needs only the repository's own virtual environment; the model server is installed into the cache of
the end-to-end tests when it is not there. Every process that this starts is ended by it.
"""

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # started as a file: the root, where `tests` lies, is not on the path

import model_server  # noqa: E402
from real_clients import ASKS, Ask  # noqa: E402

from tests.e2e.gateway import Gateway  # noqa: E402
from tests.e2e.ledger import Row  # noqa: E402

DIALECTS = ("chat", "messages", "responses")  # the model server speaks all three: one provider for each
INPUT_NANO, OUTPUT_NANO = 100, 400  # per token: 0.10 and 0.40 USD per million


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


def measure(server: model_server.ModelServer, gateway: Gateway) -> list[Measured]:
    """Every client over every dialect of the server, one after the other: each row, and what the counters gained."""
    results: list[Measured] = []
    for dialect in DIALECTS:
        for ask in ASKS:
            say(f"asking: {ask.name} over {dialect}")
            results.append(_one(server, gateway, ask, dialect, len(results)))
    return results


def _one(server: model_server.ModelServer, gateway: Gateway, ask: Ask, dialect: str, number: int) -> Measured:
    before, began = server.counters(), time.monotonic()
    text, told = ask.run(gateway.url, gateway.key, f"{dialect}:{model_server.MODEL}")
    took_s = time.monotonic() - began
    after = server.counters()
    row = gateway.wait_quiet().usage()[number]
    counted = (after[0] - before[0], after[1] - before[1])
    return Measured(f"{ask.name} over {dialect}", ask.wants_usage, text, told, counted, row, took_s)


def report(results: list[Measured]) -> list[str]:
    """Print what was measured; all problems come back."""
    say(f"\n{'request':46}{'server counted':>16}{'ledger':>12}{'client':>12}{'nano-USD':>10}{'seconds':>9}")
    for one in results:
        told = "-" if one.told is None else "{} + {}".format(*one.told)
        counted, booked = ("{} + {}".format(*pair) for pair in (one.counted, one.booked))
        say(f"{one.name:46}{counted:>16}{booked:>12}{told:>12}{one.row['cost_nano']:>10}{one.took_s:>9.2f}")
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
                "providers": {
                    dialect: {"type": "llamacpp", "api_base": server.api_base, "dialects": [dialect]}
                    for dialect in DIALECTS
                },
                "pricing": {f"{dialect}:{model_server.MODEL}": price for dialect in DIALECTS},
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
