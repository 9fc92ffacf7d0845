"""What a load would do, before it does it: how many rows come in, which wait and why, where they lie, what would vanish."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import psycopg
import pyarrow.compute as pc

from malha.foundation.tenancy.contracts import Tenant
from malha.ingest.lineage import service as lineage
from malha.ingest.lineage.contracts import StoredFile
from malha.ingest.mapping import places, rules, suggest
from malha.ingest.mapping.contracts import Again, Answers
from malha.ingest.runs import holding_to_model, loading, service
from malha.ingest.runs.contracts import Preview
from malha.ingest.runs.seen import Seen, contents_of, hashes_of
from malha.kernel.text import msg, sentence
from malha.sources.tabular import service as tabular
from malha.sources.tabular.contracts import CellType, TextBatch
from malha.vocabulary.models.policy import Mode

#: beyond these rows the preview says that it looked at a part
LOOKED_AT_ROWS = 200_000
SHOWN_POINTS = 20
#: a day with its month and year, whatever comes after
DATE_LIKE = r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})(\D|$)"


def preview(conn: psycopg.Connection[Any], tenant: Tenant, kept: StoredFile, name: str, answers: Answers, language: str = "pt-pt") -> Preview:
    """Read, map and count without writing anything."""
    plan = service.plan_for(conn, tenant, answers)
    judge, warned = service.judge_for(conn, plan, tenant.id), 0
    work = lineage.work_folder(tenant.id, kept.sha256)
    entering = left_out = outside = looked = 0
    waiting: Counter[tuple[str, str]] = Counter()
    bad_dates: Counter[str] = Counter()
    texts_of_dates: list[str] = []
    points: list[tuple[float, float, str]] = []
    uris: set[str] = set()
    seen, exact = Seen(), True
    for batch in tabular.batches(kept.path, name, work, answers.reading, None, service.BATCH_ROWS):
        judged = holding_to_model.judged(conn, rules.apply(batch, plan), batch, plan, judge)
        mapped, warned = judged.mapped, warned + judged.warned
        table = mapped.arrays
        doubles = 0
        if answers.key and len(table):
            at = np.searchsorted(batch.numbers, table.row_numbers)
            same, other = seen.check(hashes_of(table.uris, table.observed_at), contents_of(batch)[at])
            doubles = int(same.sum() + other.sum())
            waiting["duplicate", rules.REASONS["duplicate"][0]] += int(other.sum())
        for held in [*batch.refused, *mapped.held]:
            waiting[held.code, held.message] += 1
            if held.code in {"date", "no_such_date"}:
                bad_dates[held.path] += 1
        entering += len(table) - doubles
        left_out += batch.left_out
        if mapped.points:
            lon, lat = mapped.points
            points += _points(lon, lat, table.uris, SHOWN_POINTS - len(points))
            if tenant.extent:
                outside += int((~places.within(lon, lat, tenant.extent, 0.01) & ~np.isnan(lon)).sum())
        if answers.again is Again.REPLACE:
            uris.update(table.uris.to_pylist())
        if not looked:
            texts_of_dates = _texts_of_dates(batch, answers)
        looked += len(batch)
        if looked >= LOOKED_AT_ROWS:
            exact = False
            break
    vanishing = len(loading.vanished(conn, tenant.id, plan, uris)) if answers.again is Again.REPLACE and exact else 0
    groups = tuple((code, sentence, count) for (code, sentence), count in waiting.most_common() if count)
    notes = (*suggest.problems(answers, plan.model, language, enforced=judge.mode is Mode.ENFORCE), *_about_dates(bad_dates, looked, texts_of_dates))
    return Preview(entering, sum(count for _code, _sentence, count in groups), left_out, groups, tuple(points), outside, vanishing, exact, notes, warned)


def _about_dates(bad: Counter[str], looked: int, texts: list[str]) -> list[str]:
    """Sentences on columns whose dates mostly cannot be read: the answer is wrong, not the rows."""
    most = msg("Em “{column}”, {count} de {all} datas não se leem: veja se a coluna é mesmo uma data, ou corrija-a na origem antes de carregar.")
    said = [sentence(most, column=column, count=count, all=looked) for column, count in bad.items() if count * 2 > looked]
    as_text = msg("“{column}” parece ter datas, mas escritas de maneira que não se lê; entra como texto, e não se poderá ordenar nem filtrar por data.")
    return said + [sentence(as_text, column=column) for column in texts]


def _texts_of_dates(batch: TextBatch, answers: Answers) -> list[str]:
    """Columns that come in as text and whose cells mostly look like dates."""
    found = []
    for column in answers.columns:
        if not column.column or not column.comes_in or column.type is not CellType.TEXT or column.column in answers.key or not len(batch):
            continue
        cells = batch.columns[column.column].drop_null()
        if len(cells) and pc.sum(pc.match_substring_regex(cells, DATE_LIKE)).as_py() * 2 > len(cells):
            found.append(column.column)
    return found


def _points(lon: Any, lat: Any, uris: Any, wanted: int) -> list[tuple[float, float, str]]:
    rows = np.flatnonzero(~np.isnan(lon))[: max(0, wanted)]
    return [(round(float(lon[row]), 6), round(float(lat[row]), 6), uris[int(row)].as_py().rsplit(":", 1)[-1]) for row in rows]
