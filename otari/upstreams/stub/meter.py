"""Rate limits that a script asks for: counted by the minute, and told as vendors tell them."""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from otari.upstreams.status import refused
from otari.upstreams.stub.rules import Limits
from otari.upstreams.stub.scene import Scene

WINDOW_S = 60.0
_SCOPES_MAX = 10_000


@dataclass(slots=True)
class _Window:
    ends: float
    requests: int = 0
    tokens: int = 0


class Meter:
    """Counts requests and tokens. `now` gives seconds and never goes back; `wall` is the time of day."""

    def __init__(self, limits: Limits, now: Callable[[], float], wall: Callable[[], float]) -> None:
        self._limits = limits
        self._now = now
        self._wall = wall
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def enter(self, scene: Scene, provider: str) -> Mapping[str, str]:
        """Count a request; what is left, as headers of its answer. Raises OtariError(RATE_LIMITED) for one too many."""
        window = self._window(scene)
        limits, left_s = self._limits, window.ends - self._now()
        for name, limit, used in (("requests", limits.rpm, window.requests), ("tokens", limits.tpm, window.tokens)):
            if limit is not None and used >= limit:
                message = (
                    f"Rate limit reached for {scene.model} on {name} per minute: limit {limit}, used {used}."
                    f" Try again in {max(1, math.ceil(left_s))}s."
                )
                error = refused(429, message, provider=provider, retry_after=max(1, math.ceil(left_s)))
                error.headers = tuple(self._told(scene, window, left_s).items())
                raise error
        window.requests += 1
        return self._told(scene, window, left_s)

    def spent(self, scene: Scene, tokens: int) -> None:
        """Count the tokens of an answer."""
        self._window(scene).tokens += tokens

    def _window(self, scene: Scene) -> _Window:
        came, now = scene.came, self._now()
        scope = {"key": came.key.reveal(), "session": came.session, "all": ""}[self._limits.scope]
        window = self._windows.get(scope)
        if window is None or window.ends <= now:
            self._windows.pop(scope, None)
            window = self._windows[scope] = _Window(now + WINDOW_S)
            if len(self._windows) > _SCOPES_MAX:
                self._windows.popitem(last=False)
        return window

    def _told(self, scene: Scene, window: _Window, left_s: float) -> dict[str, str]:
        """The headers: of Anthropic's names on messages, of OpenAI's everywhere else."""
        told: dict[str, str] = {}
        limits = self._limits
        for name, limit, used in (("requests", limits.rpm, window.requests), ("tokens", limits.tpm, window.tokens)):
            if limit is None:
                continue
            left = max(0, limit - used)
            if scene.surface == "messages":
                begin = f"anthropic-ratelimit-{name}"
                reset = datetime.fromtimestamp(math.ceil(self._wall() + left_s), UTC).isoformat().replace("+00:00", "Z")
                told |= {f"{begin}-limit": str(limit), f"{begin}-remaining": str(left), f"{begin}-reset": reset}
            else:
                reset = f"{math.ceil(left_s * 1000)}ms"
                told |= {
                    f"x-ratelimit-limit-{name}": str(limit),
                    f"x-ratelimit-remaining-{name}": str(left),
                    f"x-ratelimit-reset-{name}": reset,
                }
        return told
