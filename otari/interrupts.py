"""Ctrl-C while a start loads its libraries."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending_at_once() -> Iterator[None]:
    """While this lasts, an interrupt ends the process by the signal itself. For the main thread, and only as long as
    nothing has been begun that would have to be tidied up.

    Python would raise KeyboardInterrupt wherever it is. In the middle of an import that may be inside an extension
    module that is not made for it, and the process crashes, or in a callback of the import system, where nobody hears
    of it, and the interrupt is lost.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # such as for a job in the background
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
