"""Providers: the shipped types, and what configuration and environment make of them."""

from pathlib import Path

import pytest

from otari.config import ConfigError, Loaded, load, providers
from otari.config.provider_types import provider_types
from otari.config.providers import SPOKEN
from otari.domain.provider import ALL_SENSES, NO_QUIRKS, Provider, Quirks, Senses, Timeouts
from otari.domain.secret import Secret
from otari.operations import OPERATIONS

KEY = "sk-test-0123456789"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded_from(text: str, **environ: str) -> Loaded:
    return load(None, {**environ, "OTARI_CONFIG_YAML": text})


def serving(text: str, **environ: str) -> dict[str, Provider]:
    loaded = loaded_from(text, **environ)
    return {provider.name: provider for provider in providers(loaded.config, loaded.environ)}


def problems_of(text: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded_from(text, **environ)
    return caught.value.problems


# ---- the shipped types ---------------------------------------------------------------------------------------------


def test_the_shipped_types_cover_the_common_vendors() -> None:
    names = set(provider_types())
    assert len(names) >= 45
    assert names >= {
        *("openai", "anthropic", "gemini", "mistral", "groq", "deepseek", "openrouter", "together", "fireworks"),
        *("cerebras", "xai", "moonshot", "zai", "perplexity", "cohere", "azureopenai", "openai_compatible", "stub"),
        *("ollama", "llamacpp", "llamafile", "lmstudio", "vllm", "sglang"),
    }


@pytest.mark.parametrize("name", provider_types())
def test_every_shipped_type_can_be_served(name: str) -> None:
    kind = provider_types()[name]
    base = "" if kind.base_url or kind.via == "stub" else "api_base: https://host.example/v1"
    environ = {kind.key_env[0]: KEY} if kind.key_env else {}
    provider = serving(f"port: 4711\nproviders: {{{name}: {{{base}}}}}", **environ)[name]
    assert provider.speaks == tuple(SPOKEN[word] for word in kind.dialects)
    assert set(provider.paths) <= {*provider.speaks, *provider.operations}
    assert all(path.startswith("/") for path in provider.paths.values())
    assert set(provider.auths) <= {*provider.speaks, *provider.operations}
    assert provider.operations == kind.operations
    assert provider.batch_discount_percent == kind.batch_discount_percent
    told = dict(provider.operations)
    assert told.pop("batches", "openai") in {"openai", "anthropic", "mistral", "gemini", "stub"}
    assert all(flavour in OPERATIONS[operation].flavours for operation, flavour in told.items())
    assert provider.speaks or provider.operations
    assert provider.free is kind.local
    assert (provider.secret is None) is (not kind.key_env or kind.via == "stub")
    assert (provider.auth == "none") is (provider.secret is None)
    if provider.via == "live":
        assert provider.base_url.startswith("http://" if kind.local else "https://")
        assert not provider.base_url.endswith("/")


def test_a_shipped_address_already_ends_as_given_ones_must() -> None:
    for kind in provider_types().values():
        if kind.base_url and kind.base_suffix:
            assert kind.base_url.endswith(kind.base_suffix)


# ---- switched on by the environment --------------------------------------------------------------------------------


def test_a_key_variable_switches_a_vendor_on() -> None:
    found = serving("", GROQ_API_KEY=f" {KEY}\n", GOOGLE_API_KEY=KEY, XAI_API_KEY="")
    assert list(found) == ["gemini", "groq"]
    assert found["groq"].secret == Secret(KEY)
    assert loaded_from("", GROQ_API_KEY=KEY).automatic == ("groq",)


def test_configured_providers_come_first_and_are_not_doubled() -> None:
    loaded = loaded_from("providers: {stub: , openai: {models: [m]}}", OPENAI_API_KEY=KEY, MISTRAL_API_KEY=KEY)
    assert [p.name for p in providers(loaded.config, loaded.environ)] == ["stub", "openai", "mistral"]
    assert loaded.automatic == ("mistral",)


def test_a_key_in_dotenv_switches_a_vendor_on() -> None:
    Path(".env").write_text(f"OPENAI_API_KEY={KEY}\n")
    assert serving("")["openai"].secret == Secret(KEY)


@pytest.mark.parametrize(
    "variable",
    ["OLLAMA_API_KEY", "VLLM_API_KEY", "LM_STUDIO_API_KEY", "GITHUB_TOKEN", "OTARI_API_KEY", "CLOUDFLARE_API_TOKEN"],
)
def test_local_servers_and_shared_variables_switch_nothing_on(variable: str) -> None:
    assert serving("", **{variable: KEY}) == {}


def test_a_vendor_without_a_common_address_needs_both_variables() -> None:
    assert serving("", AZURE_OPENAI_API_KEY=KEY) == {}
    found = serving("", AZURE_OPENAI_API_KEY=KEY, AZURE_OPENAI_ENDPOINT="https://me.openai.azure.com/")
    assert found["azureopenai"].base_url == "https://me.openai.azure.com/openai/v1"
    assert found["azureopenai"].auth == "api-key"


@pytest.mark.parametrize(
    "environ",
    [
        {"OPENAI_BASE_URL": "http://localhost:8000/v1"},
        {"OPENAI_BASE_URL": "nonsense://"},
        {"OPENAI_API_KEY": "two words"},
    ],
)
def test_unusable_variables_of_an_unconfigured_vendor_are_only_a_warning(environ: dict[str, str]) -> None:
    environ = {"OPENAI_API_KEY": KEY, **environ}
    loaded = loaded_from("", **environ)
    assert loaded.automatic == ()
    (warning,) = loaded.warnings
    assert warning.endswith("(so provider openai is not switched on)")
    assert "two words" not in warning


# ---- keys ----------------------------------------------------------------------------------------------------------


def test_the_configured_key_wins_over_variables_and_the_first_variable_over_the_next() -> None:
    environ = {"GEMINI_API_KEY": "first", "GOOGLE_API_KEY": "second"}
    assert serving("providers: {gemini: }", **environ)["gemini"].secret == Secret("first")
    assert serving("providers: {gemini: {api_key: mine}}", **environ)["gemini"].secret == Secret("mine")
    assert serving("providers: {gemini: {api_key: ''}}", **environ)["gemini"].secret == Secret("first")


def test_a_missing_key_names_the_variables() -> None:
    assert problems_of("providers: {gemini: , work: {type: openai}}") == (
        "providers.gemini: Google Gemini API needs a key: set the variable GEMINI_API_KEY or GOOGLE_API_KEY,"
        " or `api_key`",
        "providers.work: OpenAI needs a key: set the variable OPENAI_API_KEY, or `api_key`",
    )


def test_an_unusable_key_is_told_and_not_shown() -> None:
    (problem,) = problems_of("providers: {openai: {api_key: 'sk-with space'}}")
    assert problem == "providers.openai.api_key: holds blanks or characters that can not travel in a header"


def test_an_openai_compatible_server_takes_no_key_of_another_vendor() -> None:
    for word in ("openai_compatible", "openai-compatible"):
        lab = serving(
            f"providers: {{lab: {{type: {word}, api_base: 'http://10.0.0.5:9000/v1/'}}}}", OPENAI_API_KEY=KEY
        )["lab"]
        assert (lab.secret, lab.auth, lab.base_url, lab.free) == (None, "none", "http://10.0.0.5:9000/v1", False)


# ---- addresses -----------------------------------------------------------------------------------------------------


def test_the_configured_address_wins_over_the_variable() -> None:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://from.env/v1"}
    assert serving("", **environ)["openai"].base_url == "https://from.env/v1"
    text = "providers: {openai: {api_base: 'https://mine/v1'}}"
    assert serving(text, **environ)["openai"].base_url == "https://mine/v1"


@pytest.mark.parametrize(
    ("name", "given", "used"),
    [
        ("ollama", "0.0.0.0:11434", "http://0.0.0.0:11434/v1"),
        ("ollama", "http://box:11434/v1/", "http://box:11434/v1"),
        ("anthropic", "https://api.anthropic.com", "https://api.anthropic.com/v1"),
        ("anthropic", "https://proxy/anthropic/v1", "https://proxy/anthropic/v1"),
        ("gemini", "https://g.example", "https://g.example/v1beta/openai"),
        ("gemini", "https://g.example/v1beta/", "https://g.example/v1beta/openai"),
        ("databricks", "dbc-1.cloud.databricks.com", "https://dbc-1.cloud.databricks.com/serving-endpoints"),
        ("openai", "https://o.example/x/v1", "https://o.example/x/v1"),
    ],
)
def test_addresses_from_variables_are_completed(name: str, given: str, used: str) -> None:
    kind = provider_types()[name]
    environ = {kind.base_url_env[0]: given, **({kind.key_env[0]: KEY} if kind.key_env else {})}
    assert serving(f"providers: {{{name}: }}", **environ)[name].base_url == used


@pytest.mark.parametrize(
    "url",
    [
        *("host/v1", "ftp://host", "https://", "https://u:hunter2@host/v1", "https://host/v1?key=hunter2"),
        *(
            "https://host/#x",
            "https://ho st/",
            "https://host:99999/",
            "https://host\\@evil/",
            "http://[::1/",
            "http://h:0/",
        ),
    ],
)
def test_addresses_that_are_none_are_refused_and_not_shown(url: str) -> None:
    (problem,) = problems_of(f"providers: {{openai: {{api_key: k, api_base: '{url}'}}}}")
    assert problem.startswith("providers.openai.api_base: must be an address such as")
    assert "hunter2" not in problem


def test_a_required_address_is_asked_for() -> None:
    assert problems_of("providers: {lab: {type: openai_compatible}, databricks: {api_key: k}}") == (
        "providers.lab.api_base: is required: Any OpenAI-compatible server has no common address",
        "providers.databricks.api_base: is required: Databricks has no common address, or set DATABRICKS_HOST",
    )


@pytest.mark.parametrize(
    ("port", "url", "own"),
    [
        (8000, "http://localhost:8000/v1", True),
        (8000, "http://127.0.0.1:8000/v1", True),
        (8000, "http://[::1]:8000/v1", True),
        (80, "http://localhost/v1", True),
        (8001, "http://localhost:8000/v1", False),
        (8000, "http://other:8000/v1", False),
    ],
)
def test_a_provider_is_not_this_gateway_itself(port: int, url: str, own: bool) -> None:
    text = f"port: {port}\nproviders: {{lab: {{type: openai_compatible, api_base: '{url}'}}}}"
    if own:
        assert "this gateway's own address" in problems_of(text)[0]
    else:
        assert serving(text)["lab"].base_url == url


# ---- everything else of an entry -----------------------------------------------------------------------------------


def test_a_full_entry() -> None:
    provider = serving(
        """
        providers:
          work:
            provider_type: mistral
            api_key: ${K}
            models: [a, b/c]
            dialects: [messages, chat]
            connect_timeout_s: 2
            silence_timeout_s: 33.5
            stream_usage: true
            quirks: {user_after_tools: true, efforts: [low]}
            client_args: {timeout: 9, custom_headers: {X-Team: "a b", authorization-extra: "${K}"}}
        """,
        K=KEY,
    )["work"]
    assert provider == Provider(
        name="work",
        via="live",
        base_url="https://api.mistral.ai/v1",
        secret=Secret(KEY),
        auth="bearer",
        speaks=("anthropic-messages", "openai-chat"),
        headers=(("X-Team", Secret("a b")), ("authorization-extra", Secret(KEY))),
        models=("a", "b/c"),
        timeouts=Timeouts(2.0, 33.5),
        stream_usage=True,
        operations=dict.fromkeys(("embeddings", "moderations", "transcriptions", "speech", "batches"), "mistral"),
        batch_discount_percent=50,
        kind="mistral",
        quirks=Quirks(
            later_system="keep", content_null=False, seed_key="random_seed", efforts=("low",), tool_ids="nine"
        ),
    )
    assert KEY not in repr(provider)


def test_the_older_timeout_is_the_silence_that_is_borne() -> None:
    found = serving("providers: {openai: {api_key: k, client_args: {timeout: 9}}, groq: {api_key: k}}")
    assert found["openai"].timeouts == Timeouts(10.0, 9.0)
    assert found["groq"].timeouts == Timeouts()


def test_servers_that_refuse_stream_options_are_known() -> None:
    found = serving("providers: {openai: {api_key: k}, mistral: {api_key: k}}")
    assert (found["openai"].stream_usage, found["mistral"].stream_usage) == (True, False)


def test_only_local_servers_are_known_to_take_no_documents() -> None:
    found = serving("providers: {ollama: , lmstudio: , openai: {api_key: k}, mistral: {api_key: k}, stub: }")
    taking = {name: provider.senses for name, provider in found.items()}
    assert taking["ollama"] == taking["lmstudio"] == Senses(images=True, documents=False)
    assert taking["openai"] == taking["mistral"] == taking["stub"] == ALL_SENSES


def test_a_server_that_nobody_knows_has_no_quirks_but_those_that_are_set() -> None:
    found = serving(
        """
        providers:
          lab: {type: openai_compatible, api_base: "http://h/v1"}
          den: {type: openai_compatible, api_base: "http://d/v1", quirks: {shapes: [], top_k: yes}}
          openai: {api_key: k}
        """
    )
    assert found["lab"].quirks == NO_QUIRKS
    assert found["den"].quirks == Quirks(shapes=(), top_k=True)
    assert (found["openai"].quirks.developer_role, found["openai"].quirks.max_tokens_key) == (
        True,
        "max_completion_tokens",
    )


def test_the_dialects_of_an_entry_win_over_those_of_its_type() -> None:
    assert serving("providers: {openai: {api_key: k}}")["openai"].speaks == ("openai-responses", "openai-chat")
    told = serving("providers: {openai: {api_key: k, dialects: [messages, gemini, messages]}}")["openai"]
    assert told.speaks == ("anthropic-messages", "gemini")


def test_strict_translation_is_a_matter_of_the_provider() -> None:
    assert serving("providers: {openai: {api_key: k, translation: strict}}")["openai"].strict
    assert not serving("providers: {openai: {api_key: k}}")["openai"].strict
    (problem,) = problems_of("providers: {openai: {api_key: k, translation: loose}}")
    assert problem.startswith("providers.openai.translation: ")


def test_batches_are_handed_to_the_vendor_and_to_other_servers_only_if_told_so() -> None:
    found = serving(
        """
        providers:
          openai: {api_key: k}
          proxy: {type: openai, api_key: k, api_base: "http://h/v1"}
          told: {type: openai, api_key: k, api_base: "http://h/v1", batches: yes, batch_discount_percent: 20}
          anthropic: {api_key: k, batches: no}
          groq: {api_key: k, batches: yes}
        """
    )
    flavours = {name: provider.operations.get("batches") for name, provider in found.items()}
    assert flavours == {"openai": "openai", "proxy": None, "told": "openai", "anthropic": None, "groq": None}
    discounts = {name: provider.batch_discount_percent for name, provider in found.items()}
    assert discounts == {"openai": 50, "proxy": 50, "told": 20, "anthropic": 50, "groq": 0}
    for text in ("101", "-1", "12.5", "half"):
        (problem,) = problems_of(f"providers: {{openai: {{api_key: k, batch_discount_percent: {text}}}}}")
        assert problem.startswith("providers.openai.batch_discount_percent: ")


def test_the_stub() -> None:
    text = "providers: {fake: {type: stub, models: [m], script: s.yaml, unpriced_models: [dear]}}"
    assert serving(text)["fake"] == Provider(
        name="fake",
        via="stub",
        auth="none",
        speaks=("openai-chat", "anthropic-messages", "openai-responses", "gemini"),
        models=("m",),
        free=True,
        unpriced_models=("dear",),
        usage_source="stub",
        operations={**{name: "otari" if name == "rerank" else "openai" for name in OPERATIONS}, "batches": "stub"},
        kind="stub",
    )
    assert loaded_from(text).config.providers["fake"].script == "s.yaml"


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("stub: {api_key: k}", "providers.stub.api_key"),
        ("stub: {api_base: 'https://h'}", "providers.stub.api_base"),
        ("ollama: {script: s}", "providers.ollama.script"),
        ("ollama: {unpriced_models: [m]}", "providers.ollama.unpriced_models"),
        ("'a:b': {type: stub}", "providers.'a:b'"),
        ("'a b': {type: stub}", "providers.'a b'"),
        ("'': {type: stub}", "providers.''"),
        ("opena: {}", "providers.opena"),
        ("x: {type: stub, provider_type: stub}", "providers.x.provider_type"),
        ("ollama: {client_args: {max_retries: 1}}", "providers.ollama.client_args.max_retries"),
        ("ollama: {quirks: {topk: true}}", "providers.ollama.quirks.topk"),
        ("ollama: {quirks: {efforts: [low, extreme]}}", "providers.ollama.quirks.efforts[1]"),
        ("ollama: {client_args: {timeout: 0}}", "providers.ollama.client_args.timeout"),
        ("ollama: {client_args: {custom_headers: {'a b': c}}}", "providers.ollama.client_args.custom_headers.'a b'"),
        ("ollama: {client_args: {custom_headers: {Host: c}}}", "providers.ollama.client_args.custom_headers.Host"),
        (
            'ollama: {client_args: {custom_headers: {a: "b\\r\\nc: d"}}}',
            "providers.ollama.client_args.custom_headers.a",
        ),
    ],
)
def test_entries_that_are_refused(entry: str, place: str) -> None:
    (problem,) = problems_of(f"providers: {{{entry}}}")
    assert problem.startswith(place + ": ")


def test_a_type_that_is_nearly_right_is_suggested() -> None:
    assert "did you mean `openrouter`?" in problems_of("providers: {openroute: {}}")[0]


def test_providers_tells_every_problem_when_the_environment_lost_its_keys() -> None:
    config = loaded_from("providers: {openai: , groq: }", OPENAI_API_KEY=KEY, GROQ_API_KEY=KEY).config
    with pytest.raises(ConfigError) as caught:
        providers(config, {})
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["providers.openai", "providers.groq"]
