"""What `stub` can do: serve (the usual), check scripts, look for drift. Each loads only what it needs."""

import contextlib
import gc
import os
from collections.abc import Iterator, Sequence

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # where OpenSSL looks for them


def run_words(words: Sequence[str]) -> int:
    """Do what the words behind `stub` say; the exit code comes back."""
    if words[:1] == ["check"]:
        from otari.stub.checking import check_scripts

        return check_scripts(words[1:])
    if words[:1] == ["drift"]:
        from otari.stub.drift import look_for_drift

        return look_for_drift(words[1:])
    from otari.stub.options import read_options

    options = read_options(words)
    gc.disable()  # until everything is built: what is loaded now is no garbage
    if options.asks_providers:
        from otari.stub.run import run_stub  # the whole gateway: only when the words are in order
    else:
        with _no_certificates():
            from otari.stub.run import run_stub
    return run_stub(options)


@contextlib.contextmanager
def _no_certificates() -> Iterator[None]:
    """Load what follows without the certificates of the machine: aiohttp reads them all when it is imported, which is a
    tenth of the start, and no provider is asked in this run.
    """
    before = {name: os.environ.get(name) for name in _CERTIFICATES}
    os.environ.update(dict.fromkeys(_CERTIFICATES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
