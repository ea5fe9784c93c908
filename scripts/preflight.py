"""The first thing that runs in otari.pyz: checks the surroundings, unpacks the libraries, starts Otari.

The build (`finish_zipapp.py`) puts this in the place of shiv's `__main__.py` and fills in the words between @
signs. What it adds to shiv: one clear line instead of a traceback when something around us is wrong; answers
to `--help` and `version` straight from the file; a cache folder that nobody else can write to, found even
without a home; repair of a cache that has lost files; removal of old ones; no packages of somebody else in
place of ours; and a start that reads little of the file itself.

Every start pays for what happens here: imports that only some starts need are made where they are needed. It
must be readable for any Python since 3.7, so that an older one is told what is missing instead of a syntax
error.
"""

import os
import sys

CACHE_TAG = "@CACHE_TAG@"  # such as cpython-311
MULTIARCH = "@MULTIARCH@"  # such as x86_64-linux-gnu
BUILD_ID = "@BUILD_ID@"
FILES = "@FILES@"  # how many files there are to unpack, not counting compiled Python

# What otari.cli answers with the standard library alone: these first words, and these words anywhere.
ANSWERED_FIRST = ("help", "version", "--version", "-V", "wait-ready")
ANSWERED_ANYWHERE = ("--help", "-h")
STALE_S = 30 * 24 * 3600
WRONG_SURROUNDINGS = 78  # EX_CONFIG of sysexits.h
INTERRUPTED = 130  # 128 and the number of the signal, as shells say it


def fail(sentence: str) -> None:
    sys.stderr.write(f"otari: {sentence}\n")
    sys.exit(WRONG_SURROUNDINGS)


def check_interpreter(archive: str) -> None:
    """Refuse every interpreter for which this file was not built, and one that leaves out assertions."""
    if sys.implementation.cache_tag != CACHE_TAG:
        version = CACHE_TAG.replace("cpython-3", "3.")
        found = f"{sys.executable} is {sys.implementation.name} {sys.version.split()[0]}"
        fail(f"this file needs CPython {version}, but {found}. Start it with: python{version} {archive}")
    here = getattr(sys.implementation, "_multiarch", "")
    if here and MULTIARCH and here != MULTIARCH:
        fail(f"this file was built for {MULTIARCH}, but this is {here}. Build one here with: make build")
    if sys.flags.optimize:
        wrong = "started with -O or PYTHONOPTIMIZE, which drops checks that the ledger needs"
        fail(f"{wrong}. Start it with: env -u PYTHONOPTIMIZE python3 {archive}")


def drop_pythonpath(archive: str) -> None:
    """Take the entries of PYTHONPATH out of sys.path: packages found there would replace ours."""
    value = os.environ.get("PYTHONPATH")
    if not value or os.environ.get("OTARI_KEEP_PYTHONPATH") == "1":
        return
    standard = os.path.dirname(os.__file__)
    dropped = {os.path.abspath(entry) for entry in value.split(os.pathsep)}
    dropped -= {standard, os.path.join(standard, "lib-dynload"), os.path.abspath(archive)}
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) not in dropped]


def complete(folder: str) -> bool:
    """Whether every file is in `folder`; cleaners of temporary files take them one by one.

    Compiled Python does not count: it may come and go.
    """
    total = 0
    for _, _, names in os.walk(folder):
        total += sum(1 for name in names if not name.endswith(".pyc"))
    return str(total) == FILES


def complaint(root: str, cache: str) -> str:
    """Why the libraries can not live in `root`; empty when they can. Creates `root`, for us alone."""
    if not os.path.isabs(root):
        return "not an absolute path"
    try:
        os.makedirs(root, mode=0o700, exist_ok=True)
        state = os.stat(root)
    except OSError as error:
        return error.strerror or "can not be created"
    if state.st_uid not in (os.getuid(), 0):
        return "belongs to another user"
    if state.st_mode & 0o022:
        return "other users can write to it; chmod go-w it"
    if hasattr(os, "ST_NOEXEC") and os.statvfs(root).f_flag & os.ST_NOEXEC:
        return "libraries can not be loaded from it (mounted noexec)"
    if not os.access(root, os.R_OK | os.X_OK):
        return "can not be read"
    if not os.access(root, os.W_OK) and not complete(os.path.join(root, cache)):
        return "not writable, and not filled"
    return ""


def named_root(cache: str) -> str:
    """The folder that the environment names for us; empty when it names none."""
    for variable in ("SHIV_ROOT", "OTARI_CACHE_DIR"):
        value = os.environ.get(variable)
        if value:
            root = os.path.abspath(os.path.expanduser(value))
            problem = complaint(root, cache)
            if problem:
                fail(f"can not unpack into {variable}={root}: {problem}")
            return root
    return ""


def usual_root(cache: str) -> str:
    """The first usable one of the usual folders: the user's caches, then temporary files."""
    candidates = []
    if os.environ.get("XDG_CACHE_HOME"):
        candidates.append(os.path.join(os.environ["XDG_CACHE_HOME"], "otari"))
    home = os.path.expanduser("~")
    # HOME=/ is what containers say when the user has none; a folder /.cache helps nobody.
    if home.strip("/~"):
        candidates.append(os.path.join(home, ".cache", "otari"))
    problems = ""
    for root in candidates:
        problem = complaint(root, cache)
        if not problem:
            return root
        problems += f"{root}: {problem}; "
    return temporary_root(cache, problems)


def temporary_root(cache: str, problems: str) -> str:
    """Our own folder among the temporary files. `problems` says why no better one will do."""
    import tempfile

    try:
        root = os.path.join(tempfile.gettempdir(), f"otari-{os.getuid()}")
        # Anybody can put a link there that leads to a folder of ours.
        problem = "is a link" if os.path.islink(root) else complaint(root, cache)
    except OSError as error:
        root, problem = "temporary files", error.strerror or "no place"
    if problem:
        fail(f"nowhere to unpack to; set OTARI_CACHE_DIR to a folder of yours ({problems}{root}: {problem})")
    return root


def unpack(archive: str, folder: str) -> None:
    """Make `folder` hold all that the archive has under site-packages, whatever other starts do meanwhile."""
    if complete(folder):
        return
    parent = os.path.dirname(folder)
    try:
        lock = os.open(parent, os.O_RDONLY)
        lock_file(lock, wait=True)
        if not complete(folder):
            replace(archive, folder)
        os.close(lock)
    except OSError as error:
        fail(f"can not unpack into {parent}: {error.strerror or error}")


def replace(archive: str, folder: str) -> None:
    """Unpack beside `folder` and put the result in its place. Raises OSError, leaving nothing behind."""
    import shutil
    import zipfile

    fresh, old = (f"{folder}.{os.getpid()}.{word}" for word in ("new", "old"))
    try:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(fresh, [name for name in packed.namelist() if name.startswith("site-packages/")])
        if os.path.lexists(folder):
            os.rename(folder, old)
        os.rename(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def lock_file(descriptor: int, wait: bool) -> bool:
    """Lock for this process alone; False when another has it, or the file system knows no locks."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def mark_used(folder: str) -> None:
    """Note that `folder` is used today and, until this process ends, that it is in use now."""
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.utime(folder)
    except OSError:
        return  # it is not ours to mark, and then not ours to remove


def remove_stale(root: str, cache: str) -> None:
    """Remove what other builds unpacked here if it was not used for a month and is not in use now."""
    import time

    oldest = time.time() - STALE_S
    for name in os.listdir(root):
        file, _, rest = name.rpartition("_")
        build = rest.split(".")[0]
        is_cache = file.startswith("otari") and len(build) == len(BUILD_ID) and build.isalnum()
        if is_cache and name != cache:
            remove_unused(os.path.join(root, name), oldest)


def remove_unused(folder: str, oldest: float) -> None:
    """Remove `folder` if it was last used before `oldest`, nobody uses it now and we may."""
    import shutil

    try:
        if os.stat(folder).st_mtime < oldest:
            descriptor = os.open(folder, os.O_RDONLY)
            if lock_file(descriptor, wait=False):
                shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)
    except OSError:
        return  # somebody else has just removed it, or it is not ours


def find_libraries(archive: str) -> str:
    """The folder that the libraries were unpacked into, and are below `site-packages`."""
    cache = f"{os.path.basename(os.path.realpath(archive))}_{BUILD_ID}"
    root = named_root(cache) or usual_root(cache)
    folder = os.path.join(root, cache)
    unpack(archive, folder)
    mark_used(folder)
    remove_stale(root, cache)
    return folder


def asks_shiv() -> bool:
    """Whether one of the variables is set that make shiv do something else than start Otari."""
    return any(name.startswith("SHIV_") and name != "SHIV_ROOT" for name in os.environ)


def put_on_path(archive: str, libraries: str) -> None:
    """Have imports look into `libraries`: after the standard library, before packages that are installed."""
    sys.path[:] = [entry for entry in sys.path if entry != archive]  # all that was wanted of it is loaded
    installed = ("site-packages", "dist-packages")
    at = next((n for n, entry in enumerate(sys.path) if os.path.basename(entry) in installed), len(sys.path))
    sys.path.insert(at, libraries)


def answered_at_once() -> bool:
    """Whether this command line needs no library."""
    words = sys.argv[1:]
    if "--" in words:
        words = words[: words.index("--")]  # behind it stands somebody else's command
    first = words[0] if words else ""
    return first in ANSWERED_FIRST or any(word in ANSWERED_ANYWHERE for word in words)


def main() -> None:
    archive = sys.argv[0]
    check_interpreter(archive)
    drop_pythonpath(archive)
    if answered_at_once():
        sys.path.insert(0, os.path.join(archive, "site-packages"))
        from otari import cli

        sys.exit(cli.main())
    # Others can not change what we write, whatever the umask was. Keeping readers out is the folder's matter.
    os.umask(os.umask(0o022) | 0o022)
    folder = find_libraries(archive)
    libraries = os.path.join(folder, "site-packages")
    from zipapp_modules import import_out_of  # beside this file in the archive, too

    import_out_of(libraries)
    if asks_shiv():
        from _bootstrap import bootstrap  # type: ignore[import-not-found]  # shiv's, in the archive only

        os.environ["SHIV_ROOT"] = os.path.dirname(folder)
        bootstrap()
        return
    put_on_path(archive, libraries)
    from otari.cli import main as otari

    sys.exit(otari())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # what it was in the middle of is made good by the next start
        sys.exit(INTERRUPTED)
