"""What the end of a run has to see to, with recordings and without."""

import os
from dataclasses import dataclass, field
from typing import Protocol

from otari.app import Setting
from otari.stage import scripted
from otari.upstreams.stub.script import Script

EXIT_NOT_RECORDED = 5
EXIT_DRIFT = 4


class Finish(Protocol):
    """Ends a recording. Raises OSError."""

    def __call__(self, *, interrupted: bool) -> list[str]: ...


class Recording(Protocol):
    """Something that records: `unkept` are lines about what it could not keep, `unanswered` about what it never got."""

    unkept: list[str]
    unanswered: list[str]


def _nothing(*, interrupted: bool) -> list[str]:
    return []


@dataclass(slots=True)
class Taping:
    """What a run does with recordings: `setting` is the gateway around it. The rest is for its end.

    `finish` hears whether the run was interrupted, and says what is to be told.
    """

    setting: Setting
    finish: Finish = _nothing
    recorders: list[Recording] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    lock: int | None = None

    def end(self, *, interrupted: bool = False) -> tuple[int, list[str]]:
        """Put everything in place and let others record: the exit code, and lines to tell. Raises OSError."""
        try:
            told = self.finish(interrupted=interrupted)
        finally:
            if self.lock is not None:
                os.close(self.lock)
                self.lock = None
        unkept = [line for recorder in self.recorders for line in recorder.unkept]
        code = EXIT_NOT_RECORDED if unkept else EXIT_DRIFT if self.drift else 0
        unanswered = sum(len(recorder.unanswered) for recorder in self.recorders)
        counts = (
            (len(unkept), "answers were not recorded"),
            (unanswered, "requests had no whole answer of their provider"),
        )
        return code, [*told, *self.drift, *(f"{count} {what}" for count, what in counts if count)]


def without_recordings(script: Script, speaks: tuple[str, ...]) -> Taping:
    """The script alone."""
    return Taping(scripted(script, speaks))
