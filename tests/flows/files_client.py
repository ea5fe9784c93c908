"""A client of `/v1/files` for tests, and forms as bytes, for those that no library would send."""

import contextlib
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.flows.house import MASTER, Answer, House

BOUNDARY = "xYzZY"
CRLF = b"\r\n"


def part(name: str | None, content: bytes, filename: str | None = None, *more: str) -> bytes:
    """One part of a form, from its boundary to its last line break."""
    told = "form-data" + (f'; name="{name}"' if name is not None else "")
    told += f'; filename="{filename}"' if filename is not None else ""
    lines = [f"Content-Disposition: {told}", *more]
    return f"--{BOUNDARY}\r\n".encode() + "".join(f"{line}\r\n" for line in lines).encode() + CRLF + content + CRLF


def form(*parts: bytes) -> bytes:
    """A whole form."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class Files:
    """The routes of files, asked with the first key of a house unless another one is named."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def ask(
        self,
        method: str,
        path: str = "",
        *,
        key: str | None = None,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        **headers: Any,
    ) -> Answer:
        """One request below `/v1/files`; `_` in the names of headers stands for `-`."""
        sent = {"Authorization": f"Bearer {key or self._house.key}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._house.request(method, f"/v1/files{path}", sent, params=query, data=body)

    async def send(
        self,
        content: bytes = b"hello world!",
        name: str = "f.txt",
        media_type: str = "text/plain",
        *,
        fields: Iterable[tuple[str, str]] = (),
        key: str | None = None,
        query: Mapping[str, str] | None = None,
        **headers: Any,
    ) -> Answer:
        """Send a file, its fields before it."""
        body = aiohttp.FormData()
        for field, value in fields:
            body.add_field(field, value)
        body.add_field("file", io.BytesIO(content), filename=name, content_type=media_type)
        return await self.ask("POST", key=key, query=query, body=body, **headers)

    async def send_raw(self, body: bytes, content_type: str | None = None, **headers: Any) -> Answer:
        """Send these bytes as a form."""
        content_type = content_type or f"multipart/form-data; boundary={BOUNDARY}"
        return await self.ask("POST", body=io.BytesIO(body), Content_Type=content_type, **headers)

    async def another_user(self, user: str = "bob") -> str:
        """A key of another user."""
        answer = await self._house.post(
            {"user_id": user}, path="/v1/keys", headers={"Authorization": f"Bearer {MASTER}"}
        )
        return str(answer.json["key"])

    @property
    def folder(self) -> Path:
        """Where their bytes lie."""
        return self._house.folder / "otari-files"

    @property
    def kept(self) -> set[str]:
        """What lies there."""
        with contextlib.suppress(FileNotFoundError):
            return set(os.listdir(self.folder)) - {".lock", "batches"}
        return set()
