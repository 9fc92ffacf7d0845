"""Each hot question uses its index, asked as the application's role through row-level security (data-plane 3)."""

import json

import pytest

from malha.context.store import conditions, records, service, state
from malha.context.store.contracts import Column, EntityQuery, EntityTable
from malha.foundation.database import service as database

COUNT = 6000


@pytest.fixture(scope="module")
def crowd():
    """A tenant with thousands of entities, another beside it, and fresh statistics; goes when the module ends."""
    from malha.foundation.tenancy import service as tenancy
    from malha.foundation.tenancy.contracts import OrganisationKind

    made = [tenancy.create_tenant(slug=f"indices-{n}", name="Índices", kind=OrganisationKind.MUNICIPALITY) for n in range(2)]
    for tenant in made:
        with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
            points = [{"type": "Point", "coordinates": [-9 + (n % 100) / 50, 38 + (n // 100) / 50]} for n in range(COUNT)]
            columns = [Column("location", points, "GeoProperty"), Column("name", [f"Rua {n} da Cidade" for n in range(COUNT)]), Column("n", list(range(COUNT)))]
            service.upsert_table(conn, tenant.id, EntityTable(f"Crowd{tenant.id % 2}", [f"urn:x:C:{n}" for n in range(COUNT)], columns))
    from malha.foundation.database.contracts import Role

    with database.connect(Role.OWNER, autocommit=True) as owner:
        owner.execute("VACUUM (ANALYZE) entity")  # the words of the last rows are sorted into their index too
        owner.execute("ANALYZE observation_hot, observation_packed")
    return made[0].id


def indexes(conn, statement, params):
    """The names of the indexes in the plan."""
    rows = conn.execute(f"EXPLAIN (FORMAT JSON) {statement}".encode(), params).fetchone()[0]
    found = set()

    def walk(node):
        if "Index Name" in node:
            found.add(node["Index Name"])
        for child in node.get("Plans", []):
            walk(child)

    walk((json.loads(rows) if isinstance(rows, str) else rows)[0]["Plan"])
    return found


@pytest.mark.parametrize(
    ("question", "index"),
    [
        (EntityQuery(uris=("urn:x:C:77",)), "entity_tenant_id_uri_key"),
        (EntityQuery(bbox=(-9.0, 38.0, -8.99, 38.01)), "entity_by_place"),
        (EntityQuery(near=(-9.0, 38.0, 500)), "entity_by_place"),
        (EntityQuery(text="rua 4321 da"), "entity_by_name"),
    ],
)  # fmt: skip
def test_it_works(crowd, question, index):
    with database.connect() as conn, database.tenant_transaction(conn, [crowd]):
        condition = conditions.where(conn, [crowd], question)
        assert index in indexes(conn, f"SELECT {records.COLUMNS} FROM entities e WHERE {condition.text} LIMIT 100", condition.params)


def test_a_page_of_a_type_walks_an_index(crowd):
    with database.connect() as conn, database.tenant_transaction(conn, [crowd]):
        condition = conditions.where(conn, [crowd], EntityQuery(types=(f"Crowd{crowd % 2}",)))
        used = indexes(conn, f"SELECT {records.COLUMNS} FROM entities e WHERE {condition.text} AND e.id > %s ORDER BY e.id LIMIT 100", [*condition.params, 10])
        assert used & {"entity_by_type", "entity_pkey"}


def test_locking_and_late_values_use_their_keys(crowd):
    with database.connect() as conn, database.tenant_transaction(conn, [crowd]):
        assert "entity_tenant_id_uri_key" in indexes(conn, state.LOCK.format(columns="1"), [crowd, ["urn:x:C:1", "urn:x:C:2"]])
        params = {"tenant": crowd, "entities": "{1,2}", "attrs": "{1,1}", "datasets": "{0,0}", "instants": "{2026-01-01T00:00:00Z,2026-01-01T00:00:00Z}"}
        used = indexes(conn, state.KNOWN, params)
        assert used
        assert any("attr_id_entity_id" in name for name in used), used
        assert not any("xid" in name for name in used), used


def test_the_table_itself_is_closed(crowd):
    import psycopg

    with database.connect() as conn, database.tenant_transaction(conn, [crowd]), pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("SELECT count(*) FROM entity")


def test_other_tenants_are_neither_seen_nor_written(crowd):
    with database.connect() as conn, database.tenant_transaction(conn, [crowd]):
        assert conn.execute("SELECT count(*) FROM entities").fetchone() == (COUNT,)
        assert conn.execute("SELECT count(DISTINCT tenant_id) FROM observation_hot").fetchone() == (1,)
        assert service.query(conn, [crowd + 1], EntityQuery(text="rua")).entities == []
    import psycopg

    with database.connect() as conn, pytest.raises(psycopg.Error), database.tenant_transaction(conn, [crowd]):
        service.upsert_table(conn, crowd + 1, EntityTable("Crowd", ["urn:x:C:1"], [Column("n", [1])]))
