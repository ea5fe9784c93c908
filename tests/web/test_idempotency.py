"""Which Idempotency-Keys are usable, and whose they are."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from otari.domain.access import Principal
from otari.domain.errors import Kind, OtariError
from otari.web.idempotency import scope_of, token_of


def headers(*values: str) -> "CIMultiDictProxy[str]":
    return CIMultiDictProxy(CIMultiDict([("idempotency-key", value) for value in values]))


def test_no_header_is_no_token() -> None:
    assert token_of(headers(), stream=False) is None
    assert token_of(headers(), stream=True) is None


@pytest.mark.parametrize("token", ["x", "x" * 255, "8e03978e-40d5-43dd-bc93-6894a57f9324", "with a blank", "~!'\"%"])
def test_printable_ascii_is_a_token(token: str) -> None:
    assert token_of(headers(token), stream=False) == token


@pytest.mark.parametrize("values", [("",), ("x" * 256,), ("ümlaut",), ("tab\there",), ("\x7f",), ("a", "a")])
def test_anything_else_is_refused_without_being_repeated(values: tuple[str, ...]) -> None:
    with pytest.raises(OtariError) as caught:
        token_of(headers(*values), stream=False)
    assert (caught.value.kind, caught.value.code) == (Kind.INVALID, "idempotency_key_invalid")
    assert caught.value.param == "Idempotency-Key"
    assert "mlaut" not in caught.value.message


def test_a_stream_can_not_be_given_again() -> None:
    with pytest.raises(OtariError, match="A stream can not be given again"):
        token_of(headers("x"), stream=True)


@pytest.mark.parametrize(
    ("caller", "named", "scope"),
    [
        (Principal("alice", "k1"), None, "key:k1"),
        (Principal("alice", "k1"), "alice", "key:k1"),
        (Principal(None, None, is_master=True), "alice", "user:alice"),
        (Principal(None, None, is_master=True), None, None),
    ],
)
def test_tokens_belong_to_the_key_or_to_whom_the_master_key_names(
    caller: Principal, named: str | None, scope: str | None
) -> None:
    assert scope_of(caller, named) == scope
