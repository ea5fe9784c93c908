"""Compiled Python modules in one file: how the build writes it, and how otari.pyz imports out of it.

A start imports hundreds of modules. For each, Python looks into folders, asks for dates and opens a file; to read them
one after the other out of a single file saves a tenth of the start, and more of the first one, which unpacks them. What
is not in it (sources, extension modules, data, what few starts need) is found where it always was.

It begins with eight bytes that tell how long the index is; then comes the index, then the code. The index has for every
module, by its place below the libraries, whether it is a package, and where its code begins and how long it is.
"""

import importlib.util
import marshal
import os
import sys
from collections.abc import Mapping
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder, ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType

NAME = "modules.bin"
_LENGTH_BYTES = 8
_PACKAGE = "/__init__"


def packed(codes: Mapping[str, bytes]) -> bytes:
    """The file that has `codes`, which are marshalled, by the paths of their sources without `.py`."""
    index, start = {}, 0
    for path in sorted(codes):
        index[path.removesuffix(_PACKAGE)] = (path.endswith(_PACKAGE), start, len(codes[path]))
        start += len(codes[path])
    head = marshal.dumps(index)
    return len(head).to_bytes(_LENGTH_BYTES, "little") + head + b"".join(codes[path] for path in sorted(codes))


def import_out_of(folder: str) -> None:
    """From now on, import what lies in `folder` and below it out of its file. Raises OSError."""
    modules = _Modules(folder)

    def finder(path: str) -> _Finder:
        if path == folder or path.startswith(modules.below):
            return _Finder(modules, path)
        raise ImportError(path)  # not ours: the import system asks the next one

    sys.path_hooks.insert(0, finder)


class _Modules:
    """The file that is read from, for as long as the process lives."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, NAME)
        self.below = folder + os.sep
        self._file = os.open(self.path, os.O_RDONLY)
        length = int.from_bytes(os.pread(self._file, _LENGTH_BYTES, 0), "little")
        self.index: dict[str, tuple[bool, int, int]] = marshal.loads(os.pread(self._file, length, _LENGTH_BYTES))
        self._codes_at = _LENGTH_BYTES + length

    def code(self, start: int, size: int) -> CodeType:
        code: CodeType = marshal.loads(os.pread(self._file, size, self._codes_at + start))
        return code


class _Finder:
    """Finds the modules of one folder: a path entry finder, as the import system calls it."""

    def __init__(self, modules: _Modules, folder: str) -> None:
        self._modules = modules
        self._folder = folder
        self._prefix = f"{folder}/"[len(modules.below) :]
        self._files = FileFinder(folder, (ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceFileLoader, [".py"]))

    def find_spec(self, name: str, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where the module `name` comes from; None when it is not in this folder."""
        last = name.rpartition(".")[2]
        found = self._modules.index.get(self._prefix + last)
        if found is None:
            return self._files.find_spec(name, target)
        is_package, start, size = found
        inside = f"{self._folder}/{last}"
        path = f"{inside}/__init__.py" if is_package else f"{inside}.py"
        loader = _Loader(name, path, self._modules, start, size)
        within = [inside] if is_package else None
        spec = importlib.util.spec_from_file_location(name, path, loader=loader, submodule_search_locations=within)
        if spec is not None:
            spec.cached = self._modules.path
        return spec

    def invalidate_caches(self) -> None:
        """Forget what the folder held when it was looked at."""
        self._files.invalidate_caches()


class _Loader(SourceFileLoader):
    """Loads a module whose code is in the file; its source, and data beside it, are read as ever."""

    def __init__(self, name: str, path: str, modules: _Modules, start: int, size: int) -> None:
        super().__init__(name, path)
        self._modules, self._start, self._size = modules, start, size

    def get_code(self, fullname: str) -> CodeType:
        """The code of the module."""
        return self._modules.code(self._start, self._size)
