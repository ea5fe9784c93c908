"""Takes debug and linker symbols out of Linux shared libraries: `python scripts/shrink_elf.py DIRECTORY`.

Several wheels carry libraries of which three quarters are symbols that only a debugger reads. `strip` would
remove them, but is not on every machine and does not give the same bytes in every version; this does, with
nothing but Python.

The dynamic loader reads the ELF header, the program headers and the segments that these name, never the
sections. So whatever lies outside is blanked (it compresses to nothing) or, at the end of the file, cut off,
and the section table is declared absent. The layout is that of the ELF specification (System V ABI, chapters
4 and 5).
"""

import struct
import sys
from pathlib import Path

MAGIC = b"\x7fELF"
CLASS_64 = 2
LITTLE = 1
# e_phoff, e_shoff, e_flags, e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
HEADER, HEADER_AT = "QQIHHHHHH", 32
# p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz
SEGMENT = "IIQQQQ"


def shrink(library: bytes) -> bytes:
    """`library` without what the loader does not read; unchanged when it is not a 64-bit ELF file."""
    if library[:4] != MAGIC or library[4] != CLASS_64:
        return library
    order = "<" if library[5] == LITTLE else ">"
    phoff, _, flags, ehsize, phentsize, phnum, _, _, _ = struct.unpack_from(order + HEADER, library, HEADER_AT)
    kept = [(0, ehsize), (phoff, phoff + phentsize * phnum)]
    for number in range(phnum):
        _, _, offset, _, _, size = struct.unpack_from(order + SEGMENT, library, phoff + phentsize * number)
        kept.append((offset, offset + size))
    small = bytearray(max(end for _, end in kept))
    for start, end in kept:
        small[start:end] = library[start:end]
    struct.pack_into(order + HEADER, small, HEADER_AT, phoff, 0, flags, ehsize, phentsize, phnum, 0, 0, 0)
    return bytes(small)


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: shrink_elf.py DIRECTORY", file=sys.stderr)
        return 2
    for path in Path(sys.argv[1]).rglob("*.so"):
        path.write_bytes(shrink(path.read_bytes()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
