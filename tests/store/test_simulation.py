"""Long random histories by seed: every interleaving of requests, crashes, resets and changes keeps the books exact.

`OTARI_SEEDS=2000` runs as many, `OTARI_STEPS=200` makes them longer; a failure names its seed, and `OTARI_SEED=<n>`
runs that one alone.
"""

import os
import random
from collections.abc import Callable
from functools import partial

import pytest

from otari.domain.periods import Alignment
from otari.store.recovery import OnCrash
from tests.store.world import BUDGETS, KEYS, USERS, World

SEEDS = int(os.environ.get("OTARI_SEEDS", "150"))
ONLY = os.environ.get("OTARI_SEED")
STEPS = int(os.environ.get("OTARI_STEPS", "50"))
CRASHES: tuple[OnCrash, ...] = ("hold", "prompt_only", "release")
PERIODS: tuple[tuple[int | None, Alignment | None], ...] = ((None, None), (3_600, None), (None, "calendar_week"))


def simulate(seed: int) -> World:
    """One history of STEPS steps."""
    dice = random.Random(seed)
    world = World()
    for name in USERS:
        world.assign(name, dice.choice(BUDGETS))
    for name in KEYS[:2]:
        world.assign_key(name, dice.choice(BUDGETS))
    for _ in range(STEPS):
        step(world, dice)()
        world.check_balances()
    world.check_books()
    world.conn.close()
    return world


def step(world: World, dice: random.Random) -> Callable[[], None]:
    """What happens next: mostly requests come and go."""
    lot = dice.random()
    if lot < 0.4 or (lot < 0.75 and not world.under_way):
        key_id = dice.choice((None, *KEYS))
        return partial(world.hold, dice.choice(USERS), key_id, dice.randrange(300), dice.randrange(100))
    if lot < 0.75:
        which = dice.randrange(1_000)
        settle = partial(world.settle, which, *(dice.choice((0, 100, 100, dice.randrange(101))) for _ in range(3)))
        above = partial(world.settle_above, which, dice.randrange(1, 10**6))
        again = partial(world.settle_again, which) if world.finished else settle
        return dice.choices((settle, above, partial(world.release, which), again), (12, 2, 4, 1))[0]
    return change(world, dice)


def change(world: World, dice: random.Random) -> Callable[[], None]:
    """What the operator, the clock or a fault does."""
    name, user_id, key_id = dice.choice(BUDGETS), dice.choice(USERS), dice.choice(KEYS)
    return dice.choice(
        (
            partial(world.crash, dice.choice(CRASHES)),
            partial(world.lose, user_id, dice.randrange(300), dice.randrange(100)),
            partial(world.pass_time, dice.randrange(-2_000, 20_000)),
            partial(world.pass_time, dice.randrange(10, 100)),
            partial(world.set_price, dice.choice((0, 1, dice.randrange(10**7))), dice.randrange(1, 400)),
            partial(world.block, user_id, dice.random() < 0.3),
            partial(world.remove, user_id) if dice.random() < 0.3 else partial(world.bring_back, user_id, name),
            partial(world.replace_key, key_id),
            partial(world.assign, user_id, dice.choice((None, name))),
            partial(world.assign_key, key_id, dice.choice((None, name))),
            partial(world.change_key, key_id, dice.random() < 0.3, dice.random() < 0.8),
            partial(world.set_cap, name, dice.choice((None, 0, dice.randrange(10**6)))),
            partial(world.set_period, name, *dice.choice(PERIODS)),
        )
    )


@pytest.mark.parametrize("block", range(10))
def test_no_history_breaks_the_books(block: int) -> None:
    seeds = [int(ONLY)] if ONLY else range(block, SEEDS, 10)
    for seed in seeds:
        try:
            simulate(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error


def test_histories_see_everything() -> None:
    worlds = [simulate(seed) for seed in range(20)]
    assert all(world.finished for world in worlds)
    assert any(account.before for world in worlds for account in world.users.values())
    assert any(account.before for world in worlds for account in world.keys.values())
    assert any(key.excluded for world in worlds for key in world.keys.values())
    assert any(user.deleted for world in worlds for user in world.users.values())
