from datetime import UTC, datetime, timedelta

from malha.context.store import jobs, service
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role


def partitions(conn):
    return {row[0] for row in conn.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'observation_hot'::regclass")}


def test_it_works(new_tenant):
    jobs.make_partitions()
    tenant = new_tenant()
    with database.connect() as conn:
        assert service.partitions_ahead(conn) == 0
        with database.tenant_transaction(conn, [tenant.id]):
            days = {(datetime.now(UTC) + timedelta(days=n)).strftime("observation_hot_%Y%m%d") for n in range(8)}
            assert days | {"observation_hot_default"} <= partitions(conn)
            service.upsert_table(conn, tenant.id, EntityTable("T", ["urn:x:1"], [Column("a", [1])]))
            today = datetime.now(UTC).strftime("observation_hot_%Y%m%d")
            assert conn.execute("SELECT DISTINCT tableoid::regclass::text FROM observation_hot").fetchall() == [(today,)]


def test_only_what_is_older_is_dropped():
    with database.connect(Role.OWNER, autocommit=True) as owner:
        owner.execute("CREATE TABLE observation_hot_20200101 PARTITION OF observation_hot FOR VALUES FROM ('2020-01-01Z') TO ('2020-01-02Z')")
    with database.connect(Role.COMPACTOR, autocommit=True) as compactor:
        assert compactor.execute("SELECT observation_partitions_drop('2020-01-01T23:00Z')").fetchone() == (0,)
        assert compactor.execute("SELECT observation_partitions_drop('2020-01-02T00:00Z')").fetchone() == (1,)
        assert "observation_hot_20200101" not in partitions(compactor)
