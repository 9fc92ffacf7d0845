"""The limit of `bench/broker.py`: a Starlette handler that does one statement as the tables' owner; no token, no wall between tenants, no NGSI-LD."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TENANT = int(os.environ.get("BENCH_TENANT", "0"))
RETRIEVE = "SELECT doc::text FROM entity WHERE tenant_id = %s AND uri = %s"
CREATE = "SELECT bench_create(%s, %s, %s, %s, %s, %s::int[], %s::int[], %s::timestamptz[], %s::float8[], %s::text[], %s::jsonb)"
UPDATE = "SELECT bench_update(%s, %s, %s, %s, %s, %s, %s::jsonb)"
#: what the handlers call, each one transaction of its own: the same rows as the broker writes
FUNCTIONS = """
CREATE FUNCTION bench_create(tenant bigint, name text, type int, body jsonb, place box, attrs int[], datasets int[], moments timestamptz[], nums float8[], txts text[], event jsonb)
RETURNS void LANGUAGE sql AS $$
    WITH made AS (INSERT INTO entity (tenant_id, uri, type_id, types, doc, bbox) VALUES (tenant, name, type, ARRAY[type], body, place) RETURNING id),
    told AS (INSERT INTO outbox (tenant_id, name, payload) VALUES (tenant, 'bench', event))
    INSERT INTO observation_hot (tenant_id, type_id, entity_id, attr_id, dataset_id, observed_at, kind, num, txt)
    SELECT tenant, type, made.id, n.attr, n.dataset, n.at, 1, n.num, n.txt FROM made, unnest(attrs, datasets, moments, nums, txts) AS n (attr, dataset, at, num, txt)
$$;
CREATE FUNCTION bench_update(tenant bigint, name text, change jsonb, attr int, moment timestamptz, number float8, event jsonb) RETURNS void LANGUAGE sql AS $$
    WITH changed AS (UPDATE entity SET doc = doc || change, modified_at = now() WHERE tenant_id = tenant AND uri = name RETURNING id, type_id),
    told AS (INSERT INTO outbox (tenant_id, name, payload) VALUES (tenant, 'bench', event))
    INSERT INTO observation_hot (tenant_id, type_id, entity_id, attr_id, observed_at, kind, num)
    SELECT tenant, changed.type_id, changed.id, attr, moment, 1, number FROM changed
$$;
"""

pool: AsyncConnectionPool


async def retrieve(request: Request) -> Response:
    """One document by its key."""
    async with pool.connection() as conn:
        row = await (await conn.execute(RETRIEVE, [TENANT, request.path_params["id"]])).fetchone()
    return Response(row[0] if row else "", 200 if row else 404, media_type="application/ld+json")


async def create(request: Request) -> Response:
    """One entity with its rows of history and its event; the body holds the columns."""
    said = msgspec.json.decode(await request.body())
    async with pool.connection() as conn:
        await conn.execute(CREATE, [TENANT, *said])
    return Response(status_code=201)


async def update(request: Request) -> Response:
    """One attribute with its row of history and its event."""
    said = msgspec.json.decode(await request.body())
    async with pool.connection() as conn:
        await conn.execute(UPDATE, [TENANT, request.path_params["id"], *said])
    return Response(status_code=204)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """As many connections as the broker has."""
    global pool  # noqa: PLW0603 -- one a process
    pool = AsyncConnectionPool(os.environ["BENCH_DSN"], min_size=8, max_size=8, open=False, kwargs={"autocommit": True, "prepare_threshold": 1})
    await pool.open(wait=True)
    yield
    await pool.close()


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/health", lambda _: Response("ok")), Route("/entities/{id:path}", retrieve), Route("/entities", create, methods=["POST"]),
        Route("/entities/{id:path}", update, methods=["PATCH"]),
    ],
)  # fmt: skip
