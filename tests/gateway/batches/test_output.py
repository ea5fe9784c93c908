"""What a batch ends with: every result on one line, and read from it as it was."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otari.domain.batch import LineResult
from otari.gateway.batches.output import read_result, write_result

BATCH = "batch_" + "1" * 32
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.text(min_size=1), st.sampled_from([0, orjson.OPT_INDENT_2]))
def test_an_answer_is_one_line_whatever_is_in_it(body: dict[str, object], custom_id: str, option: int) -> None:
    sent = orjson.dumps(body, option=option)
    written = write_result(BATCH, LineResult(1, custom_id, "req_1", 200, sent.replace(b"\n", b"\r\n")))
    assert written.count(b"\n") == 1
    assert written.endswith(b"\n")
    assert read_result(written) == (custom_id, body, None, None)


def test_the_shape_is_openai_s() -> None:
    written = orjson.loads(write_result(BATCH, LineResult(1, "a", "req_" + "2" * 32, 200, b'{"x": 1}')))
    assert written == {
        "id": "batch_req_" + "2" * 32,
        "custom_id": "a",
        "response": {"status_code": 200, "request_id": "req_" + "2" * 32, "body": {"x": 1}},
        "error": None,
    }
    written = orjson.loads(write_result(BATCH, LineResult(7, "b", "", 0, None, "batch_expired", "Too late.")))
    assert written["response"] is None
    assert written["error"] == {"code": "batch_expired", "message": "Too late."}
    assert written["id"] == f"batch_req_{'1' * 32}_7"


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b'{"error": {"code": "c", "type": "t", "message": "m"}}', "c", "m"),
        (b'{"type": "error", "error": {"type": "t", "message": "m"}}', "t", "m"),
        (b'{"error": {"code": null, "type": "t", "message": ""}}', "t", "HTTP status 429"),
        (b'{"error": "m"}', "429", "HTTP status 429"),
        (b"[]", "429", "HTTP status 429"),
        (None, "429", "HTTP status 429"),
    ],
)
def test_a_refusal_is_told_by_its_code_and_words(body: bytes | None, code: str, message: str) -> None:
    written = write_result(BATCH, LineResult(1, "a", "req_1", 429, body))
    assert read_result(written) == ("a", None, code, message)
