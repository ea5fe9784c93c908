"""`python -m tests.scripted --port-file F --journal F`: the scripted provider as a process, until SIGTERM."""

import argparse
import asyncio
from pathlib import Path

from tests.scripted.provider import ScriptedProvider
from tests.scripted.running import run_until_stopped


def main() -> None:
    """Listen on a loopback port, write its number to a file, and answer until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.scripted", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="port to listen on (0 = a free one)")
    parser.add_argument("--port-file", type=Path, help="where to write the port once it is listened on")
    parser.add_argument("--journal", type=Path, help="where to append a line per start and end of a request")
    given = parser.parse_args()
    asyncio.run(run_until_stopped(ScriptedProvider(given.journal, given.port), given.port_file))


if __name__ == "__main__":
    main()
