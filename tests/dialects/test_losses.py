"""What may be left out of a request without a word, and what may not."""

from typing import Any

import pytest

from otari.dialects.losses import AND_MORE, MAX_NAME_CHARS, MAX_NAMES, collector, lost_key, name_unread
from otari.domain.errors import OtariError


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("store", False),
        ("logit_bias", {}),
        ("service_tier", "auto"),
        ("service_tier", "default"),
        ("stream_options", {"include_usage": True}),
        ("max_completion_tokens", 5),
        ("reasoning", {"effort": "low", "max_tokens": 5, "exclude": False}),
        ("include", ["reasoning.encrypted_content"]),
        ("modalities", ["text"]),
        ("truncation", "disabled"),
        ("verbosity", "medium"),
    ],
)
def test_what_asks_for_nothing_is_no_loss(key: str, value: Any) -> None:
    assert lost_key(key, value) is None


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("store", True, "store"),
        ("service_tier", "flex", "service_tier"),
        ("include", ["reasoning.encrypted_content", "message.output_text.logprobs"], "include"),
        ("truncation", "auto", "truncation"),
        ("web_search_options", {}, "web_search_options"),
        ("reasoning", {"effort": "low", "exclude": True}, "reasoning.exclude"),
        ("modalities", ["text", "image"], "modalities"),
        ("verbosity", "low", "verbosity"),
        ("brand_new", 0.5, "brand_new"),
    ],
)
def test_what_asks_for_something_has_a_name(key: str, value: Any, name: str) -> None:
    assert lost_key(key, value) == name


def test_an_answer_in_sound_is_refused() -> None:
    with pytest.raises(OtariError, match="remove audio") as caught:
        lost_key("modalities", ["text", "audio"])
    assert caught.value.param == "modalities"


def test_a_name_is_told_once_and_fits_into_a_header() -> None:
    dropped: list[str] = []
    drop = collector(dropped)
    for name in ("seed", "seed", "tool a\r\nb: c,d", "x" * 200):
        drop(name)
    assert dropped == ["seed", "tool a_b_ c_d", "x" * MAX_NAME_CHARS]


def test_names_have_an_end() -> None:
    """A provider could make up as many as it likes."""
    dropped: list[str] = []
    name_unread({f"key_{number}": 1 for number in range(10 * MAX_NAMES)}, (), collector(dropped))
    assert len(dropped) == MAX_NAMES
    assert (dropped[0], dropped[-2], dropped[-1]) == ("key_0", f"key_{MAX_NAMES - 2}", AND_MORE)


@pytest.mark.parametrize("value", [None, 0, "", False, [], {}, {"a": None, "b": [0, {"c": ""}]}])
def test_a_value_of_an_answer_that_says_nothing_is_no_loss(value: Any) -> None:
    dropped: list[str] = []
    name_unread({"known": 1, "other": value}, ("known",), collector(dropped))
    assert dropped == []


def test_keys_that_nobody_reads_are_named_in_their_order() -> None:
    dropped: list[str] = []
    name_unread({"z": 1, "known": 1, "a": {"b": [0, 1]}}, ("known",), collector(dropped), "usage.")
    assert dropped == ["usage.z", "usage.a"]
