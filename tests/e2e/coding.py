"""A coding client, headless: a home and a work folder of its own, and runs that can reach nothing but a gateway."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.outside import Outside
from tests.e2e.process import Process, bare_env

RUN_S = 120.0  # a first run on a cold disk takes up to 15 s, later ones 1 to 6


@dataclass(frozen=True, slots=True)
class Run:
    """How one run of a client ended. `reached` are the hosts that it tried to reach beside the gateway."""

    code: int
    out: str
    err: str
    reached: tuple[str, ...]


class CodingClient(ABC):
    """The executable of a client in `folder`; a subclass writes its settings and says with which words it is run."""

    @abstractmethod
    def run(self, prompt: str) -> Run:
        """Ask it something, without anybody at the keyboard."""

    def __init__(self, name: str, executable: Path, folder: Path) -> None:
        self.work = folder / "work"
        self.home = folder / "home"
        self._name = name
        self._executable = executable
        self._folder = folder
        self.work.mkdir(parents=True)
        self.home.mkdir()

    def _run(self, *words: str, **env: str) -> Run:
        """One run in the work folder, `env` added to a bare environment. Fails after two minutes."""
        for kind in ("out", "err"):  # of the run before
            (self._folder / f"{self._name}.{kind}").unlink(missing_ok=True)
        with Outside() as outside:
            whole = bare_env(self.home, **outside.env(), **env)
            command: list[str | Path] = [self._executable, *words]
            with Process(self._name, command, self._folder, whole, cwd=self.work) as process:
                code = process.wait(RUN_S)
                return Run(code, process.out.read_text(), process.err.read_text(), tuple(outside.reached))
