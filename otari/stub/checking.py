"""`stub check`: read scripts as a run would, and tell everything that is wrong with them or can never answer."""

import sys
from collections.abc import Iterator, Sequence

from otari.config import ConfigError
from otari.stage import read_stub_scripts
from otari.stub.options import refuse
from otari.upstreams.stub.probes import slow_patterns
from otari.upstreams.stub.script import Script
from otari.upstreams.stub.shadows import shadow_warnings

EXIT_WRONG = 2


def check_scripts(paths: Sequence[str]) -> int:
    """Check files and folders together; 0 when they can be used. Warnings do not change that."""
    odd = next((path for path in paths if path.startswith("-")), None)
    if odd is not None or not paths:
        refuse(f"stub check takes the names of scripts, not {odd}" if odd else "stub check needs the name of a script")
    try:
        script = read_stub_scripts(paths)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"otari: {problem}\n")
        return EXIT_WRONG
    for warning in warnings(script):
        sys.stderr.write(f"otari: {warning}\n")
    rules, faults = len(script.rules), len(script.faults)
    sys.stdout.write(f"{rules} rules" + (f", {faults} faults" if faults else "") + ": in order\n")
    return 0


def warnings(script: Script) -> Iterator[str]:
    """What can be used, but not as its author may think."""
    yield from shadow_warnings(script)
    for name, pattern in slow_patterns(script):
        kind = "fault" if any(fault.id == name for fault in script.faults) else "rule"
        yield f"{script.places.get(name, name)}: {kind} {name!r} has a pattern that takes too long: {pattern}"
