"""What a model's provider tells about its prompts, held against our own counts of them.

A `Calibration` keeps the last samples of one model. Its factor says how many tokens the provider finds where we count
one, so that counts of models whose tokenizer is not public become as good as those of the others.
"""

from collections import deque

from otari.domain.families import Family

WINDOW = 32
SAMPLE_TOKENS = 8_192  # a longer prompt weighs no more than one of this length
PRIOR_TOKENS = 512  # the family's factor weighs as much as a prompt of this length
BELIEVABLE = (0.3, 4.0)  # outside of this a provider has told something else than the tokens of its prompt
EAGER_MS = 1_000
CALM_MS = 60_000


class Calibration:
    """The factor of one model: its family's, corrected by what its provider has told. Times are epoch milliseconds."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.factor = family.factor
        self._samples: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._due_ms = 0

    def take(self, now_ms: int) -> bool:
        """Whether a request that ends now should become a sample; then the next one has to wait.

        A second until the window is full, a minute afterwards.
        """
        if now_ms < self._due_ms:
            return False
        self._due_ms = now_ms + (EAGER_MS if len(self._samples) < WINDOW else CALM_MS)
        return True

    def learn(self, counted: int, told: int) -> None:
        """A prompt that we count as `counted` tokens of text is `told` for its provider.

        Both without what stands around the texts. What can not be believed is passed over.
        """
        low, high = BELIEVABLE
        if counted <= 0 or not low <= told / counted <= high:
            return
        share = min(1.0, SAMPLE_TOKENS / counted)
        self._samples.append((counted * share, told * share))
        ours, theirs = map(sum, zip(*self._samples, strict=True))
        learned = (theirs + PRIOR_TOKENS * self.family.factor) / (ours + PRIOR_TOKENS)
        # The texts of an exact family have no fewer tokens than we count: its tools are told in fewer words than JSON.
        self.factor = max(1.0, learned) if self.family.exact else learned
