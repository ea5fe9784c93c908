"""Nothing of a request is lost in silence: every feature of every client in every cell."""

import pytest

from tests.cells.features import SERVERS, Feature, Server, fate, features

CASES = [(feature, server) for feature in features() for server in SERVERS if server.dialect != feature.client]


@pytest.mark.parametrize(
    ("feature", "server"), CASES, ids=[f"{feature.client}-{server.name}-{feature.name}" for feature, server in CASES]
)
def test_a_feature_is_carried_or_named_or_refused(feature: Feature, server: Server) -> None:
    assert (fate(feature, server).kind == "silent") <= bool(feature.silent)
