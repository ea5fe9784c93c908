"""Nothing of an answer is lost in silence: every field of every provider in every cell, whole and streamed."""

import pytest

from tests.cells.answered import Field, Form, fate, fields, told
from tests.cells.cell import CLIENTS, WORDS, Cell
from tests.cells.clients import BY_DIALECT

CASES = [(field, client) for field in fields() for client in CLIENTS if client != field.server]
each_case = pytest.mark.parametrize(
    ("field", "client"), CASES, ids=[f"{WORDS[field.server]}-{WORDS[client]}-{field.name}" for field, client in CASES]
)


@each_case
@pytest.mark.parametrize("form", ["whole", "stream"])
def test_a_field_is_carried_or_named(field: Field, client: str, form: Form) -> None:
    if form in field.added:
        assert (fate(field, client, form).kind == "silent") <= bool(field.silent)


@each_case
def test_both_forms_of_an_answer_name_the_same(field: Field, client: str) -> None:
    fates = [fate(field, client, form) for form in field.added]
    assert all(set(other.names) == set(fates[0].names) for other in fates)


@each_case
def test_the_vendor_s_client_takes_it(field: Field, client: str) -> None:
    vendor = BY_DIALECT[client]
    for form, added in field.added.items():
        out, _ = told(Cell(client, field.server), form, added)
        if form == "whole":
            vendor.asked(out)
        else:
            vendor.check(out)
