"""One walk over every table, view and partition: role × right × tenant.

Rooms added later are walked without a change here. A relation without a wall is a defect unless EXEMPT says why.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import namedtuple_row

from malha.foundation.database import service as database

#: relations that hold no tenant's rows, each with its reason; a name may end in *
EXEMPT = {
    "django_migrations": "which migrations ran",
    "django_content_type": "names of Django's models",
    "django_session": "sessions exist before a tenant is chosen; the key is a secret of 160 bits",
    "auth_*": "Django's own groups and permissions, unused: roles are memberships",
    "person*": "people sign in before a tenant is chosen; what they may do is walled",
    "account_*": "allauth: addresses and codes of people, before a tenant is chosen",
    "mfa_*": "allauth: second factors of people, before a tenant is chosen",
    "usersessions_*": "allauth: sessions of people",
    "socialaccount_*": "allauth: logins elsewhere of people",
    "allauth_idp_oidc_*": "allauth: clients and tokens of the identity provider; their reach is walled in machine_client",
    "organisation": "who exists is known to all; only the tenant in scope may be changed (tenancy/tests)",
    "platform_operator": "who runs the platform; the application only reads it",
    "procrastinate_*": "jobs carry ids only (jobs/tests) and open their tenant's scope themselves",
    "outbox_position": "how far consumers have come; the application has no right to it",
    "signing_key": "keys of tokens; public halves are public, private halves are encrypted",
    "signing_key_private": "encrypted private halves; no tenant has keys of its own",
    "attribute*": "names of attributes, interned once for the installation",
    "entity_type": "names of types, interned once for the installation",
    "unit": "codes of units, interned once for the installation",
    "national_*": "the nation's data models and boundaries, the same for all",
    "cache_entry": "counters that slow down guessing, before a tenant is known",
    "backup_*": "copies of the whole installation: when, how large, whether they came back; the application only reads it",
    "demo_mail": "the demonstration's post, on this machine only; with SMTP nothing is written to it",
    "token_generation": "which generation of tokens counts, read before a tenant is known",
}

#: what else than malha_app may do, and why
OTHER_ROLES = {
    "malha_compactor": "reads hot rows and events of all tenants to move them on, in the worker",
    "malha_view": "owns the views through which searched tables are reached; cannot sign in",
}

#: columns that need more than a value of their type
VALUES: dict[tuple[str, str], str] = {
    ("agreement", "types"): "ARRAY['X']",
    ("agreement", "valid_until"): "now() + interval '1 day'",
    ("ingest_file", "sha256"): "repeat('a', 64)",
}

OTHER, MINE = 900_000_001, 900_000_002
_numbers = itertools.count(700_000_001)


@dataclass(frozen=True)
class Relation:
    name: str
    kind: str
    is_partition: bool
    has_tenant: bool
    row_security: bool
    forced: bool


@pytest.fixture
def server():
    """The database as superuser, for this test only; nothing of it is kept."""
    place = database.endpoint()
    names = {"host": place.host, "port": place.port, "user": "postgres", "password": place.passwords["postgres"], "dbname": place.database}
    with psycopg.connect(**names) as connection:
        yield connection
        connection.rollback()


def relations(server) -> list[Relation]:
    rows = server.execute(
        """
        SELECT c.relname, c.relkind::text, c.relispartition, c.relrowsecurity, c.relforcerowsecurity,
               EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
        ORDER BY c.relname
        """
    ).fetchall()
    return [Relation(name, kind, partition, tenant, secure, forced) for name, kind, partition, secure, forced, tenant in rows]


def exempt(name: str) -> bool:
    return any(name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])) for pattern in EXEMPT)


def value_of(table: str, column) -> str:
    """An SQL expression of the column's type, different in every row."""
    known = VALUES.get((table, column.attname))
    if known:
        return known
    number = next(_numbers)
    kinds = {
        "bool": "true", "int2": "1", "int4": str(number), "int8": str(number), "float4": "1", "float8": "1", "numeric": "1", "date": "current_date",
        "timestamptz": "now()", "timestamp": "now()", "time": "localtime", "interval": "interval '1 day'", "jsonb": "'{}'", "json": "'{}'", "bytea": f"'{number}'::bytea",
        "uuid": "gen_random_uuid()", "box": "box(point(0,0),point(1,1))", "point": "point(0,0)", "xid8": "pg_current_xact_id()", "inet": "'127.0.0.1'", "tsvector": "''",
    }  # fmt: skip
    if column.typname in kinds:
        return kinds[column.typname]
    if column.typname in {"text", "varchar", "bpchar", "citext", "char"}:
        length = column.atttypmod - 4 if column.atttypmod > 4 else 40
        return f"left('{number}', {length})" if length >= 9 else f"right('{number}', {length})"
    if column.typcategory == "A":
        return f"'{{}}'::{column.typname[1:]}[]"
    if column.typtype == "e":
        return f"(SELECT enumlabel::{column.typname} FROM pg_enum WHERE enumtypid = '{column.typname}'::regtype LIMIT 1)"
    return "DEFAULT"


def insert(server, table: str, tenant_id: int) -> str | None:
    """Put a row of a tenant into a table, whatever it refers to; returns why that was not possible."""
    with server.cursor(row_factory=namedtuple_row) as cursor:
        columns = cursor.execute(
            """
            SELECT a.attname, a.atttypmod, t.typname, t.typtype::text, t.typcategory::text
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
            WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''
            """,
            [table],
        ).fetchall()
    names = ["tenant_id"] + [column.attname for column in columns if column.attname != "tenant_id"]
    values = [str(tenant_id)] + [value_of(table, column) for column in columns if column.attname != "tenant_id"]
    extra = [name for (of, name) in VALUES if of == table and name not in names]
    names += extra
    values += [VALUES[table, name] for name in extra]
    for _ in names:
        try:
            with server.transaction():
                server.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(values)})")
        except psycopg.errors.CheckViolation as error:
            if not take_allowed(server, table, str(error.diag.constraint_name), names, values):
                return str(error).splitlines()[0]
        except psycopg.Error as error:
            return str(error).splitlines()[0]
        else:
            return None
    return "no values found"


def take_allowed(server, table: str, constraint: str, names: list[str], values: list[str]) -> bool:
    """Where a check lists what a column may hold (`kind IN ('a', 'b')`), take the first; False when it does not."""
    row = server.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s AND conrelid = %s::regclass", [constraint, table]).fetchone()
    listed = re.search(r"\(+(\w+)\)*(?:::\w+)? = ANY \(+ARRAY\['([^']*)'", row[0] if row else "")
    if not listed or listed[1] not in names or values[names.index(listed[1])] == f"'{listed[2]}'":
        return False
    values[names.index(listed[1])] = f"'{listed[2]}'"
    return True


def attempt(server, role: str, scope: str, statement: str) -> int | str:
    """How many rows a statement reached as `role` within `scope`, or "refused". Undone afterwards."""
    outcome: int | str = "refused"
    try:
        with server.transaction(force_rollback=True):
            server.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            server.execute("SELECT set_config('malha.tenants', %s, true)", [scope])
            done = server.execute(statement)
            outcome = done.fetchone()[0] if done.description else done.rowcount
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.WithCheckOptionViolation):
        outcome = "refused"
    except psycopg.errors.ObjectNotInPrerequisiteState:  # a view that cannot be written at all
        outcome = "refused"
    except psycopg.errors.FeatureNotSupported:
        outcome = "refused"
    except psycopg.errors.IntegrityError as error:  # the wall is asked before constraints are: whoever gets that far went through it
        outcome = f"{type(error).__name__} behind the wall on"
    return outcome


ROLES = ("malha_app", "malha_lake_reader", "malha_lake_writer")
SCOPES = {"another's": f"{{{MINE}}}", "no": ""}


def rights(server, name: str) -> dict[str, str]:
    """By right, a statement that must reach nothing."""
    rows = server.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attidentity <> 'a' AND attgenerated = ''",
        [name],
    ).fetchall()
    columns = [row[0] for row in rows if row[0] != "tenant_id"]
    taken = ", ".join([str(OTHER), *columns])
    return {
        "insert": f"INSERT INTO {name} ({', '.join(['tenant_id', *columns])}) OVERRIDING USER VALUE SELECT {taken} FROM {name} WHERE tenant_id = {MINE}",
        "select": f"SELECT count(*) FROM {name} WHERE tenant_id = {OTHER}",
        "update": f"UPDATE {name} SET tenant_id = tenant_id WHERE tenant_id = {OTHER}",
        "delete": f"DELETE FROM {name} WHERE tenant_id = {OTHER}",
        "move to another": f"UPDATE {name} SET tenant_id = {OTHER} WHERE tenant_id = {MINE}",
    }


def walk(server) -> list[str]:
    """Everything that is wrong with any relation: by relation, role, right and scope. Undo the transaction afterwards."""
    walked = relations(server)
    server.execute("SET LOCAL session_replication_role = replica")  # what rows refer to does not matter here
    found = [problem for one in walked for problem in shape(server, one)]
    reachable = [one for one in walked if one.has_tenant and not exempt(one.name)]
    for one in reachable:
        if one.kind in {"r", "p"} and not one.is_partition:
            problem = insert(server, one.name, MINE) or insert(server, one.name, OTHER)
            if problem:
                found.append(f"{one.name}: no row could be made for the walk ({problem}); add to VALUES what it needs")
    statements = {one.name: rights(server, one.name) for one in reachable}
    for one, role, scope in itertools.product(reachable, ROLES, SCOPES):
        for right, statement in statements[one.name].items():
            reached = attempt(server, role, SCOPES[scope], statement)
            if reached not in {0, "refused"}:
                found.append(f"{one.name}: {role} in {scope} scope: {right} reached {reached} rows")
    return found


def shape(server, one: Relation) -> list[str]:
    """What is wrong with a relation as it stands, without looking at rows."""
    found = []
    if exempt(one.name):
        return []
    if not one.has_tenant and not one.is_partition and one.kind != "v":
        found.append(f"{one.name}: has no tenant_id and no reason in EXEMPT")
    if one.has_tenant and one.kind in {"m", "f"}:
        found.append(f"{one.name}: this kind of relation cannot be walled")
    if one.has_tenant and one.kind in {"r", "p"} and not one.is_partition and not (one.row_security and one.forced):
        found.append(f"{one.name}: row-level security is not on, or not forced")
    if one.is_partition and not (one.row_security and one.forced):
        may = server.execute("SELECT has_table_privilege('malha_app', %s, 'SELECT, INSERT, UPDATE, DELETE')", [one.name]).fetchone()[0]
        found += [f"{one.name}: malha_app has a right on a partition; grant on the parent only"] if may else []
    return found


def test_every_relation_has_its_wall(server):
    found = walk(server)
    assert found == [], "\n" + "\n".join(found)


def test_the_walk_finds_what_is_missing(server):
    """The walk itself is put to the test: an open table, a view around a wall, a wall with a hole."""
    server.execute("CREATE TABLE open_table (tenant_id bigint NOT NULL, kind text NOT NULL CHECK (kind IN ('a', 'b')))")
    server.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON open_table TO malha_app")
    server.execute("CREATE VIEW open_view AS SELECT tenant_id FROM audit_entry")
    server.execute("GRANT SELECT ON open_view TO malha_app")
    server.execute("CREATE POLICY hole ON outbox FOR SELECT TO malha_app USING (true)")
    server.execute("CREATE TABLE ownerless (id bigint)")
    found = walk(server)
    for expected in (
        "open_table: row-level security is not on, or not forced",
        "open_table: malha_app in another's scope: select reached 1 rows",
        "open_table: malha_app in another's scope: insert reached 1 rows",
        "open_table: malha_app in another's scope: move to another reached 1 rows",
        "open_view: malha_app in another's scope: select reached 1 rows",
        "outbox: malha_app in no scope: select reached 1 rows",
        "ownerless: has no tenant_id and no reason in EXEMPT",
    ):
        assert expected in found


def test_a_tenant_reaches_its_own_rows(server):
    """A wall that lets nobody through would pass the walk: here each table is seen from inside, as far as it was granted."""
    server.execute("SET LOCAL session_replication_role = replica")
    found = []
    for one in relations(server):
        if not one.has_tenant or one.kind not in {"r", "p"} or one.is_partition or exempt(one.name) or insert(server, one.name, MINE):
            continue
        if not server.execute("SELECT has_table_privilege('malha_app', %s, 'SELECT')", [one.name]).fetchone()[0]:
            continue
        reached = attempt(server, "malha_app", f"{{{MINE}}}", f"SELECT count(*) FROM {one.name} WHERE tenant_id = {MINE}")
        if reached in {0, "refused"}:
            found.append(one.name)
    assert found == []


def test_views_see_through_their_own_role_only(server):
    rows = server.execute(
        """
        SELECT c.relname, r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'v' AND n.nspname = 'public' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
        """
    ).fetchall()
    assert [name for name, owner in rows if owner != "malha_view"] == []


def test_nobody_else_has_rights(server):
    """Rights by role: the application by the walk above, the compactor and the views' owner for what they do, PUBLIC nothing."""
    grants = server.execute(
        """
        SELECT c.relname, coalesce(r.rolname, 'PUBLIC'), array_agg(a.privilege_type ORDER BY a.privilege_type)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') AND coalesce(r.rolname, 'PUBLIC') NOT IN ('malha_owner', 'malha_app', 'postgres')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
        GROUP BY 1, 2
        """
    ).fetchall()
    strangers = [(table, role) for table, role, _ in grants if role not in OTHER_ROLES]
    assert strangers == []
    assert {role for _, role, _ in grants} <= set(OTHER_ROLES)
    logins = dict(server.execute("SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname LIKE 'malha%'").fetchall())
    assert logins["malha_view"] is False
    powers = server.execute(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'malha%' AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb)"
    ).fetchall()
    assert powers == []


def test_the_application_owns_nothing(server):
    owned = server.execute("SELECT relname FROM pg_class WHERE relowner = 'malha_app'::regrole").fetchall()
    assert owned == []


def test_every_exemption_is_still_needed(server):
    names = [one.name for one in relations(server)]
    unused = [pattern for pattern in EXEMPT if not any(name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])) for name in names)]
    assert unused == [], json.dumps(unused)
