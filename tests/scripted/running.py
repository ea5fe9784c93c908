"""A scripted server as a process of its own: until it is told to stop."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, Protocol


class Server(Protocol):
    """Listens while it is entered."""

    port: int

    @property
    def base_url(self) -> str: ...

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *error: Any) -> None: ...


async def run_until_stopped(server: Server, port_file: Path | None) -> None:
    """Enter `server`, write its port to a file and its address to standard output, leave it at SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        if port_file:  # renamed into place, so that a reader never sees half a number
            fresh = port_file.with_suffix(".new")
            fresh.write_text(str(server.port))
            os.replace(fresh, port_file)
        print(f"listening on {server.base_url}", flush=True)
        await stop.wait()
