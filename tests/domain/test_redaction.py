"""Secrets do not survive: known values in any of their forms, unknown ones by their looks, in texts and log records."""

import base64
import logging
import sys
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.redaction import MASK, LogFilter, Redactor, mask_shapes
from otari.domain.secret import Secret

# No mask characters (they are what is left), and only what can be encoded.
ALPHABET = st.characters(codec="utf-8", exclude_characters="*")
SECRETS = st.text(ALPHABET, min_size=6, max_size=60)
AROUND = st.text(st.sampled_from("\"'`\n\r\t ,;:=(){}[]<>") | st.characters(codec="utf-8", exclude_characters="*"))


def knowing(*secrets: str | Secret) -> Redactor:
    redactor = Redactor()
    for secret in secrets:
        redactor.learn(secret)
    return redactor


@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_a_known_value_never_survives(secret: str, before: str, after: str) -> None:
    cleaned = knowing(secret).clean(f"{before}{secret}{after}{secret}")
    assert secret not in cleaned
    assert MASK in cleaned


@given(secret=SECRETS, before=st.sampled_from(["", '"', "'", "\n", "\r\n", "=", " "]))
def test_nor_does_any_encoding_of_it(secret: str, before: str) -> None:
    redactor = knowing(secret)
    encoded = {
        quote(secret, safe=""),
        quote(secret),
        base64.b64encode(secret.encode()).decode(),
        base64.urlsafe_b64encode(secret.encode()).decode(),
    }
    for form in encoded:
        cleaned = redactor.clean(f"{before}{form}{before}")
        assert form not in cleaned
        assert MASK in cleaned


@pytest.mark.parametrize("before", ["", "u", "us", "user:", "ünï:"])
@pytest.mark.parametrize("after", ["", "!", "!!"])
def test_a_value_inside_something_longer_in_base64_goes_too(before: str, after: str) -> None:
    secret = "correct-horse-battery-staple"
    text = base64.b64encode(f"{before}{secret}{after}".encode()).decode()
    cleaned = knowing(secret).clean(f"x={text}")
    assert len(cleaned) < 20  # of more than 40: a few characters hold only the neighbours' bits and its edges
    assert MASK in cleaned


def test_lower_case_percent_codes_and_escaped_quotes_are_known_too() -> None:
    redactor = knowing('pass/word+"1"\nend')
    for text in ("pass%2fword%2b%221%22%0aend", 'pass/word+\\"1\\"\\nend'):
        assert redactor.clean(f"<{text}>") == f"<{MASK}>"


def test_a_value_that_holds_another_one_goes_as_a_whole() -> None:
    assert knowing("abcdef", "abcdef-and-more").clean("key abcdef-and-more!") == f"key {MASK}!"


def test_short_values_are_not_learnt() -> None:
    assert knowing("model").clean("the model") == "the model"


def test_secrets_are_learnt_from_their_wrapper() -> None:
    assert knowing(Secret("hunter2-hunter2")).clean("hunter2-hunter2") == MASK


def test_kept_values_outlive_any_number_of_seen_ones() -> None:
    redactor = Redactor()
    redactor.learn("configured-value", keep=True)
    redactor.learn("first-token")
    for i in range(1100):
        redactor.learn(f"token-number-{i}")
    assert redactor.clean("configured-value first-token token-number-1099.") == f"{MASK} first-token {MASK}."


def test_a_value_seen_again_stays_known() -> None:
    redactor = knowing("first-token")
    for i in range(1000):
        redactor.learn(f"token-number-{i}")
    redactor.learn("first-token")
    for i in range(1000, 2000):
        redactor.learn(f"token-number-{i}")
    assert redactor.clean("first-token") == MASK


SHAPED = [
    "sk-proj-" + "aB3" * 8,
    "sk-ant-api03-" + "x9_" * 8,
    "sk-1234****************wxyz",
    "gw-" + "Ab1_" * 16,
    "gw_" + "Ab1_" * 8,
    "tk_" + "Ab1c" * 4,
    "AKIAIOSFODNN7EXAMPLE",
    "AIza" + "Sy0_" * 9,
    "gsk_" + "k" * 24,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nAAAA\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMIIB that was cut off",
]


@pytest.mark.parametrize("secret", SHAPED)
@pytest.mark.parametrize("quoted", ['"{}"', "'{}'", "\n{}\n", "key is {}, sorry", "x={}&y"])
def test_unknown_secrets_go_by_their_looks(secret: str, quoted: str) -> None:
    assert secret not in mask_shapes(quoted.format(secret))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Authorization: Bearer abcdefgh12", "Authorization: ***"),
        ("curl -H 'authorization: basic dXNlcjpwYXNz'", "curl -H 'authorization: ***'"),
        ("sent Bearer abc.def-ghi to it", "sent Bearer *** to it"),
        ('{"api_key": "0123456789"}', '{"api_key": "***"}'),
        ("GET /v1?key=0123456789&alt=sse", "GET /v1?key=***&alt=sse"),
        ("http://user:pa%20ss@host/path", "http://***@host/path"),
        ("postgres://user:p@host/db", "postgres://***@host/db"),
    ],
)
def test_what_leads_to_a_secret_stays_readable(text: str, cleaned: str) -> None:
    assert mask_shapes(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "a risk-free, desk-mounted task-scheduler",
        "max_tokens=100000 is above the limit",
        "api_key: must be a string",
        "see https://example.com/docs?page=2#a@b",
        "Basic authentication is not supported",
        "sk-learn 1.2",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert mask_shapes(text) == text


def record_of(message: object, *args: object, **fields: object) -> logging.LogRecord:
    record = logging.LogRecord("otari", logging.ERROR, __file__, 1, message, args, None)
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def written(record: logging.LogRecord, *secrets: str) -> str:
    assert LogFilter(knowing(*secrets)).filter(record)
    return logging.Formatter("%(message)s").format(record)


def test_a_log_record_is_cleaned_with_its_arguments() -> None:
    assert (
        written(record_of("got %s from %s", "hunter2-hunter2", "hunter2"), "hunter2-hunter2")
        == f"got {MASK} from hunter2"
    )


def test_so_is_the_text_of_an_exception_and_of_its_cause() -> None:
    record = record_of("it failed")
    try:
        try:
            raise ValueError("hunter2-hunter2")
        except ValueError as cause:
            raise RuntimeError("with hunter2-hunter2") from cause
    except RuntimeError:
        record.exc_info = sys.exc_info()
    text = written(record, "hunter2-hunter2")
    assert "hunter2-hunter2" not in text
    assert f"ValueError: {MASK}" in text
    assert f"RuntimeError: with {MASK}" in text


def test_so_are_stacks_and_extra_fields() -> None:
    record = record_of("it failed", stack_info="at hunter2-hunter2", token="hunter2-hunter2", count=3)
    assert "hunter2-hunter2" not in written(record, "hunter2-hunter2")
    assert vars(record)["token"] == MASK
    assert vars(record)["count"] == 3


def test_wrong_arguments_are_not_printed() -> None:
    text = written(record_of("nothing to fill", "hunter2-hunter2"))
    assert text == "nothing to fill (the arguments of this message do not fit it)"
