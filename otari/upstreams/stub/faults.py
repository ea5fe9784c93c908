"""Which of a script's faults hit a request. They are counted by session, and chance is seeded: runs do not differ."""

import hashlib
from collections.abc import Iterable

from otari.domain.arrival import Damage
from otari.domain.chat import PartDelta
from otari.upstreams.stub.dice import Dice
from otari.upstreams.stub.matching import unmet
from otari.upstreams.stub.reply import Beat
from otari.upstreams.stub.rules import Cut, Fault
from otari.upstreams.stub.scene import Scene
from otari.upstreams.stub.sessions import Session


def due(
    faults: Iterable[Fault], scene: Scene, session: Session, seed: int, forms: tuple[str, ...]
) -> tuple[Fault | None, Fault | None]:
    """The first fault that is due at the upstream, and the first at the client. Every one that fits is counted."""
    found: dict[str, Fault] = {}
    for fault in faults:
        if not any(unmet(fault.when, scene, {}, forms)):
            number = session.count(f"fault {fault.id}")
            if _is_due(fault, number, session.name, seed):
                found.setdefault(fault.at, fault)
    return found.get("upstream"), found.get("client")


def _is_due(fault: Fault, number: int, session: str, seed: int) -> bool:
    """Whether a fault hits the request that is the `number`th (from 0 on) to fit it."""
    if fault.times is not None and number >= fault.times:
        return False
    if fault.every is not None and (number + 1) % fault.every:
        return False
    if fault.share is None:
        return True
    place = f"{seed}\n{session}\n{fault.id}\n{number}".encode()
    return Dice(hashlib.blake2b(place, digest_size=32).digest()).share() < fault.share


def torn(played: tuple[Beat, ...], cut: Cut, share: float) -> tuple[Beat, ...]:
    """An answer that breaks off when `share` of its text has been sent."""
    texts = [index for index, beat in enumerate(played) if isinstance(beat, PartDelta)]
    keep = int(len(texts) * share)
    end = texts[keep] if keep < len(texts) else len(played) - 1
    return (*played[:end], cut)


def damage(fault: Fault) -> Damage:
    """What a fault at the client does to the answer."""
    if fault.refusal is not None:
        refusal = fault.refusal
        message = refusal.message or f"The stub was told to fail with status {refusal.status}"
        return Damage("error", fault.delay_s, refusal.status, refusal.retry_after, message)
    return Damage("none" if fault.cut is None else fault.cut.kind, fault.delay_s)
