"""What was used in the last minute: sliding windows, one per name. Pure: the clock is passed in, in milliseconds.

What happens within a quarter of a second is counted together and forgotten together, 60 s after the last of it. So a
window holds at most 240 numbers, whatever the limit, and never allows more than the limit in any 60 s.
"""

from collections import deque

WINDOW_MS = 60_000
NAMES_MAX = 100_000
_SLOT_MS = 250


class Window:
    """What one name used in the last minute; `used` is right as of the last call of `forget`."""

    __slots__ = ("_slots", "used")

    def __init__(self) -> None:
        self._slots: deque[list[int]] = deque()  # time of its first use, of its last use, amount
        self.used = 0

    def add(self, amount: int, now_ms: int) -> None:
        """Count `amount` as used now."""
        slots = self._slots
        if slots and now_ms - slots[-1][0] < _SLOT_MS:
            slots[-1][1] = now_ms
            slots[-1][2] += amount
        else:
            slots.append([now_ms, now_ms, amount])
        self.used += amount

    def forget(self, now_ms: int) -> None:
        """Let go of what was used a minute ago or earlier."""
        slots = self._slots
        edge = now_ms - WINDOW_MS
        while slots and slots[0][1] <= edge:
            self.used -= slots.popleft()[2]

    def wait_ms(self, allowed: int, now_ms: int) -> int:
        """How long until no more than `allowed` is used, if nothing is added; 0 when it is so now."""
        left = self.used
        if left <= allowed:
            return 0
        last = now_ms
        for _, last, amount in self._slots:  # noqa: B007  (`last` is the answer)
            left -= amount
            if left <= allowed:
                break
        return last + WINDOW_MS - now_ms

    def relief_ms(self, now_ms: int) -> int:
        """How long until the oldest use is forgotten; 0 when there is none."""
        return self._slots[0][1] + WINDOW_MS - now_ms if self._slots else 0


class Rate:
    """One limit, with a window for each name that was seen lately.

    Names that were silent for one to two minutes are dropped, a whole generation at a time: no sweep, and the memory
    is that of the names of the last two minutes. Should more than `names_max` come within one minute, the oldest are
    dropped before their time: memory stays bounded, and some of them may use more than the limit.
    """

    __slots__ = ("_names_max", "_old", "_turned_ms", "_young", "limit")

    def __init__(self, limit: int, names_max: int = NAMES_MAX) -> None:
        self.limit = limit
        self._names_max = names_max
        self._young: dict[str, Window] = {}
        self._old: dict[str, Window] = {}
        self._turned_ms = 0

    def window(self, name: str, now_ms: int) -> Window:
        """The window of `name` as of now, an empty one if it was not seen lately. Use it at once, do not keep it."""
        if now_ms - self._turned_ms >= WINDOW_MS or len(self._young) >= self._names_max:
            self._old, self._young, self._turned_ms = self._young, {}, now_ms
        window = self._young.get(name)
        if window is None:
            window = self._old.pop(name, None) or Window()
            self._young[name] = window
        window.forget(now_ms)
        return window

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
