"""The command that runs against the stub: started, sent the signals that we get, and waited for."""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence

EXIT_CANNOT_RUN = 126
EXIT_NOT_FOUND = 127
_BY_SIGNAL = 128
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


async def run_command(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run `command` to its end; its exit code comes back, 128 and the signal when one ended it.

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

    def forward(number: signal.Signals) -> None:
        if child.returncode is None:
            child.send_signal(number)

    for number in _FORWARDED:
        loop.add_signal_handler(number, forward, number)
    if sys.stdin is not None and sys.stdin.isatty():
        loop.add_signal_handler(signal.SIGINT, lambda: None)
    else:
        loop.add_signal_handler(signal.SIGINT, forward, signal.SIGINT)
    code = await child.wait()
    return _BY_SIGNAL - code if code < 0 else code


def _failed(code: int, line: str) -> int:
    sys.stderr.write(f"otari: {line}\n")
    return code
