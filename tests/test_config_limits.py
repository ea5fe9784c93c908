"""Limits of models in the configuration."""

import pytest

from otari.config import ConfigError, Loaded, limits, load, senses
from otari.domain.catalog import Limits
from otari.domain.provider import Senses


def configured(entries: str) -> Loaded:
    return load(None, {"OTARI_CONFIG_YAML": f"providers: {{stub: }}\nmodel_limits: {entries}"})


def problem_of(entries: str) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(entries)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{context_window: 200000, max_output_tokens: 64000}", Limits(200_000, 64_000)),
        ("{max_output_tokens: 64000}", Limits(None, 64_000)),
        ("{context_window: 8192, max_output_tokens: 8192}", Limits(8_192, 8_192)),
        ("", Limits(None, None)),
    ],
)
def test_a_limit_is_what_was_written(entry: str, expected: Limits) -> None:
    assert limits(configured(f"{{'stub:a': {entry}}}").config) == {"stub:a": expected}


def test_what_a_model_takes_is_what_was_written_and_nothing_else() -> None:
    text = "providers: {stub: }\nmodel_capabilities: {'stub/a': {supports_image: true}, 'stub:b': , 'gone:c': }"
    loaded = load(None, {"OTARI_CONFIG_YAML": text})
    assert senses(loaded.config) == {"stub:a": Senses(True, False), "stub:b": Senses(False, False)}
    assert [line for line in loaded.warnings if "gone" in line and "the entry is not used" in line]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("vision_describe_model: gone:m", "vision_describe_model: 'gone:m' is not a model of a configured provider"),
        ("vision_describe_model: m", "vision_describe_model: 'm' is not a model of a configured provider"),
        (
            "vision_describe_model: seer\naliases: {seer: ['stub:a', 'stub:b']}\nmodel_capabilities: {'stub/b': }",
            "vision_describe_model: 'stub:b' sees no pictures, as `model_capabilities` says",
        ),
        ("vision_strategy: ocr", "vision_strategy: must be one of describe, off, not the text 'ocr'"),
    ],
)
def test_who_describes_pictures_must_be_there_and_see_them(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"OTARI_CONFIG_YAML": f"providers: {{stub: }}\n{text}"})
    assert caught.value.problems == (problem,)


def test_the_model_s_name_is_brought_into_one_form() -> None:
    assert limits(configured("{'stub/org/a:b': {context_window: 5}}").config) == {"stub:org/a:b": Limits(5)}


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ("{'stub:a': {context_window: 0}}", "model_limits.'stub:a'.context_window: must be a whole number from 1"),
        ("{'stub:a': {max_output_tokens: 1.5}}", "model_limits.'stub:a'.max_output_tokens: must be a whole number"),
        ("{'stub:a': {max_tokens: 5}}", "model_limits.'stub:a'.max_tokens: unknown key"),
        (
            "{'stub:a': {context_window: 5, max_output_tokens: 6}}",
            "model_limits.'stub:a': `max_output_tokens` is larger than `context_window`",
        ),
        ("{a: {context_window: 5}}", "model_limits.a: must be written `provider:model`"),
        (
            "{'stub:a': {context_window: 5}, 'stub/a': {context_window: 5}}",
            "model_limits.'stub/a': stands twice, once with `:` and once with `/`",
        ),
    ],
)
def test_what_can_not_be_meant_is_told_at_its_place(entries: str, problem: str) -> None:
    assert problem_of(entries).startswith(problem)


def test_a_limit_of_a_provider_that_is_not_served_is_left_out_with_a_warning() -> None:
    loaded = configured("{'nowhere:x': {context_window: 5}}")
    assert limits(loaded.config) == {}
    assert loaded.warnings == ("model_limits.'nowhere:x': provider 'nowhere' is not configured, the limit is not used",)
