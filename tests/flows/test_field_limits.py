"""Every field of the management routes at its limits and beyond: taken, or refused with the place and the reason.

Both sides are judged by the served document; what was refused is never repeated, and changes nothing.
"""

from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest

from tests.flows.house import Answer, House, play
from tests.flows.test_answers import ADMIN, Client, judged

CANARY = "Canary-5ecret"
STRANGE = 'a/b "quoted" it\'s 🐍 %2F'
LONG = CANARY * 20  # 260 characters
HUGE = 10**30

Kind = str | tuple[str, tuple[str | int, ...]]  # the type of the problem, and where below the field
Bad = tuple[tuple[Any, Kind], ...]


class Field(NamedTuple):
    """A field, values that are taken, and values that are refused with the type of the problem."""

    name: str
    good: tuple[Any, ...]
    bad: Bad


def each(kind: Kind, *values: Any) -> Bad:
    """Values that are all refused with the same type."""
    return tuple((value, kind) for value in values)


def label(name: str) -> Field:
    bad = ((LONG, "string_too_long"), *each("string_type", 5, True, [CANARY]))
    return Field(name, (None, "", "x" * 255, "🐍" * 255, STRANGE), bad)


def identity(name: str, *good: Any) -> Field:
    bad = (("", "string_too_short"), (LONG, "string_too_long"), *each("string_type", 5, {"a": CANARY}))
    return Field(name, good, bad)


def switch(name: str, *more: Any) -> Field:
    return Field(name, (True, False, *more), each("bool_type", CANARY, "true", 0, 1, []))


def moment(name: str) -> Field:
    good = ("2099-01-01", "2099-01-01T00:00:00", "2099-01-01T00:00:00.5-12:00", "9999-12-31T23:59:59.999Z")
    past = ("1970-01-01", "2020-01-01T00:00:00Z", "0", "4102444800.25", "253402300799")
    bad = (CANARY, "", "1969-12-31", "-1", "1e9", "253402300800", "NaN", "2026-02-30", "2026-13-01", "0001-01-01")
    other = (("9" * 65, "string_too_long"), (4_102_444_800, "string_type"))
    return Field(name, (None, *good, *past), (*each("datetime_parsing", *bad), *other))


def amount(name: str, least: float, most: int) -> Field:
    """`least` is the smallest amount above nothing; what is finer or larger than `most` is refused."""
    good = (0, 0.0, -0.0, "0", least, str(least), most, str(most), float(most))
    beyond = (f"{most}.1", most + 1, str(most + 1), 1e300, HUGE, least / 10, "NaN", "Infinity", "-Infinity")
    below = each("greater_than_equal", -1, "-1", -least, -HUGE)
    other = each("decimal_type", CANARY, "", "1,5", True, [1], {})
    return Field(name, good, (*each("value_error", *beyond), *below, *other))


def absent(name: str) -> Field:
    return Field(name, (None,), each("none_required", 0, CANARY, False, [], {}))


def chosen(name: str, *words: str) -> Field:
    return Field(name, (*words, None), each("literal_error", CANARY, "", words[0].upper(), 1, [words[0]]))


MODELS = Field(
    "allowed_models",
    (None, [], ["*"], ["x" * 512], ["stub:*"] * 1_000),
    (
        ([""], ("string_too_short", (0,))),
        (["stub:*", CANARY * 40], ("string_too_long", (1,))),
        (["x"] * 1_001, "too_long"),
        ([5], ("string_type", (0,))),
        (CANARY, "list_type"),
        ({}, "list_type"),
    ),
)
DEEP: Any = {}
for _ in range(300):
    DEEP = {"a": DEEP}
METADATA = Field(
    "metadata",
    (None, {}, {"": [1, None, {"🐍": STRANGE}]}, {"n": 1e308, "m": -(2**63), "k": HUGE}),
    (([CANARY], "dict_type"), (CANARY, "dict_type"), (5, "dict_type"), (DEEP, "value_error")),
)
SECONDS = Field(
    "budget_duration_sec",
    (None, 1, 60.0, 315_360_000),
    (
        *each("greater_than_equal", 0, -1, -0.0),
        *each("less_than_equal", 315_360_001, 1e9, HUGE),
        *each("int_type", 1.5, "60", CANARY, True, [], 1e300),
    ),
)
ALIGNMENT = chosen("reset_alignment", "calendar_day", "calendar_week", "calendar_month")
CAP = amount("max_budget", 0.000000001, 9_000_000_000)

PRICE = {"model_key": "stub:echo", "input_price_per_million": 1, "output_price_per_million": 2}
RATES = ("cache_read", "cache_write", "cache_write_1h", "reasoning")
TIER_BAD: Bad = (
    ([{"min_input_tokens": 1}] * 17, "too_long"),
    ([{}], ("missing", (0, "min_input_tokens"))),
    ([{"min_input_tokens": 0}], ("greater_than_equal", (0, "min_input_tokens"))),
    ([{"min_input_tokens": 1_000_000_001}], ("less_than_equal", (0, "min_input_tokens"))),
    ([{"min_input_tokens": 1, "input_price_per_million": -1}], ("greater_than_equal", (0, "input_price_per_million"))),
    ([{"min_input_tokens": 1, CANARY[:6]: 1}], ("extra_forbidden", (0, CANARY[:6]))),
    ([5], ("dict_type", (0,))),
    (CANARY, "list_type"),
)
TIERS = Field(
    "pricing_tiers", (None, [], [{"min_input_tokens": 1_000_000_000}], [{"min_input_tokens": 1}] * 16), TIER_BAD
)
KEY_BAD: Bad = (
    *each("value_error", CANARY, "abc", ":abc", "abc:", "/ab", "abc/"),
    ("a:", "string_too_short"),
    ("a:" + CANARY * 40, "string_too_long"),
    (5, "string_type"),
)

ROWS: list[tuple[str, str, dict[str, Any], Field]] = [
    *(("POST", "/v1/keys", {}, field) for field in (label("key_name"), identity("user_id", None, "x" * 255, STRANGE))),
    *(("POST", "/v1/keys", {}, field) for field in (moment("expires_at"), METADATA, MODELS)),
    *(("POST", "/v1/keys", {}, switch(name, None)) for name in ("exclude_from_budget", "reject_user_mismatch")),
    ("POST", "/v1/keys", {}, chosen("translation", "lenient", "strict")),
    ("POST", "/v1/keys", {}, identity("budget_id", None, "{budget}")),
    *(("POST", "/v1/keys", {}, absent(name)) for name in ("capture_agent_telemetry", "workspace_id")),
    *(("PATCH", "/v1/keys/{key}", {}, field) for field in (label("key_name"), moment("expires_at"), METADATA, MODELS)),
    *(("PATCH", "/v1/keys/{key}", {}, switch(name)) for name in ("is_active", "exclude_from_budget")),
    ("PATCH", "/v1/keys/{key}", {}, switch("reject_user_mismatch", None)),
    ("PATCH", "/v1/keys/{key}", {}, chosen("translation", "lenient", "strict")),
    ("PATCH", "/v1/keys/{key}", {}, identity("budget_id", "{budget}", None)),
    *(("PATCH", "/v1/keys/{key}", {}, absent(name)) for name in ("capture_agent_telemetry", "workspace_id")),
    ("POST", "/v1/users", {}, identity("user_id", "u", "x" * 255, "🐍" * 255, STRANGE, " ", "\n", "..")),
    *(("POST", "/v1/users", {"user_id": "{new}"}, field) for field in (label("alias"), METADATA, MODELS)),
    ("POST", "/v1/users", {"user_id": "{new}"}, switch("blocked", None)),
    ("POST", "/v1/users", {"user_id": "{new}"}, identity("budget_id", None, "{budget}")),
    *(("PATCH", "/v1/users/alice", {}, field) for field in (label("alias"), METADATA, MODELS, switch("blocked"))),
    ("PATCH", "/v1/users/alice", {}, identity("budget_id", "{budget}", None)),
    *(("POST", "/v1/budgets", {}, field) for field in (CAP, SECONDS, ALIGNMENT, label("name"))),
    *(("PATCH", "/v1/budgets/{budget}", {}, field) for field in (CAP, SECONDS, ALIGNMENT, label("name"))),
    *(("POST", "/v1/budgets", {}, absent(name)) for name in ("token_limit", "request_limit", "organization_id")),
    *(("PATCH", "/v1/budgets/{budget}", {}, absent(n)) for n in ("token_limit", "request_limit", "organization_id")),
    ("POST", "/v1/pricing", PRICE, Field("model_key", ("a:b", "a/b", "x:" + "y" * 510, "x:" + STRANGE), KEY_BAD)),
    *(
        ("POST", "/v1/pricing", PRICE, amount(f"{name}_price_per_million", 0.000001, 1_000_000_000))
        for name in ("input", "output", *RATES)
    ),
    *(
        ("POST", "/v1/pricing", PRICE, amount(f"price_per_{name}", 0.000000000001, 1_000))
        for name in ("request", "image", "second", "character")
    ),
    ("POST", "/v1/pricing", PRICE, chosen("unit", "token", "image", "request", "second", "character")),
    *(("POST", "/v1/pricing", PRICE, field) for field in (TIERS, moment("effective_at"))),
]


async def furnished(house: House) -> tuple[Client, dict[str, str]]:
    """A house with a budget, a user and a key, and their ids."""
    client = await judged(house)
    budget = await client.made("/v1/budgets", {})
    await client.made("/v1/users", {"user_id": "alice"})
    key = await client.made("/v1/keys", {"user_id": "alice"})
    return client, {"budget": budget["budget_id"], "key": key["id"]}


def everything(house: House) -> list[list[dict[str, Any]]]:
    """All that the management routes write."""
    return [house.query(f"SELECT * FROM {table}") for table in ("keys", "users", "budgets", "prices")]


def filled(value: Any, ids: dict[str, str]) -> Any:
    """`value` with the ids that it speaks of."""
    return ids.get(value.strip("{}"), value) if isinstance(value, str) and value.startswith("{") else value


@pytest.mark.parametrize(("method", "path", "base", "field"), ROWS, ids=lambda value: getattr(value, "name", None))
def test_a_field_at_its_limits_and_beyond(
    tmp_path: Path, method: str, path: str, base: dict[str, Any], field: Field
) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            client, ids = await furnished(house)
            place = path.format(**ids)
            for number, good in enumerate(field.good):
                names = {**ids, "new": f"new-{number}"}
                body = {name: filled(value, names) for name, value in {**base, field.name: good}.items()}
                answer = await client.ask(method, place, body)
                assert answer.status == 200, (good, answer.body)
            before = everything(house)
            for bad, told in field.bad:
                kind, below = told if isinstance(told, tuple) else (told, ())
                answer = await client.ask(method, place, {**base, field.name: bad})
                assert answer.status == 422, (bad, answer.body)
                (problem,) = answer.json["detail"]
                assert (problem["loc"], problem["type"]) == (["body", field.name, *below], kind), bad
                assert problem["msg"]
                assert problem["msg"] in answer.error["message"]
                assert CANARY not in answer.body.decode()
            assert everything(house) == before

    play(scene())


BODIES = [
    *(("POST", path) for path in ("/v1/keys", "/v1/users", "/v1/budgets", "/v1/pricing")),
    *(("PATCH", path) for path in ("/v1/keys/{key}", "/v1/users/alice", "/v1/budgets/{budget}")),
]


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_body_that_is_none_or_says_too_much(tmp_path: Path, method: str, path: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            client, ids = await furnished(house)
            place = path.format(**ids)
            before = everything(house)

            async def send(raw: bytes, **headers: str) -> Answer:
                sent = {**ADMIN, "Content-Type": "application/json", **headers}
                answer = await house.request(method, place, sent, data=raw)
                client.reference.check(method, place, answer)
                return answer

            broken = (
                b"",
                b"{",
                b"nope",
                b'{"a": 1,}',
                b"{'a': 1}",
                b'{"a": NaN}',
                b'{"a": 1e400}',
                b'{"a": "\\ud800"}',
            )
            for raw in (*broken, b'{"a": "\xff"}', b"\xef\xbb\xbf{}", b'{"a": ' + b"[" * 20_000):
                answer = await send(raw)
                assert answer.status == 422, raw
                assert [(problem["loc"], problem["type"]) for problem in answer.json["detail"]] == [
                    (["body"], "json_invalid")
                ], raw
            for raw in (b"null", b"[]", b"5", b'"{}"'):
                answer = await send(raw)
                (problem,) = answer.json["detail"]
                assert (answer.status, problem["loc"], problem["type"]) == (422, ["body"], "model_attributes_type")
            for name in (CANARY[:6], "", "🐍", "spend", "is_actve"):
                answer = await client.ask(method, place, {name: CANARY})
                told = [(problem["loc"], problem["type"]) for problem in answer.json["detail"]]
                assert (["body", name], "extra_forbidden") in told
                assert answer.status == 422
                assert CANARY not in answer.body.decode()
            assert (await send(b"{}", **{"Content-Type": "text/plain"})).status == 415
            assert (await send(b"{}", **{"Content-Encoding": "br"})).status == 415
            assert (await send(b" " * 65_537)).status == 413
            assert (await send(b" " * 65_536)).status == 422
            assert everything(house) == before

    play(scene())


@pytest.mark.parametrize("path", ["/v1/keys/{key}", "/v1/users/alice", "/v1/budgets/{budget}"])
def test_a_change_of_nothing_changes_nothing_but_its_time(tmp_path: Path, path: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            client, ids = await furnished(house)
            before = (await client.ask("GET", path.format(**ids))).json
            after = (await client.ask("PATCH", path.format(**ids), {})).json
            assert {**after, "updated_at": None} == {**before, "updated_at": None}

    play(scene())


PAGED = (
    *("/v1/keys", "/v1/users", "/v1/budgets", "/v1/pricing", "/v1/usage"),
    *("/v1/users/alice/usage", "/v1/budgets/{budget}/reset-logs"),
)
NO_NUMBER = each("int_type", "", "many", "1.5", "NaN", "0x10", "[]")
PAGE: list[Field] = [
    Field(
        "skip",
        ("0", "1", "1000000000"),
        (*each("greater_than_equal", "-1", "-99999999"), ("1000000001", "less_than_equal"), *NO_NUMBER),
    ),
    Field(
        "limit",
        ("1", "100", "1000"),
        (*each("greater_than_equal", "0", "-1"), ("1001", "less_than_equal"), *NO_NUMBER),
    ),
    Field("after", (), (*each("value_error", CANARY, "", "a" * 1_024), ("a" * 1_025, "string_too_long"))),
]
TIMES = moment("")
GOOD_TIMES = tuple(value for value in TIMES.good if value is not None)
BAD_TIMES = tuple((value, kind) for value, kind in TIMES.bad if isinstance(value, str))
USERS = ("alice", "nobody", STRANGE, "x" * 255)
QUERIES: list[tuple[str, Field]] = [
    *((path, field) for path in PAGED for field in PAGE),
    *(
        (path, Field(name, GOOD_TIMES, BAD_TIMES))
        for path in ("/v1/usage", "/v1/usage/totals")
        for name in ("start_date", "end_date")
    ),
    ("/v1/usage", Field("user_id", USERS, (("", "string_too_short"), (LONG, "string_too_long")))),
    ("/v1/usage/totals", Field("by", ("day", "model", "key", "user"), each("literal_error", "", CANARY, "DAY"))),
    ("/v1/pricing/stub:echo", Field("as_of", ("2026-01-01", "4102444800"), BAD_TIMES)),
]


@pytest.mark.parametrize(("path", "field"), QUERIES, ids=lambda value: getattr(value, "name", None))
def test_a_parameter_at_its_limits_and_beyond(tmp_path: Path, path: str, field: Field) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            client, ids = await furnished(house)
            await client.made("/v1/pricing", {**PRICE, "effective_at": "2020-01-01"})
            place = path.format(**ids)
            for good in field.good:
                answer = await client.ask("GET", f"{place}?{urlencode({field.name: good})}")
                assert answer.status == 200, (good, answer.body)
            for bad, kind in field.bad:
                answer = await client.ask("GET", f"{place}?{urlencode({field.name: bad})}")
                assert answer.status == 422, (bad, answer.body)
                (problem,) = answer.json["detail"]
                assert (problem["loc"], problem["type"]) == (["query", field.name], kind), bad
                assert problem["msg"]
                assert CANARY not in answer.body.decode()

    play(scene())


def test_a_parameter_that_stands_twice_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            client = await judged(house)
            answer = await client.ask("GET", "/v1/keys?limit=1&skip=0&limit=1&other=1&other=2")
            assert answer.status == 422
            assert [problem["loc"] for problem in answer.json["detail"]] == [["query", "limit"]]

    play(scene())


def test_a_key_whose_time_is_past_is_made_and_refused(tmp_path: Path) -> None:
    """As it always was; programs make such keys to see how a refusal looks."""

    async def scene() -> None:
        async with House(tmp_path) as house:
            client = await judged(house)
            key = await client.made("/v1/keys", {"expires_at": "2020-01-01T00:00:00"})
            refused = await client.ask("GET", "/v1/models", Authorization=f"Bearer {key['key']}")
            assert (refused.status, refused.json["detail"]) == (401, "API key has expired")
            await client.ask("PATCH", f"/v1/keys/{key['id']}", {"expires_at": None})
            assert (await client.ask("GET", "/v1/models", Authorization=f"Bearer {key['key']}")).status == 200

    play(scene())


@pytest.mark.parametrize(
    "model", ["a/b", "a:b", 'it\'s "quoted" \\', "🐍", "per%cent", "line\nbreak", "{braces}", "history"]
)
def test_a_price_of_a_model_of_any_name(tmp_path: Path, model: str) -> None:
    async def scene() -> None:
        async with House(tmp_path) as house:
            client = await judged(house)
            made = await client.made("/v1/pricing", {**PRICE, "model_key": f"stub/{model}"})
            assert made["model_key"] == f"stub:{model}"
            place = "/v1/pricing/" + quote(f"stub:{model}", safe="")
            assert (await client.ask("GET", place)).json == made
            assert (await client.ask("GET", f"{place}/history")).json == [made]
            assert (await client.ask("DELETE", f"{place}?effective_at={quote(made['effective_at'])}")).status == 204
            gone = await client.ask("GET", place)
            assert (gone.status, gone.json["detail"]) == (404, f"Pricing for model 'stub:{model}' not found")

    play(scene())
