"""The first keys."""

from otari.domain.access import key_digest
from otari.store import accounts, first_run, keys
from tests.store.ground import NOON, in_memory


def test_a_master_key_is_minted_once_and_kept_as_a_digest() -> None:
    conn = in_memory()
    digest, token = first_run.master_key(conn)
    assert token is not None
    assert digest == key_digest(token.reveal())
    assert first_run.master_key(conn) == (digest, None)
    assert token.reveal() not in "\n".join(conn.iterdump())


def test_the_first_key_has_a_user_of_its_own() -> None:
    conn = in_memory()
    first = first_run.bootstrap(conn, NOON)
    assert first is not None
    key, token = first
    assert keys.load_keys(conn) == [key]
    assert key.digest == key_digest(token.reveal())
    assert (key.key_name, key.metadata) == ("bootstrap", '{"bootstrap":true}')
    assert key.user_id == f"apikey-{key.key_id}"
    assert accounts.get_user(conn, key.user_id).alias == "Virtual user for API key: bootstrap"


def test_there_is_only_one_first_key() -> None:
    conn = in_memory()
    assert first_run.bootstrap(conn, NOON) is not None
    assert first_run.bootstrap(conn, NOON) is None


def test_settings_are_replaced() -> None:
    conn = in_memory()
    assert first_run.find_setting(conn, "a") is None
    first_run.set_setting(conn, "a", "1")
    first_run.set_setting(conn, "a", "2")
    assert first_run.find_setting(conn, "a") == "2"
