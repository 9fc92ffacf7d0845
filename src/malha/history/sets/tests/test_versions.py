"""A table comes again and again: versions, what differs, and reading any of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from malha.history.sets import service
from malha.history.sets.contracts import Change, UnknownSet, UnusableTable


def came(*rows: tuple[str | None, ...], names: tuple[str, ...] = ("código", "nome", "valor")) -> pa.Table:
    return pa.table({name: pa.array([row[n] for row in rows], pa.string()) for n, name in enumerate(names)})


def bring(tenant: int, number: int, table: pa.Table) -> tuple[int, ...] | None:
    made = service.bring(tenant, number, table, actor="person:1", source="tabela.csv")
    return (made.version, made.rows, made.added, made.changed, made.removed) if made else None


def test_it_works(new_tenant: Any) -> None:
    tenant = new_tenant().id
    assert service.all_sets(tenant) == []
    number = service.create(tenant, "Contratos", ["código"])
    assert bring(tenant, number, came(("1", "a", "10"), ("2", "b", None), ("3", "c", "30"))) == (1, 3, 3, 0, 0)
    assert bring(tenant, number, came(("1", "a", "10"), ("2", "b", None), ("3", "c", "30"))) is None
    assert bring(tenant, number, came(("3", "c", "31"), ("1", "a", "10"), ("4", "d", "40"))) == (2, 3, 1, 1, 1)
    wider = came(("1", "a", "10", "x"), ("3", "c", "31", None), ("4", "d", "40", None), names=("código", "nome", "valor", "nota"))
    assert bring(tenant, number, wider) == (3, 3, 0, 3, 0)
    assert service.read(tenant, number, 1).rows == [("1", "a", "10", None), ("2", "b", None, None), ("3", "c", "30", None)]
    assert service.read(tenant, number, 3).rows[0] == ("1", "a", "10", "x")
    columns, found = service.differences(tenant, number, 1, 2)
    assert columns == ("código", "nome", "valor", "nota")
    assert [(one.change, one.before and one.before[:3], one.after and one.after[:3]) for one in found] == [
        (Change.ADDED, None, ("4", "d", "40")), (Change.CHANGED, ("3", "c", "30"), ("3", "c", "31")), (Change.REMOVED, ("2", "b", None), None),
    ]  # fmt: skip
    assert [one.version for one in service.versions(tenant, number)] == [3, 2, 1]
    assert pa.Table.from_batches(service.batches(tenant, number, 2, rows_each=2)).num_rows == 3
    with pytest.raises(UnknownSet):
        service.read(tenant, number, 4)
    with pytest.raises(UnknownSet):
        service.get(new_tenant().id, number)  # another's number


def test_rows_without_a_key_are_all_of_themselves(new_tenant: Any) -> None:
    tenant = new_tenant().id
    number = service.create(tenant, "Leituras")
    assert bring(tenant, number, came(("1", "a", "1"), ("1", "a", "1"), ("2", "b", "2"))) == (1, 3, 3, 0, 0)
    assert bring(tenant, number, came(("1", "a", "1"), ("2", "b", "3"))) == (2, 2, 1, 0, 2)
    with pytest.raises(UnusableTable, match="nomes diferentes"):
        bring(tenant, number, came(("1",), names=("_key",)))


def test_keys_that_do_not_tell_rows_apart_are_refused_and_nothing_is_kept(new_tenant: Any) -> None:
    tenant = new_tenant().id
    number = service.create(tenant, "Contratos", ["nome"])
    with pytest.raises(UnusableTable, match="mais de uma linha"):
        bring(tenant, number, came(("1", "a", "1"), ("2", "a", "2")))
    with pytest.raises(UnusableTable, match="Faltam colunas"):
        bring(tenant, number, came(("1",), names=("código",)))
    assert service.get(tenant, number).version == 0
    service.remove(tenant, number)
    assert service.all_sets(tenant) == []
