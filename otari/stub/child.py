"""The command that runs against the stub: started, sent the signals that we get, and waited for."""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

EXIT_CANNOT_RUN = 126
EXIT_NOT_FOUND = 127
_BY_SIGNAL = 128
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_FORWARDED = (*_ENDING, signal.SIGUSR1, signal.SIGUSR2)


class Ended(NamedTuple):
    """How a command ended: its exit code, and whether somebody asked it to end before it was done."""

    code: int
    interrupted: bool = False


async def run_command(command: Sequence[str], env: Mapping[str, str]) -> Ended:
    """Run `command` to its end; its exit code is 128 and the signal when one ended it.

    Signals go on to it, so that it decides how to end; from a terminal it has got the interrupt already. One line on
    standard error when it can not be started: 127 not found, 126 not to be run.
    """
    loop = asyncio.get_running_loop()
    try:
        child = await asyncio.create_subprocess_exec(*command, env=env)
    except FileNotFoundError:
        return _failed(EXIT_NOT_FOUND, f"command not found: {command[0]}")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return _failed(EXIT_CANNOT_RUN, f"{command[0]} can not be run: {reason}")

    at_terminal = sys.stdin is not None and sys.stdin.isatty()
    came: set[signal.Signals] = set()

    def forward(number: signal.Signals) -> None:
        came.add(number)
        if child.returncode is None and not (at_terminal and number == signal.SIGINT):
            child.send_signal(number)

    for number in _FORWARDED:
        loop.add_signal_handler(number, forward, number)
    code = await child.wait()
    return Ended(_BY_SIGNAL - code if code < 0 else code, not came.isdisjoint(_ENDING))


def _failed(code: int, line: str) -> Ended:
    sys.stderr.write(f"otari: {line}\n")
    return Ended(code)
