"""Whose TLS certificates are trusted: those that the machine trusts, read once, when somebody needs them.

To read them all takes longer than everything else between the first import and the first answer.
"""

import contextlib
import functools
import os
import ssl
from collections.abc import Iterator

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # the variables that tell OpenSSL where they are
_PROTOCOLS = ("http/1.1",)


@functools.cache
def trusted() -> ssl.SSLContext:
    """How to open a connection over TLS to somebody whom the machine trusts. May be called from any thread."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(_PROTOCOLS)
    return context


@contextlib.contextmanager
def unread() -> Iterator[None]:
    """Import aiohttp within this, and it does not read the certificates.

    It makes contexts of its own when it is imported, and offers no other moment. We give it ours with every request
    that goes over TLS; a connection that was made with its own all the same would trust nobody.
    """
    before = {name: os.environ[name] for name in _PLACES if name in os.environ}
    os.environ.update(dict.fromkeys(_PLACES, os.devnull))
    try:
        yield
    finally:
        for name in _PLACES:
            del os.environ[name]
        os.environ.update(before)
