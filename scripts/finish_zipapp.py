"""Turns shiv's archive into otari.pyz: `python scripts/finish_zipapp.py RAW PREFLIGHT OUT`.

The result depends on nothing but the contents: entries are sorted, dated 1980-01-01 and have plain modes; the
build id, which names the folder that users unpack into, is a digest of everything in it. Compiled Python goes
in as well, in the form that is never compared with its source ("unchecked hash"): unpacking does not keep
file times, and a cache that is read-only could not be compiled into. Most of it lies in one file, which is
faster to unpack and to import from (`zipapp_modules.py`).
"""

import importlib.util
import json
import marshal
import sys
import sysconfig
import zipfile
from hashlib import sha256
from pathlib import Path

import zipapp_modules

UNPACKED = "site-packages/"
UNCHECKED_HASH = 0b01  # flags word of PEP 552
# These are imported from the archive itself, where Python looks for compiled files beside the source.
READ_IN_PLACE = (
    "__main__.py",
    "_bootstrap/",
    "zipapp_modules.py",
    "site-packages/otari/__init__.py",
    "site-packages/otari/cli.py",
)
# Packages that no start needs: they are loaded at their first use, or in a process of their own.
NEEDED_LATER = ("pypdf/", "regex/", "tiktoken/", "tiktoken_ext/")
# What is imported without the file of modules, and so is compiled beside its source: these packages, and what the
# process loads that reads documents. It is told nothing but where to look.
READ_APART = (*NEEDED_LATER, "otari/__init__.py", "otari/domain/", "otari/extraction/")


def code_of(name: str, source: bytes) -> bytes:
    """The marshalled code of `source`. The name in it is relative."""
    code = compile(source, name.removeprefix(UNPACKED), "exec", dont_inherit=True, optimize=0)
    return marshal.dumps(code)


def compiled(name: str, source: bytes) -> bytes:
    """A .pyc file for `source`. The importer puts the real name in."""
    flags = UNCHECKED_HASH.to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source) + code_of(name, source)


def with_compiled(entries: dict[str, bytes]) -> dict[str, bytes]:
    """`entries` and a compiled file for every Python file that is imported from its folder or from the archive."""
    result = dict(entries)
    for name in sorted(entries):
        place = name.removeprefix(UNPACKED)
        if place != name and place.startswith(READ_APART) and name.endswith(".py"):
            folder, _, file = name.rpartition("/")
            cached = f"{folder}/__pycache__/{file[:-3]}.{sys.implementation.cache_tag}.pyc"
            result[cached] = compiled(name, entries[name])
        if name.startswith(READ_IN_PLACE) and name.endswith(".py"):
            result[name + "c"] = compiled(name, entries[name])
    return result


def modules_file(entries: dict[str, bytes]) -> bytes:
    """The file with the code of all modules that a start may need."""
    codes = {}
    for name in sorted(entries):
        place = name.removeprefix(UNPACKED)
        if place != name and name.endswith(".py") and not place.startswith(NEEDED_LATER):
            codes[place[:-3]] = code_of(name, entries[name])
    doubled = [name for name in entries if name.endswith(".so") and name[len(UNPACKED) :].split(".")[0] in codes]
    if doubled:
        raise ValueError(f"{', '.join(doubled)} would not be found: there is a Python file of that name")
    return zipapp_modules.packed(codes)


def build_id(entries: dict[str, bytes]) -> str:
    """A digest of all that is unpacked: names and contents."""
    digest = sha256()
    for name in sorted(entries):
        if name.startswith(UNPACKED):
            digest.update(f"{name}\0{len(entries[name])}\0".encode())
            digest.update(entries[name])
    return digest.hexdigest()[:16]


def filled(preflight: str, entries: dict[str, bytes], build: str) -> bytes:
    """The source of `__main__.py`: the preflight, knowing what it was built for."""
    files = sum(1 for name in entries if name.startswith(UNPACKED) and not name.endswith(".pyc"))
    words = {
        "CACHE_TAG": sys.implementation.cache_tag,
        "MULTIARCH": sysconfig.get_config_var("MULTIARCH") or "",
        "BUILD_ID": build,
        "FILES": str(files),
    }
    for word, value in words.items():
        preflight = preflight.replace(f"@{word}@", value)
    return preflight.encode()


def write(path: Path, entries: dict[str, bytes]) -> None:
    """Write the archive, executable, the same for the same entries."""
    with path.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w") as archive:
            for name in sorted(entries):
                entry = zipfile.ZipInfo(name)
                entry.create_system = 3  # Unix, wherever it is built
                entry.external_attr = 0o100644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, entries[name], compresslevel=9)
    path.chmod(0o755)


def main() -> int:
    if len(sys.argv) != 4:
        print("usage: finish_zipapp.py RAW PREFLIGHT OUT", file=sys.stderr)
        return 2
    raw, preflight, out = map(Path, sys.argv[1:])
    with zipfile.ZipFile(raw) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    links = [name for name in entries if name.endswith(".pth")]
    if links:
        print(f"refused: {', '.join(links)} would run code at every start", file=sys.stderr)
        return 1
    del entries["__main__.py"]
    entries["zipapp_modules.py"] = Path(zipapp_modules.__file__).read_bytes()
    entries |= with_compiled(entries) | {UNPACKED + zipapp_modules.NAME: modules_file(entries)}
    build = build_id(entries)
    settings = json.loads(entries["environment.json"]) | {
        "build_id": build,
        "built_at": "1980-01-01 00:00:00",
    }
    entries["environment.json"] = json.dumps(settings, sort_keys=True).encode()
    entries |= with_compiled({"__main__.py": filled(preflight.read_text(), entries, build)})
    write(out, entries)
    return 0


if __name__ == "__main__":
    sys.exit(main())
