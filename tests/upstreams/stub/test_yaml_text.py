"""Writing YAML: whatever is written is read back as it was, and reads well."""

from hypothesis import given
from hypothesis import strategies as st

from otari.config.document import read_yaml
from otari.upstreams.stub.yaml_text import yaml_text

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.text("ab:#-\n \t'\"\\&*!|>%@`{}[],?", max_size=12)
scalars = (
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(-1e6, 1e6).map(lambda f: round(f, 6)) | texts
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(texts.filter(lambda key: key != "<<"), values, max_size=4))
def test_what_is_written_is_read_back(doc: dict[str, object]) -> None:
    text = yaml_text(doc)
    assert read_yaml(text.encode(), "test", float) == (doc or {})


def test_it_reads_well() -> None:
    doc = {
        "stub": 1,
        "recorded": {"at": "2026-11-22", "otari": "0.1.0"},
        "rules": [
            {
                "id": "001-plan-a-trip",
                "when": {"model": "openai:gpt-5.2", "hash": "9f31c2aa00000000"},
                "reply": {
                    "blocks": [
                        {"think": "Let me see.\n\nFirst of all:\n- Oslo"},
                        {"say": "yes"},
                        {"call": {"search": {"q": "a" * 120, "count": 3, "deep": True}}},
                    ],
                    "timing": ["640ms", "31ms"],
                },
            }
        ],
    }
    assert (
        yaml_text(doc)
        == f"""\
stub: 1
recorded: {{at: "2026-11-22", otari: "0.1.0"}}
rules:
- id: 001-plan-a-trip
  when: {{model: openai:gpt-5.2, hash: "9f31c2aa00000000"}}
  reply:
    blocks:
    - think: |2-
        Let me see.

        First of all:
        - Oslo
    - say: "yes"
    - call:
        search:
          q: {"a" * 120}
          count: 3
          deep: true
    timing: [640ms, 31ms]
"""
    )
