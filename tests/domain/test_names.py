"""Ids of what is kept: never the same one twice, later ones greater; in a stub run the same in every run."""

import re

import pytest

from otari.domain.names import RANDOM_NAMES, Names
from otari.store.batches import is_batch_id
from otari.store.files import is_file_id
from otari.upstreams.stub.names import SeededNames

NOON = 1_767_225_600_000


@pytest.mark.parametrize("names", [RANDOM_NAMES, SeededNames(3)], ids=["random", "seeded"])
def test_every_id_is_a_new_one_of_its_kind(names: Names) -> None:
    files = [names.file(user, NOON) for user in ("alice", "bob") for _ in range(50)]
    files += [names.made_file(f"batch_{number}", word, NOON) for number in range(50) for word in ("output", "error")]
    assert all(map(is_file_id, files))
    batches = [names.batch(user, NOON) for user in ("alice", "bob") for _ in range(50)]
    assert all(map(is_batch_id, batches))
    requests = [names.request("batch_1", line, NOON) for line in range(50) for _ in range(2)]
    assert all(re.fullmatch("req_[0-9a-f]{32}", each) for each in requests)
    assert len({*files, *batches, *requests}) == len(files) + len(batches) + len(requests)


@pytest.mark.parametrize("names", [RANDOM_NAMES, SeededNames(3)], ids=["random", "seeded"])
def test_a_later_one_is_greater(names: Names) -> None:
    made = [names.file("alice", NOON + number * 100) for number in range(20)]
    assert made == sorted(made)


def test_a_seeded_id_depends_on_the_seed_the_user_and_how_many_it_had_before() -> None:
    def made(seed: int, *users: str) -> list[str]:
        names = SeededNames(seed)
        return [names.file(user, NOON) for user in users]

    assert made(1, "a", "a", "b") == made(1, "a", "a", "b")
    assert set(made(1, "a", "a", "b")) == set(made(1, "b", "a", "a"))
    assert not set(made(1, "a", "b")) & set(made(2, "a", "b"))
