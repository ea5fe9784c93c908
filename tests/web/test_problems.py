"""Everything that is wrong with a body is told at once, by field, and no value is ever repeated."""

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from otari.web import problems, values
from otari.web.bodies import (
    BudgetChange,
    KeyChange,
    NewBudget,
    NewKey,
    NewPrice,
    NewUser,
    Page,
    TotalsQuery,
    UsageQuery,
    UserChange,
)

BODIES: list[type[Struct]] = [NewKey, KeyChange, NewUser, UserChange, NewBudget, BudgetChange, NewPrice]
QUERIES: list[type[Struct]] = [Page, UsageQuery, TotalsQuery]
NAMES = sorted({field.encode_name for body in BODIES for field in msgspec.structs.fields(body)} | {"nobody", ""})
CANARY = "Canary-5ecret"

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.sampled_from(["", CANARY, "x" * 600, "2026-01-01", "calendar_day", "token", "a:b", "1.5"])
anything = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from(NAMES), anything, max_size=6)


def readable(raw: bytes, body: type[Struct]) -> bool:
    try:
        msgspec.json.decode(raw, type=body, strict=False)  # as `read_body` does, when nothing was found
    except msgspec.ValidationError:
        return False
    return True


@given(st.sampled_from(BODIES), documents)
def test_a_body_is_read_whenever_nothing_is_wrong_with_it(body: type[Struct], doc: dict[str, Any]) -> None:
    raw = orjson.dumps(doc)
    found = problems.in_body(raw, body)
    if not found:
        assert readable(raw, body)
    if not readable(raw, body):
        assert found


@given(st.sampled_from(BODIES), documents)
def test_a_problem_names_its_place_once_and_repeats_no_value(body: type[Struct], doc: dict[str, Any]) -> None:
    found = problems.in_body(orjson.dumps(doc), body)
    places = [tuple(each["loc"]) for each in found]
    assert len(set(places)) == len(places)
    for each in found:
        assert set(each) == {"type", "loc", "msg"}
        assert each["loc"][0] == "body"
        assert each["msg"]
        assert CANARY not in str(each)


@given(st.sampled_from(BODIES), documents, st.data())
def test_every_field_is_looked_at_for_itself(body: type[Struct], doc: dict[str, Any], data: st.DataObject) -> None:
    """What is wrong with one field does not hide, or bring, what is wrong with another."""
    if not doc:
        return
    name = data.draw(st.sampled_from(sorted(doc)))

    def of(field: str, told: dict[str, Any]) -> list[problems.Problem]:
        return [each for each in problems.in_body(orjson.dumps(told), body) if each["loc"][1] == field]

    assert of(name, doc) == of(name, {name: doc[name]})


@given(st.sampled_from(QUERIES), st.dictionaries(st.sampled_from(["skip", "limit", "start_date", "by"]), st.text()))
def test_a_query_is_read_whenever_nothing_is_wrong_with_it(query: type[Struct], told: dict[str, str]) -> None:
    if not problems.in_query(told, query):
        msgspec.convert(told, query, strict=False)


@pytest.mark.parametrize(
    ("raw", "kind", "msg"),
    [
        (b'{"user_id": 5}', "string_type", "Input should be a text"),
        (b'{"user_id": ""}', "string_too_short", "Input should be at least 1 characters long"),
        (b'{"blocked": "yes", "user_id": "u"}', "bool_type", "Input should be true or false"),
        (b'{"allowed_models": {}, "user_id": "u"}', "list_type", "Input should be a list"),
        (b'{"metadata": [], "user_id": "u"}', "dict_type", "Input should be an object"),
        (b"{}", "missing", "Field required"),
        (b'{"user_id": "u", "alas": 1}', "extra_forbidden", "This field is not known; did you mean alias?"),
        (b'{"user_id": "u", "zzz": 1}', "extra_forbidden", "This field is not known"),
    ],
)
def test_what_is_said_of_a_user(raw: bytes, kind: str, msg: str) -> None:
    (found,) = problems.in_body(raw, NewUser)
    assert (found["type"], found["msg"]) == (kind, msg)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b'{"max_budget": "a lot"}', "decimal_type"),
        (b'{"max_budget": []}', "decimal_type"),
        (b'{"max_budget": "NaN"}', "value_error"),
        (b'{"max_budget": "-Infinity"}', "value_error"),
        (b'{"max_budget": -1}', "greater_than_equal"),
        (b'{"max_budget": 1e300}', "value_error"),
        (b'{"max_budget": 0.00000000000000000001}', "value_error"),
        (b'{"budget_duration_sec": 1.5}', "int_type"),
        (b'{"budget_duration_sec": 0}', "greater_than_equal"),
        (b'{"budget_duration_sec": 999999999}', "less_than_equal"),
        (b'{"reset_alignment": "daily"}', "literal_error"),
        (b'{"token_limit": 5}', "none_required"),
    ],
)
def test_what_is_said_of_a_budget(raw: bytes, kind: str) -> None:
    (found,) = problems.in_body(raw, NewBudget)
    assert found["type"] == kind


def test_the_words_that_are_allowed_are_told() -> None:
    (found,) = problems.in_body(b'{"reset_alignment": "daily"}', NewBudget)
    assert found["msg"] == "Input should be one of: calendar_day, calendar_week, calendar_month"


def test_many_unknown_fields_are_all_told_and_few_are_guessed_at() -> None:
    doc = {f"key_nam{number}": 1 for number in range(1_000)}
    found = problems.in_body(orjson.dumps(doc), NewKey)
    assert len(found) == 1_000
    assert sum("did you mean" in each["msg"] for each in found) == 20


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("1970-01-01", 0),
        ("2026-01-01T00:00:00", 1_767_225_600_000),
        ("2026-01-01T02:00:00+02:00", 1_767_225_600_000),
        ("2026-01-01T00:00:00.001Z", 1_767_225_600_001),
        ("1767225600", 1_767_225_600_000),
        ("1767225600.25", 1_767_225_600_250),
    ],
)
def test_times_are_read_as_utc(text: str, at_ms: int) -> None:
    assert values.epoch_ms(text) == at_ms


@pytest.mark.parametrize("text", ["", "now", "1969-12-31", "2026-13-01", "-1", "1e9", "99999999999999", "inf", "nan"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(values.Unfit, match="not a time"):
        values.epoch_ms(text)


@given(st.text(max_size=40))
def test_a_model_key_is_read_once(text: str) -> None:
    try:
        key = values.model_key(text)
    except values.Unfit:
        return
    assert values.model_key(key) == key
    assert ":" in key[1:-1]


def test_every_entry_of_a_list_is_looked_at() -> None:
    found = problems.in_body(b'{"allowed_models": ["", "stub:echo", 5, {}]}', NewKey)
    assert [each["loc"] for each in found] == [["body", "allowed_models", index] for index in (0, 2, 3)]
    tiers = b'[{"min_input_tokens": 0, "output_price_per_million": -1}, 5, {"min_input_tokens": 1, "x": 1}]'
    price = b'{"model_key": "a:b", "input_price_per_million": 1, "output_price_per_million": 1, "pricing_tiers": %b}'
    found = problems.in_body(price % tiers, NewPrice)
    assert [each["loc"][2:] for each in found] == [
        [0, "min_input_tokens"],
        [0, "output_price_per_million"],
        [1],
        [2, "x"],
    ]


def test_a_list_that_is_too_long_is_told_as_a_whole() -> None:
    (found,) = problems.in_body(orjson.dumps({"allowed_models": ["a:b"] * 1_001}), NewKey)
    assert (found["type"], found["loc"]) == ("too_long", ["body", "allowed_models"])
