"""Connected or standing alone: what the token, `mode` and the older variables say, and what does not go together."""

from pathlib import Path

import orjson
import pytest

from otari.config import ConfigError, Loaded, load, platform_url, providers
from otari.config.settings import PlatformSettings

TOKEN = "gw_canary-token-1234567890"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a stray `.env`."""
    monkeypatch.chdir(tmp_path)


def from_document(document: object = None, **environ: str) -> Loaded:
    return load(None, {"OTARI_CONFIG_YAML": orjson.dumps(document or {}).decode(), **environ})


def problems_of(document: object = None, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        from_document(document, **environ)
    assert TOKEN not in str(caught.value)
    return caught.value.problems


def token_of(loaded: Loaded) -> str | None:
    return None if loaded.config.ai_token is None else loaded.config.ai_token.reveal()


@pytest.mark.parametrize(
    ("environ", "token"),
    [
        ({}, None),
        ({"OTARI_AI_TOKEN": ""}, None),
        ({"OTARI_AI_TOKEN": "  \t"}, None),
        ({"OTARI_AI_TOKEN": "gw_a"}, "gw_a"),
        ({"OTARI_AI_TOKEN": " gw_a\n"}, "gw_a"),
        ({"OTARI_PLATFORM_TOKEN": "gw_b"}, "gw_b"),
        ({"ANY_LLM_PLATFORM_TOKEN": " gw_c "}, "gw_c"),
        ({"OTARI_AI_TOKEN": " ", "OTARI_PLATFORM_TOKEN": " ", "ANY_LLM_PLATFORM_TOKEN": "gw_c"}, "gw_c"),
        ({"OTARI_AI_TOKEN": "gw_a", "OTARI_PLATFORM_TOKEN": "gw_b", "ANY_LLM_PLATFORM_TOKEN": "gw_c"}, "gw_a"),
        ({"OTARI_PLATFORM_TOKEN": "gw_b", "ANY_LLM_PLATFORM_TOKEN": "gw_c"}, "gw_b"),
    ],
)
def test_the_first_token_that_says_something_counts(environ: dict[str, str], token: str | None) -> None:
    loaded = load(None, environ)
    assert token_of(loaded) == token
    assert platform_url(loaded.config) == (None if token is None else "https://api.otari.ai/api/v1")


def test_the_token_may_stand_in_the_document() -> None:
    assert token_of(from_document({"ai_token": "${MINE}"}, MINE=TOKEN)) == TOKEN
    assert token_of(from_document({"ai_token": "gw_doc"}, OTARI_AI_TOKEN=TOKEN)) == TOKEN
    assert token_of(from_document({"ai_token": "gw_doc"}, OTARI_PLATFORM_TOKEN=TOKEN)) == "gw_doc"
    assert token_of(from_document({"ai_token": None})) is None
    assert problems_of({"ai_token": 7}) == ("ai_token: must be text (put it in quotes), not a number",)


def test_a_token_is_not_shown() -> None:
    loaded = from_document(OTARI_AI_TOKEN=TOKEN)
    assert TOKEN not in repr(loaded)
    assert TOKEN not in repr(loaded.config)


def test_a_token_in_a_file_that_others_can_read_brings_a_warning() -> None:
    file = Path("otari.yaml")
    file.write_text(f"ai_token: {TOKEN}\n")
    file.chmod(0o644)
    (warning,) = load("otari.yaml", {}).warnings
    assert "other users can read this file and the keys in it (ai_token)" in warning


@pytest.mark.parametrize("token", ["two words", "gw_ä", "gw_\x7f"])
def test_a_token_that_can_not_travel_is_an_error(token: str) -> None:
    (problem,) = problems_of(OTARI_AI_TOKEN=token)
    assert problem == "ai_token: holds blanks or characters that can not travel in a header"


# ---- mode ----


@pytest.mark.parametrize("mode", ["connected", "hybrid", "platform"])
def test_a_mode_that_needs_a_token(mode: str) -> None:
    (problem,) = problems_of(OTARI_MODE=mode)
    assert problem == f"mode: {mode} requires OTARI_AI_TOKEN to be set: it leads to the platform"
    assert from_document(OTARI_MODE=mode, OTARI_AI_TOKEN=TOKEN).config.mode == mode
    assert from_document({"mode": mode}, OTARI_PLATFORM_TOKEN=TOKEN).config.mode == mode


def test_a_mode_that_must_have_none() -> None:
    (problem,) = problems_of(OTARI_MODE="standalone", OTARI_AI_TOKEN=TOKEN)
    assert problem == "mode: standalone, but OTARI_AI_TOKEN is set: unset it, or leave out `mode`"
    assert from_document(OTARI_MODE="standalone").config.mode == "standalone"
    assert from_document(OTARI_MODE="").config.mode is None


def test_a_mode_that_is_none() -> None:
    (problem,) = problems_of(OTARI_MODE="hybird", OTARI_AI_TOKEN=TOKEN)
    assert problem.startswith("OTARI_MODE: ")


# ---- what the platform decides ----


def test_providers_of_the_environment_are_not_served_when_connected() -> None:
    environ = {"OTARI_AI_TOKEN": TOKEN, "OPENAI_API_KEY": "sk-own", "ANTHROPIC_BASE_URL": "nonsense"}
    loaded = from_document(**environ)
    assert (providers(loaded.config, environ), loaded.automatic, loaded.warnings) == ((), (), ())


@pytest.mark.parametrize(
    "entry",
    [
        {"api_key": "sk-own"},
        {"type": "openai", "api_key": "sk-own"},
        {"client_args": {"custom_headers": {"X-Key": "sk-own"}}},
        {"type": "openai_compatible", "api_base": "https://user:word@host/v1"},
    ],
)
def test_credentials_of_ones_own_do_not_go_with_a_platform(entry: dict[str, object]) -> None:
    (problem,) = problems_of({"providers": {"openai": entry}}, OTARI_AI_TOKEN=TOKEN)
    assert problem == (
        "providers.openai: local provider credentials are not supported when connected: the platform gives them;"
        " remove it"
    )


def test_the_rest_of_a_configuration_of_ones_own_is_named_and_not_used() -> None:
    document = {
        "providers": {"openai": {"models": ["gpt-5.2"]}, "stub": {"type": "stub"}},
        "aliases": {"fast": "nobody:knows"},
        "pricing": {"openai:gpt-5.2": {"input_price_per_million": 1, "output_price_per_million": 2}},
        "model_limits": {"nobody:knows": {"context_window": 5}},
        "rate_limit_rpm": 5,
        "master_key": "weak",
    }
    warnings = from_document(document, OTARI_AI_TOKEN=TOKEN).warnings
    assert list(warnings) == [
        "providers.openai: is not used when connected: the platform chooses providers",
        "providers.stub: is not used when connected: the platform chooses providers",
        *(
            f"{key}: is not used when connected: the platform decides"
            for key in ("aliases", "pricing", "model_limits", "master_key", "rate_limit_rpm")
        ),
    ]


def test_other_machines_may_be_served_without_a_master_key() -> None:
    """Nothing is managed here, and the platform judges every caller."""
    assert from_document({"host": "0.0.0.0"}, OTARI_AI_TOKEN=TOKEN).config.host == "0.0.0.0"
    assert "master_key" in problems_of({"host": "0.0.0.0"})[0]


def test_the_database_is_checked_all_the_same() -> None:
    (problem,) = problems_of({"database_url": "postgresql://x"}, OTARI_AI_TOKEN=TOKEN)
    assert problem.startswith("database_url: ")


# ---- where the platform is ----


def test_the_variables_of_the_platform_count_where_the_document_says_nothing() -> None:
    variables = {
        "PLATFORM_BASE_URL": "http://127.0.0.1:9/api/v1",
        "PLATFORM_RESOLVE_TIMEOUT_MS": "1",
        "PLATFORM_USAGE_TIMEOUT_MS": "2",
        "PLATFORM_USAGE_INLINE_TIMEOUT_MS": "0",
        "STREAMING_FALLBACK_FIRST_CHUNK_TIMEOUT_MS": "4",
        "STREAMING_FALLBACK_FINAL_ATTEMPT_EXTRA_FIRST_CHUNK_TIMEOUT_MS": "5",
    }
    expected = PlatformSettings(
        base_url="http://127.0.0.1:9/api/v1",
        resolve_timeout_ms=1,
        usage_timeout_ms=2,
        usage_inline_timeout_ms=0,
        streaming_first_chunk_timeout_ms=4,
        streaming_final_attempt_extra_timeout_ms=5,
    )
    assert from_document(OTARI_AI_TOKEN=TOKEN, **variables).config.platform == expected
    told = {"platform": {"resolve_timeout_ms": 77, "base_url": "https://other/v1"}}
    config = from_document(told, OTARI_AI_TOKEN=TOKEN, **variables).config.platform
    assert (config.resolve_timeout_ms, config.base_url, config.usage_timeout_ms) == (77, "https://other/v1", 2)


@pytest.mark.parametrize(
    "url", ["ftp://host/v1", "host/v1", "https://", "https://user:word@host", "https://host?x=1", "https://ho st", ""]
)
def test_an_address_that_is_none(url: str) -> None:
    (problem, *_) = problems_of({"platform": {"base_url": url}}, OTARI_AI_TOKEN=TOKEN)
    assert problem.startswith("platform.base_url: ")
    assert "word" not in problem


@pytest.mark.parametrize(
    ("url", "warns"),
    [("http://platform.example/v1", True), ("http://127.0.0.1:8/v1", False), ("https://platform.example/v1", False)],
)
def test_an_address_without_encryption_brings_a_warning(url: str, warns: bool) -> None:
    warnings = from_document({"platform": {"base_url": url}}, OTARI_AI_TOKEN=TOKEN).warnings
    assert [line for line in warnings if line.startswith("platform.base_url: is not https")] == list(warnings)
    assert bool(warnings) is warns


def test_keys_of_the_original_that_mean_nothing_here_are_named() -> None:
    told = {"platform": {"usage_max_retries": 3, "streaming_first_chunk_timeout_ms_tool_loop": 30000}}
    warnings = from_document(told, OTARI_AI_TOKEN=TOKEN).warnings
    assert sorted(line.split(":")[0] for line in warnings) == [
        "platform.streaming_first_chunk_timeout_ms_tool_loop",
        "platform.usage_max_retries",
    ]


@pytest.mark.parametrize(
    "told",
    [
        {"resolve_timeout_ms": 0},
        {"usage_inline_timeout_ms": 60_001},
        {"usage_timeout_ms": "soon"},
        {"allow_private_hosts": "maybe"},
        {"timeout": 5},
    ],
)
def test_a_wrong_key_is_named(told: dict[str, object]) -> None:
    (problem,) = problems_of({"platform": told}, OTARI_AI_TOKEN=TOKEN)
    assert problem.startswith(f"platform.{next(iter(told))}: ")


def test_a_platform_that_is_no_mapping() -> None:
    (problem,) = problems_of({"platform": ["x"]}, OTARI_AI_TOKEN=TOKEN)
    assert problem.startswith("platform: ")
