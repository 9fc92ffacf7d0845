"""Answers are remembered by header and offered to the next table of that make."""

from __future__ import annotations

from malha.foundation.database import service as database
from malha.ingest.mapping import service as mapping
from malha.ingest.mapping.contracts import Answers, ColumnAnswer, RowKind, TimeAnswer
from malha.sources.tabular.contracts import FileKind, Reading


def reading(*columns, **how):
    return Reading(FileKind.DELIMITED, columns, **how)


def test_it_works(new_tenant):
    tenant = new_tenant()
    answers = Answers(reading("Código", "Data"), "t", RowKind.TABLE, "T", ("Código",), time=TimeAnswer(("Data",)), columns=(ColumnAnswer("Código", "codigo"),))
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        mapping.remember(conn, tenant.id, answers)
        again = mapping.remembered(conn, tenant.id, reading("codigo", "data ", delimiter=";"))
    assert (again.key, again.time.columns, again.columns[0].column) == (("codigo",), ("data ",), "codigo")
    assert again.reading.delimiter == ";"


def test_another_header_is_asked_about_again(new_tenant):
    tenant = new_tenant()
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        mapping.remember(conn, tenant.id, Answers(reading("a", "b"), "t", RowKind.TABLE, "T"))
        assert mapping.remembered(conn, tenant.id, reading("a", "b", "c")) is None


def test_another_tenant_is_not_offered_them(new_tenant):
    one, other = new_tenant(), new_tenant()
    with database.connect() as conn, database.tenant_transaction(conn, [one.id]):
        mapping.remember(conn, one.id, Answers(reading("a", "b"), "t", RowKind.TABLE, "T"))
    with database.connect() as conn, database.tenant_transaction(conn, [other.id]):
        assert mapping.remembered(conn, other.id, reading("a", "b")) is None
