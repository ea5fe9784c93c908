"""What `stub` can do: serve (the usual), check scripts, look for drift. Each loads only what it needs."""

import gc
from collections.abc import Sequence

from otari.interrupts import ending_at_once
from otari.upstreams.trust import unread


def run_words(words: Sequence[str]) -> int:
    """Do what the words behind `stub` say; the exit code comes back."""
    if words[:1] == ["check"]:
        from otari.stub.checking import check_scripts

        return check_scripts(words[1:])
    if words[:1] == ["drift"]:
        with unread(), ending_at_once():
            from otari.stub.drift import look_for_drift
        return look_for_drift(words[1:])
    from otari.stub.options import read_options

    options = read_options(words)
    gc.disable()  # until everything is built: what is loaded now is no garbage
    with unread(), ending_at_once():
        from otari.stub.run import run_stub  # the whole gateway: only when the words are in order
    return run_stub(options)
