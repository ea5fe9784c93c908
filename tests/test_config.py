"""`otari.config.load`: sources and their order, every kind of problem, rules between keys, secrets that stay secret."""

import base64
import os
from pathlib import Path

import pytest

from otari.config import Config, ConfigError, Loaded, load, load_stub_script, prices
from otari.domain.price import Price
from otari.domain.secret import Secret

KEY = "sk-canary-0123456789abcdef"
MASTER = "m4ster-cAnary-9f8e7d6c5b4a"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a stray `.env`."""
    monkeypatch.chdir(tmp_path)


def from_text(text: str, **environ: str) -> Loaded:
    """Load a file with this text, readable by its owner only."""
    file = Path("otari.yaml")
    file.write_text(text)
    file.chmod(0o600)
    return load("otari.yaml", environ)


def problems_of(text: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        from_text(text, **environ)
    return caught.value.problems


# ---- sources -------------------------------------------------------------------------------------------------------


def test_without_anything_the_defaults_hold() -> None:
    loaded = load(None, {})
    assert loaded.config == Config()
    assert loaded.warnings == ()
    assert loaded.source == "defaults and environment"


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "{}\n", "port:\npricing:\n"])
def test_an_empty_file_or_an_empty_key_is_the_default(text: str) -> None:
    assert from_text(text).config == Config()


def test_each_source_wins_over_the_one_before() -> None:
    environ = {"GATEWAY_PORT": "1", "GATEWAY_LOG_LEVEL": "error", "GATEWAY_HOST": "127.0.0.9"}
    assert load(None, environ).config.port == 1
    text = "port: 2\nlog_level: debug\n"
    assert from_text(text, **environ).config.port == 2
    environ["OTARI_CONFIG_YAML"] = "port: 3"
    assert from_text(text, **environ).config.port == 3
    environ["OTARI_PORT"] = "4"
    config = from_text(text, **environ).config
    assert (config.port, config.log_level, config.host) == (4, "debug", "127.0.0.9")


def test_a_document_in_the_environment_replaces_whole_top_level_keys() -> None:
    text = "providers: {one: {type: stub}}\nport: 81\n"
    loaded = from_text(text, OTARI_CONFIG_YAML="providers: {two: {type: stub}}")
    assert list(loaded.config.providers) == ["two"]
    assert loaded.config.port == 81
    assert loaded.source == "otari.yaml + OTARI_CONFIG_YAML"


def test_a_base64_document_may_be_wrapped_and_gives_way_to_a_raw_one() -> None:
    encoded = base64.encodebytes(b"port: 77\naliases: {}\n" + b"# " + b"x" * 200).decode()
    assert "\n" in encoded.strip()
    assert load(None, {"OTARI_CONFIG_B64": encoded}).config.port == 77
    both = load(None, {"OTARI_CONFIG_B64": encoded, "OTARI_CONFIG_YAML": "port: 78"})
    assert both.config.port == 78
    assert any("OTARI_CONFIG_B64" in warning for warning in both.warnings)


@pytest.mark.parametrize(("word", "meaning"), [("1", True), ("Yes", True), ("on", True), ("0", False), ("NO", False)])
def test_booleans_of_the_environment(word: str, meaning: bool) -> None:
    assert load(None, {"OTARI_REQUIRE_PRICING": word}).config.require_pricing is meaning


def test_an_empty_variable_counts_as_not_set() -> None:
    assert from_text("port: 5", OTARI_PORT="", OTARI_CONFIG_YAML="", OTARI_CONFIG_B64="").config.port == 5


def test_a_variable_can_not_set_what_has_many_values_and_says_so() -> None:
    loaded = load(None, {"OTARI_PROVIDERS": "openai", "OTARI_DB_POOL_SIZE": "9"})
    assert loaded.config.providers == {}
    assert [warning.split(":")[0] for warning in loaded.warnings] == ["OTARI_PROVIDERS", "OTARI_DB_POOL_SIZE"]


def test_a_bad_variable_is_named_and_its_value_is_not_shown() -> None:
    (problem,) = problems_of("", OTARI_PORT="no-such-port")
    assert problem == "OTARI_PORT: must be a whole number from 0 to 65535, not what the environment says"


def test_references_take_values_of_the_environment() -> None:
    loaded = from_text("port: ${P}\nhost: ${A}.${B}\nmaster_key: ${K}", P="90", A="127", B="0.0.1", K=MASTER)
    assert (loaded.config.port, loaded.config.host) == (90, "127.0.0.1")
    assert loaded.config.master_key == Secret(MASTER)


def test_a_doubled_dollar_is_a_plain_one() -> None:
    entry = from_text("providers: {s: {type: stub, models: ['$${x}-$$1', '$y']}}").config.providers["s"]
    assert entry.models == ("${x}-$$1", "$y")


def test_every_unset_reference_is_told_with_its_place() -> None:
    problems = problems_of("host: ${H}\nproviders: {openai: {api_key: '${K}', models: [a, '${M}']}}", H="127.0.0.1")
    assert "providers.openai.api_key: environment variable K is not set" in problems
    assert "providers.openai.models[1]: environment variable M is not set" in problems


@pytest.mark.parametrize("text", ["${}", "${A B}", "${A:-x}", "${A"])
def test_a_broken_reference_is_told(text: str) -> None:
    assert any(p.startswith("log_level: a reference is written `${NAME}`") for p in problems_of(f"log_level: '{text}'"))


def test_a_reference_of_a_replaced_key_is_not_missed() -> None:
    assert from_text("port: ${UNSET}", OTARI_PORT="8").config.port == 8


# ---- .env ----------------------------------------------------------------------------------------------------------


def test_dotenv_beside_the_file_then_of_the_working_directory_then_nothing() -> None:
    Path("conf").mkdir()
    Path("conf/otari.yaml").write_text("port: ${P}\nhost: ${H}\nlog_level: ${L}\n")
    Path("conf/.env").write_text("P=11\nH=127.0.0.2\n")
    Path(".env").write_text("P=22\nH=127.0.0.3\nL=debug\n")
    loaded = load("conf/otari.yaml", {"H": "127.0.0.4"})
    assert (loaded.config.port, loaded.config.host, loaded.config.log_level) == (11, "127.0.0.4", "debug")
    assert loaded.environ["P"] == "11"


def test_dotenv_forms() -> None:
    Path(".env").write_text(
        "\ufeff# comment\n\nexport A=1\nB = 'two # words'  # why\n"
        'C="x\\ny\\""\nD=plain # comment\nE=\nF=a#b\nnonsense\n'
    )
    loaded = load(None, {})
    assert [loaded.environ[name] for name in "ABCDEF"] == ["1", "two # words", 'x\ny"', "plain", "", "a#b"]
    assert [w for w in loaded.warnings if w.endswith("line 9: not NAME=value, ignored")]


@pytest.mark.parametrize("data", [b"A=\xff\n", b"A=" + b"x" * (1 << 20)], ids=["not UTF-8", "too large"])
def test_an_unusable_dotenv_stops_the_start(data: bytes) -> None:
    Path(".env").write_bytes(data)
    with pytest.raises(ConfigError, match=r"\.env"):
        load(None, {})


# ---- files that can not be read ------------------------------------------------------------------------------------


def test_unreadable_files_give_one_line_each() -> None:
    Path("folder").mkdir()
    os.mkfifo("pipe")
    Path("big").write_bytes(b"#" * ((1 << 20) + 1))
    Path("binary").write_bytes(b"port: 1\nhost: \xff\n")
    for path, reason in {
        "missing.yaml": "no such file",
        "folder": "can not be read",
        "pipe": "not a regular file",
        "big": "larger than 1024 KiB",
        "binary": "line 2: not UTF-8",
        "nul\0": "not a file name",
    }.items():
        with pytest.raises(ConfigError, match=reason) as caught:
            load(path, {})
        assert len(caught.value.problems) == 1
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"OTARI_CONFIG_B64": "*"}, "OTARI_CONFIG_B64: not base64"),
        ({"OTARI_CONFIG_B64": "é"}, "OTARI_CONFIG_B64: not base64"),
        ({"OTARI_CONFIG_YAML": "[1]"}, "OTARI_CONFIG_YAML: must be a mapping of keys to values"),
        ({"OTARI_CONFIG_YAML": "a: b: c"}, "OTARI_CONFIG_YAML, line 1: not valid YAML"),
        ({"OTARI_CONFIG_YAML": "host: \udcff"}, "OTARI_CONFIG_YAML, line 1: not UTF-8"),
    ],
)
def test_bad_documents_in_the_environment(environ: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, environ)
    assert caught.value.problems[0].startswith(reason)


# ---- types ---------------------------------------------------------------------------------------------------------


def test_all_problems_are_told_at_once() -> None:
    assert problems_of(
        """
        prot: 80
        port: eighty
        durability: half
        require_pricing: 1
        shutdown_timeout_s: -1
        allowed_hosts: one
        providers:
          openai: {api_key: [], modells: [x]}
          nobody: {}
        pricing:
          stub:x: {input_price_per_million: "3"}
        aliases: {fast: stub}
        """
    ) == (
        "prot: unknown key; did you mean `port`?",
        "port: must be a whole number from 0 to 65535, not the text 'eighty'",
        "allowed_hosts: must be a list, not text",
        "durability: must be one of full, normal, not the text 'half'",
        "require_pricing: must be true or false, not 1",
        "shutdown_timeout_s: must be a number from 0 to 3600, not -1",
        "providers.openai.modells: unknown key; did you mean `models`?",
        "providers.openai.api_key: must be text (put it in quotes), not a list",
        "pricing.'stub:x'.input_price_per_million: must be a number (without quotes), not the text '3'",
        "pricing.'stub:x'.output_price_per_million: is required",
        "providers.openai: OpenAI needs a key: set the variable OPENAI_API_KEY, or `api_key`",
        "providers.nobody: unknown provider type 'nobody' (a server that speaks OpenAI's API has"
        " `type: openai_compatible` and its `api_base`)",
        "aliases.fast: 'stub' must be written `provider:model`",
    )


def test_only_the_first_hundred_problems_are_told() -> None:
    problems = problems_of("\n".join(f"key{number}: 1" for number in range(40_000)))
    assert len(problems) == 101
    assert problems[-1] == "these are the first 100 problems; there may be more"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("port: 65536", "port: must be a whole number from 0 to 65535, not 65536"),
        ("port: 80.5", "port: must be a whole number from 0 to 65535, not 80.5"),
        ("port: true", "port: must be a whole number from 0 to 65535, not true"),
        ("port: '80'", "port: must be a whole number from 0 to 65535, not the text '80'"),
        ("host: 5", "host: must be text (put it in quotes), not a number"),
        ("host: ''", "host: must not be blank or hold control characters"),
        ('host: "a\\0b"', "host: must not be blank or hold control characters"),
        ("providers: sk-oops-a-key-here", "providers: must be a mapping of names to values, not text"),
        ("providers: {openai: sk-oops-a-key}", "providers.openai: must be a mapping of keys to values, not text"),
        ("master_key: 12345678901234567", "master_key: must be text (put it in quotes), not a number"),
        ("json_max_bytes: 12", "json_max_bytes: must be a whole number from 1024 to 1073741824, not 12"),
        ("require_pricing: maybe", "require_pricing: must be true or false, not the text 'maybe'"),
        ("tokenizer: [approx]", "tokenizer: must be one of approx, cl100k_base, o200k_base, not a list"),
        ("aliases: {a: {b: c}}", "aliases.a: must be a list, not a mapping"),
        ("search_tools: []", "search_tools: is not supported by this version; remove it"),
    ],
)
def test_one_problem_one_line(text: str, problem: str) -> None:
    assert problems_of(text) == (problem,)


def test_words_are_understood_in_any_case_and_yes_is_true() -> None:
    config = from_text("log_level: INFO\nrequire_pricing: no\nbootstrap_api_key: Yes\nshutdown_timeout_s: 2.5").config
    assert (config.log_level, config.require_pricing, config.bootstrap_api_key) == ("info", False, True)
    assert config.shutdown_timeout_s == 2.5


def test_older_words_for_files_are_understood() -> None:
    assert from_text("files_backend: local\nfiles_local_dir: ./kept\n").config.files_dir == "./kept"
    assert load(None, {"OTARI_FILES_LOCAL_DIR": "/kept", "OTARI_FILES_BACKEND": "local"}).config.files_dir == "/kept"
    assert problems_of("files_backend: s3\n") == ("files_backend: must be local: files are kept in a folder",)
    (problem,) = problems_of("files_dir: a\nfiles_local_dir: b\n")
    assert problem == "files_local_dir: is an older word for `files_dir`; give one of them"


def test_keys_without_meaning_bring_one_warning_each() -> None:
    loaded = from_text("db_pool_size: 5\nlog_writer_strategy: batch\nbudget_strategy: cas\nauto_migrate: true\n")
    assert [w.split(":")[0] for w in loaded.warnings] == [
        "db_pool_size",
        "log_writer_strategy",
        "budget_strategy",
        "auto_migrate",
    ]


# ---- rules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.example.org"])
def test_an_open_address_demands_a_master_key(host: str) -> None:
    (problem,) = problems_of(f"host: '{host}'")
    assert problem.startswith("host: ")
    assert "master_key" in problem
    assert from_text(f"host: '{host}'\nmaster_key: {MASTER}").config.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_a_loopback_address_does_not(host: str) -> None:
    assert from_text(f"host: '{host}'").config.master_key is None


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("changeme", "at least 16 bytes"),
        ("fifteen-bytes-x", "at least 16 bytes"),
        ("changeme-changeme-changeme", "easy to guess"),
        ("your-secret-master-key", "easy to guess"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "easy to guess"),
        ("sixteen bytes or more", "can not travel"),
        ("ünïcödé-ünïcödé-ünïcödé", "can not travel"),
    ],
)
def test_weak_master_keys_are_refused_and_not_shown(key: str, reason: str) -> None:
    for problems in (problems_of(f'master_key: "{key}"'), problems_of("", OTARI_MASTER_KEY=key)):
        (problem,) = problems
        assert reason in problem
        assert key not in problem


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@h/db",
        "sqlite://x",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///a?mode=ro",
        "otari.db",
    ],
)
def test_only_a_file_of_sqlite_is_a_ledger(url: str) -> None:
    (problem,) = problems_of(f"database_url: '{url}'")
    assert problem.startswith("database_url: must be sqlite:/// and a file")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("aliases", "problem"),
    [
        ("{'a:b': 'stub:x'}", "aliases.'a:b': an alias must not be empty or hold `:`, `/` or blanks"),
        ("{stub: 'stub:x'}", "aliases.stub: is the name of a provider"),
        ("{a: []}", "aliases.a: names no model"),
        ("{a: b, b: 'stub:x'}", "aliases.a: 'b' is an alias itself; aliases do not chain"),
        ("{a: 'stub:'}", "aliases.a: 'stub:' must be written `provider:model`"),
        ("{a: 'stup:x'}", "aliases.a: provider 'stup' is not configured; did you mean `stub`?"),
    ],
)
def test_rules_of_aliases(aliases: str, problem: str) -> None:
    assert problems_of(f"providers: {{stub: {{}}}}\naliases: {aliases}") == (problem,)


def test_an_alias_may_lead_to_a_provider_that_only_a_variable_switches_on() -> None:
    loaded = from_text("aliases: {fast: 'openai/gpt', slow: ['openai:a', 'openai:b']}", OPENAI_API_KEY=KEY)
    assert loaded.config.aliases == {"fast": ("openai/gpt",), "slow": ("openai:a", "openai:b")}
    assert loaded.automatic == ("openai",)


@pytest.mark.parametrize("host", ["https://x", "a b", "x:80/"])
def test_allowed_hosts_are_bare_names(host: str) -> None:
    assert problems_of(f"allowed_hosts: [ok.example, '{host}']")[0].startswith("allowed_hosts[1]: ")


# ---- prices --------------------------------------------------------------------------------------------------------

PRICED = """
providers: {stub: {}}
pricing:
  stub:a: {input_price_per_million: 0.1, output_price_per_million: 2}
  stub/b/c:
    input_price_per_million: 1e-6
    output_price_per_million: 0
    cache_read_price_per_million: 0.000001
    cache_write_price_per_million: ${W}
    cache_write_1h_price_per_million: 4.5
    effective_at: 2026-01-01T01:00:00+01:00
"""


def test_prices_are_exact_from_their_text() -> None:
    config = from_text(PRICED, W="3.75").config
    assert prices(config) == {
        "stub:a": (Price(100_000, 2_000_000),),
        "stub:b/c": (Price(1, 0, 1, 3_750_000, 4_500_000, effective_at=1_767_225_600_000),),
    }


@pytest.mark.parametrize(
    ("rate", "reason"),
    [("-1", "not negative"), ("0.0000001", "finer"), ("1e12", "not believable"), (".nan", "must be a number")],
)
def test_rates_that_money_can_not_count(rate: str, reason: str) -> None:
    entry = f"{{input_price_per_million: 1, output_price_per_million: {rate}}}"
    (problem,) = problems_of(f"providers: {{stub: }}\npricing: {{'stub:a': {entry}}}")
    assert problem.startswith("pricing.'stub:a'.output_price_per_million: ")
    assert reason in problem


def test_a_date_alone_is_midnight_utc_and_nonsense_is_told() -> None:
    entry = "{input_price_per_million: 1, output_price_per_million: 1, effective_at: %s}"
    config = from_text("providers: {stub: }\npricing: {'stub:a': " + entry % "2026-01-01" + "}").config
    assert prices(config)["stub:a"][0].effective_at == 1_767_225_600_000
    for odd in ("soon", "'0001-01-01T00:00:00+14:00'", "2026"):
        assert "effective_at: must be a date" in problems_of("pricing: {'stub:a': " + entry % odd + "}")[0]


def test_a_price_of_an_unknown_provider_is_left_out_with_a_warning() -> None:
    loaded = from_text("pricing: {'nowhere:x': {input_price_per_million: 1, output_price_per_million: 1}}")
    assert loaded.config.pricing == {}
    assert loaded.warnings == ("pricing.'nowhere:x': provider 'nowhere' is not configured, the price is not used",)


def test_a_price_that_stands_twice_is_told() -> None:
    entry = "{input_price_per_million: 1, output_price_per_million: 1}"
    (problem,) = problems_of(f"providers: {{stub: }}\npricing: {{'stub:x': {entry}, 'stub/x': {entry}}}")
    assert problem == "pricing.'stub/x': stands twice, once with `:` and once with `/`"


# ---- secrets -------------------------------------------------------------------------------------------------------


def test_no_secret_in_any_repr() -> None:
    headers = f"client_args: {{custom_headers: {{x-a: {KEY}}}}}"
    text = f"master_key: {MASTER}\nproviders: {{openai: {{api_key: {KEY}, {headers}}}}}"
    loaded = from_text(text, GROQ_API_KEY=KEY)
    for shown in (repr(loaded), repr(loaded.config), str(loaded.config), repr(loaded.config.providers)):
        assert KEY not in shown
        assert MASTER not in shown


def test_no_secret_in_any_problem() -> None:
    text = f"""
    master_key: [{MASTER}]
    port: ${{LEAK}}
    log_level: ${{LEAK}}
    host: {{a: {KEY}}}
    providers:
      openai: {KEY}
      groq: {{api_key: {{x: {KEY}}}, api_base: 'https://user:{KEY}@host/'}}
      mistral: {{api_key: "{KEY} and more"}}
    """
    for problem in problems_of(text, LEAK=KEY):
        assert KEY not in problem
        assert MASTER not in problem


def test_a_literal_key_in_a_file_that_others_can_read_brings_a_warning() -> None:
    file = Path("otari.yaml")
    file.write_text(
        f"master_key: {MASTER}\nproviders: {{openai: {{api_key: {KEY}}}, groq: {{api_key: '${{G}}'}},"
        f" xai: {{api_key: '${{G}}', client_args: {{custom_headers: {{x-title: me, x-token: abc}}}}}}}}"
    )
    file.chmod(0o640)
    (warning,) = load("otari.yaml", {"G": KEY}).warnings
    assert "(master_key, providers.openai.api_key, providers.xai.client_args.custom_headers.x-token)" in warning
    assert KEY not in warning
    file.chmod(0o600)
    assert load("otari.yaml", {"G": KEY}).warnings == ()


# ---- stub scripts --------------------------------------------------------------------------------------------------


def test_a_stub_script_is_read_by_the_same_rules_with_plain_numbers() -> None:
    Path("script.yaml").write_text("stub: 1\nrules: [{when: {on: yes}, share: 0.5, wait: 1s}]\n")
    script = load_stub_script("script.yaml")
    assert script == {"stub": 1, "rules": [{"when": {"on": "yes"}, "share": 0.5, "wait": "1s"}]}
    Path("script.yaml").write_text("stub: 1\nstub: 2\n")
    with pytest.raises(ConfigError, match=r"script.yaml, line 2: key 'stub' stands twice \(first on line 1\)"):
        load_stub_script("script.yaml")


def test_the_shipped_stub_script_is_a_mapping() -> None:
    script = load_stub_script(None)
    assert isinstance(script, dict)
    assert script["stub"] == 1
