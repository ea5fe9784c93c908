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
    """Load what follows without the certificates of the machine, which no run needs that asks no provider.

    aiohttp makes its TLS contexts when it is imported and offers no other moment; to read all certificates is a tenth
    of the start. The variables are OpenSSL's own. A connection that was made all the same would trust nobody.
    """
    before = {name: os.environ[name] for name in _CERTIFICATES if name in os.environ}
    os.environ.update(dict.fromkeys(_CERTIFICATES, os.devnull))
    try:
        yield
    finally:
        for name in _CERTIFICATES:
            del os.environ[name]
        os.environ.update(before)
