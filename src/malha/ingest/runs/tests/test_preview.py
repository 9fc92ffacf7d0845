"""What is said before anything is written."""

from __future__ import annotations

import pytest

from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.ingest.lineage import service as lineage
from malha.ingest.runs import previewing
from malha.ingest.runs import service as runs


@pytest.mark.parametrize(("kind", "bad", "said"), [
    ("date", 30, "30 de 40 datas não se leem"), ("date", 3, ""), ("text", 40, "parece ter datas"),
])  # fmt: skip
def test_dates_that_mostly_cannot_be_read(new_tenant, tmp_path, kind, bad, said):
    tenant = new_tenant()
    path = tmp_path / "obras.csv"
    path.write_text(
        "n;inicio\n" + "\n".join(f"{n};{'2025-01-2T' if n < bad and kind == 'text' else '2025-13-40' if n < bad else '2025-01-20'}" for n in range(40)) + "\n"
    )
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        kept = lineage.keep(conn, tenant.id, lineage.pieces_of(path), path.name)
        columns = [{"column": "inicio", "attribute": "inicio", "type": kind}]
        _shape, answers = runs.prepare(conn, tenant.id, kept, path.name, {"type": "Obra", "kind": "own", "key": ["n"], "columns": columns})
        notes = previewing.preview(conn, tenant, kept, path.name, answers).notes
    notes = [language.word(note, "pt") for note in notes]
    assert said in " ".join(notes)
    assert said or not any("data" in note for note in notes)
