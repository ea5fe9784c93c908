"""`python -m tests.scripted --port-file F --journal F`: the scripted provider as a process, until SIGTERM."""

import argparse
import asyncio
import os
import signal
from pathlib import Path

from tests.scripted.provider import ScriptedProvider


def main() -> None:
    """Listen on a loopback port, write its number to a file, and answer until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.scripted", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="port to listen on (0 = a free one)")
    parser.add_argument("--port-file", type=Path, help="where to write the port once it is listened on")
    parser.add_argument("--journal", type=Path, help="where to append a line per start and end of a request")
    given = parser.parse_args()
    asyncio.run(_serve(given.journal, given.port, given.port_file))


async def _serve(journal: Path | None, port: int, port_file: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ScriptedProvider(journal, port) as provider:
        if port_file:  # renamed into place, so that a reader never sees half a number
            fresh = port_file.with_suffix(".new")
            fresh.write_text(str(provider.port))
            os.replace(fresh, port_file)
        print(f"listening on {provider.base_url}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    main()
