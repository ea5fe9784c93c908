"""What `stub` can do: serve (the usual), check scripts, look for drift. Each loads only what it needs."""

from collections.abc import Sequence


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
    from otari.stub.run import run_stub  # the whole gateway: only when the words are in order

    return run_stub(options)
