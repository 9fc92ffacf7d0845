"""What a load would do, before it does it: how many rows come in, which wait and why, where they lie, what would vanish."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import psycopg

from malha.foundation.tenancy.contracts import Tenant
from malha.ingest.lineage import service as lineage
from malha.ingest.lineage.contracts import StoredFile
from malha.ingest.mapping import places, rules, suggest
from malha.ingest.mapping.contracts import Again, Answers
from malha.ingest.runs import loading, service
from malha.ingest.runs.contracts import Preview
from malha.ingest.runs.seen import Seen, contents_of, hashes_of
from malha.sources.tabular import service as tabular

#: beyond these rows the preview says that it looked at a part
LOOKED_AT_ROWS = 200_000
SHOWN_POINTS = 20


def preview(conn: psycopg.Connection[Any], tenant: Tenant, kept: StoredFile, name: str, answers: Answers) -> Preview:
    """Read, map and count without writing anything."""
    plan = service.plan_for(conn, tenant, answers)
    work = lineage.work_folder(tenant.id, kept.sha256)
    entering = left_out = outside = looked = 0
    waiting: Counter[tuple[str, str]] = Counter()
    points: list[tuple[float, float, str]] = []
    uris: set[str] = set()
    seen, exact = Seen(), True
    for batch in tabular.batches(kept.path, name, work, answers.reading, None, service.BATCH_ROWS):
        mapped = rules.apply(batch, plan)
        table = mapped.arrays
        doubles = 0
        if answers.key and len(table):
            at = np.searchsorted(batch.numbers, table.row_numbers)
            same, other = seen.check(hashes_of(table.uris, table.observed_at), contents_of(batch)[at])
            doubles = int(same.sum() + other.sum())
            waiting["duplicate", rules.REASONS["duplicate"][0]] += int(other.sum())
        for held in [*batch.refused, *mapped.held]:
            waiting[held.code, held.message] += 1
        entering += len(table) - doubles
        left_out += batch.left_out
        if mapped.points:
            lon, lat = mapped.points
            points += _points(lon, lat, table.uris, SHOWN_POINTS - len(points))
            if tenant.extent:
                outside += int((~places.within(lon, lat, tenant.extent, 0.01) & ~np.isnan(lon)).sum())
        if answers.again is Again.REPLACE:
            uris.update(table.uris.to_pylist())
        looked += len(batch)
        if looked >= LOOKED_AT_ROWS:
            exact = False
            break
    vanishing = len(loading.vanished(conn, tenant.id, plan, uris)) if answers.again is Again.REPLACE and exact else 0
    groups = tuple((code, sentence, count) for (code, sentence), count in waiting.most_common() if count)
    notes = tuple(suggest.problems(answers, plan.model))
    return Preview(entering, sum(count for _code, _sentence, count in groups), left_out, groups, tuple(points), outside, vanishing, exact, notes)


def _points(lon: Any, lat: Any, uris: Any, wanted: int) -> list[tuple[float, float, str]]:
    rows = np.flatnonzero(~np.isnan(lon))[: max(0, wanted)]
    return [(round(float(lon[row]), 6), round(float(lat[row]), 6), uris[int(row)].as_py().rsplit(":", 1)[-1]) for row in rows]
