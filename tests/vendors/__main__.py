"""`python -m tests.vendors --port-file F`: OpenAI's batches as a process, until SIGTERM. See `halting.py`."""

import argparse
import asyncio
from pathlib import Path

from tests.scripted.running import run_until_stopped
from tests.vendors.halting import HaltingVendor


def main() -> None:
    """Listen on a loopback port, write its number to a file, and answer until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.vendors", description=main.__doc__)
    parser.add_argument("--port-file", type=Path, help="where to write the port once it is listened on")
    given = parser.parse_args()
    asyncio.run(run_until_stopped(HaltingVendor(), given.port_file))


if __name__ == "__main__":
    main()
