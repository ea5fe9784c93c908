"""Reading the files that an operator names, without waiting for what is no file."""

import os
import stat

from otari.config.problems import ConfigError


def read_file(path: str, most: int) -> tuple[bytes, bool]:
    """The bytes of a regular file (no more than `most` and one), and whether group or world may touch it.

    Raises ConfigError.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError([f"{path}: not a regular file"])
            return file.read(most + 1), bool(status.st_mode & 0o077)
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such file"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: can not be read ({error.strerror})"]) from None
    except ValueError:
        raise ConfigError([f"{path!r}: not a file name"]) from None


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: a pipe that nobody writes to would hold us for ever."""
    return os.open(path, flags | os.O_NONBLOCK)
