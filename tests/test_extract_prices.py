"""The extraction of default prices: what it makes of the package's source, and where it stops."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).parent.parent

SOURCE = """
import datetime
providers: list[Provider] = [
    Provider(id='acme', name='Acme', fallback_model_providers=['other'], models=[
        ModelInfo(
            id='Big', match=ClauseOr(or_=[ClauseEquals(equals='Big'), ClauseStartsWith(starts_with='Big-')]),
            prices=ModelPrice(
                input_mtok=TieredPrices(base=Decimal('0.1'), tiers=[Tier(start=200, price=Decimal('0.2'))]),
                output_mtok=TieredPrices(base=Decimal('1'), tiers=[
                    Tier(start=100, price=Decimal('2')), Tier(start=200, price=Decimal('3'))]),
                cache_read_mtok=Decimal('0.00000049'), web_searches_kcount=Decimal('10'),
            ),
            price_variants=[PriceVariant(when={'speed': 'fast'}, prices=ModelPrice(input_mtok=Decimal('9')))],
        ),
        ModelInfo(
            id='dated', context_window=8192, match=ClauseRegex(regex='^D'),
            prices=[
                ConditionalPrice(prices=ModelPrice(audio_hours=Decimal('0.111'))),
                ConditionalPrice(
                    constraint=StartDateConstraint(start_date=datetime.date(2026, 1, 5)),
                    prices=ModelPrice(requests_kcount=Decimal('12'), output_mtok=Decimal('1.0000005')),
                ),
                ConditionalPrice(
                    constraint=TimeOfDateConstraint(
                        start_time=datetime.time(16, 30, tzinfo=datetime.UTC),
                        end_time=datetime.time(0, 30, tzinfo=datetime.UTC),
                    ),
                    prices=ModelPrice(input_mchars=Decimal('15')),
                ),
            ],
        ),
        ModelInfo(id='gift:free', match=ClauseEquals(equals='gift:free'), prices=ModelPrice()),
        ModelInfo(id='riddle', match=ClauseEquals(equals='riddle'), prices=ModelPrice()),
    ]),
]
"""


def extract(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Run the script on a folder that looks like an installed package."""
    package, facts = folder / "genai_prices", folder / "genai_prices-9.9.dist-info"
    package.mkdir()
    facts.mkdir()
    (package / "data.py").write_text(source)
    (facts / "METADATA").write_text("Metadata-Version: 2.4\nName: genai-prices\nVersion: 9.9\n")
    command = [sys.executable, str(ROOT / "scripts" / "extract_prices.py"), str(folder / "out.json"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_what_it_makes_of_the_source(tmp_path: Path) -> None:
    assert extract(tmp_path, SOURCE).returncode == 0
    doc = orjson.loads((tmp_path / "out.json").read_bytes())
    big, dated, gift, riddle = doc["providers"]["acme"]["models"]
    assert doc["source"] == "genai-prices 9.9"
    assert doc["providers"]["acme"]["fallback"] == ["other"]
    assert big["match"] == ["big", {"starts_with": "big-"}]
    assert big["prices"] == [
        {
            "input": 100_000,
            "output": 1_000_000,
            "cache_read": 0,
            "tiers": [[101, {"output": 2_000_000}], [201, {"input": 200_000, "output": 3_000_000}]],
            "left_out": ["web_searches_kcount", "speed=fast"],
        }
    ]
    assert dated["match"] == [{"regex": "^D"}]
    assert [model.get("context") for model in (big, dated, gift, riddle)] == [None, 8192, None, None]
    assert dated["prices"] == [
        {"input": 0, "output": 0, "second_pico": 30_833_333, "unit": "second"},
        {"from": "2026-01-05", "input": 0, "output": 1_000_001, "request_pico": 12_000_000_000},
        {"utc": ["16:30:00", "00:30:00"], "input": 0, "output": 0, "character_pico": 15_000_000, "unit": "character"},
    ]
    assert gift["prices"] == [{"input": 0, "output": 0}]
    assert riddle["prices"] == [{}]


@pytest.mark.parametrize(
    ("known", "unknown"),
    [
        ("name='Acme'", "name='Acme', surcharge=2"),
        ("fallback_model_providers=['other']", "fallback_model_providers=['oth' + 'er']"),
        ("fallback_model_providers=['other']", "fallback_model_providers=everybody()['other']"),
        ("web_searches_kcount", "moon_landings_kcount"),
        ("ClauseRegex(regex='^D')", "ClauseGlob(glob='D*')"),
        ("requests_kcount=Decimal('12')", "requests_kcount=TieredPrices(base=Decimal('1'), tiers=[])"),
        ("Decimal('12')", "Decimal('-1')"),
        ("Decimal('12')", "Decimal('NaN')"),
        ("Decimal('12')", "Decimal(12)"),
        ("tzinfo=datetime.UTC", "tzinfo=berlin"),
        ("StartDateConstraint(start_date", "EndDateConstraint(end_date"),
        ("audio_hours=Decimal('0.111')", "audio_hours=Decimal('1'), input_audio_hours=Decimal('2')"),
        ("context_window=8192", "context_window=0"),
        ("context_window=8192", "context_window='8k'"),
        ("providers: list", "vendors: list"),
    ],
)
def test_it_stops_at_what_it_does_not_know(tmp_path: Path, known: str, unknown: str) -> None:
    assert known in SOURCE
    done = extract(tmp_path, SOURCE.replace(known, unknown))
    assert done.returncode != 0
    assert "ValueError" in done.stderr
    assert not (tmp_path / "out.json").exists()


def test_it_says_when_the_package_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "extract_prices.py"), str(tmp_path / "out"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "genai-prices is not in" in done.stderr
