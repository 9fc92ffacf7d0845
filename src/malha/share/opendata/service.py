"""Prepare, publish and withdraw open datasets; read the published ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.exports import entities
from malha.insight.exports.contracts import CellType, Export, Row
from malha.insight.past.contracts import Moment
from malha.kernel import text, time
from malha.kernel.text import msg
from malha.share.opendata.contracts import (
    DAYS_BETWEEN,
    LICENCES,
    NotReadyToPublish,
    OpenDataset,
    PublicationState,
    UnknownDataset,
    choice,
)
from malha.share.opendata.models import Dataset, DatasetReport

#: fewer rows than this with the same value of a grouping column may point at people
SMALL_GROUP = 5
SAMPLE_ROWS = 10_000
#: mainland, Madeira and Azores: the extent of a tenant whose own is not known
PORTUGAL = (-31.3, 30.0, -6.2, 42.2)


@dataclass(frozen=True, slots=True)
class Leaving:
    """What would leave, as its producer sees it before saying yes."""

    export: Export
    rows: list[Row]
    personal: tuple[str, ...]
    small_groups: tuple[tuple[str, str, int], ...]  # (column, value, rows)
    count: int


def drafts(tenant: Tenant) -> list[Dataset]:
    """Every dataset of the tenant in whatever state, newest first."""
    return list(Dataset.objects.filter(tenant_id=tenant.id).order_by("-changed_at"))


def begin(tenant: Tenant, entity_type: str, *, person_id: int | None, title: str = "", filter_text: str = "") -> Dataset:
    """A draft for the entities of one type, with suggestions where we can make them."""
    title = title or entity_type
    base = text.slug(title) or "dados"
    taken = set(Dataset.objects.filter(tenant_id=tenant.id, slug__startswith=base).values_list("slug", flat=True))
    slug = next(name for name in [base, *(f"{base}-{n}" for n in range(2, len(taken) + 3))] if name not in taken)
    draft = Dataset(tenant_id=tenant.id, slug=slug, entity_type=entity_type, title_pt=title, filter=filter_text, prepared_by=person_id)
    draft.columns = [column.name for column in export_of(tenant, draft).columns]
    draft.save()
    return draft


def find(tenant: Tenant, dataset_id: int) -> Dataset:
    """The dataset with that id. Raises UnknownDataset."""
    row = Dataset.objects.filter(tenant_id=tenant.id, pk=dataset_id).first()
    if row is None:
        raise UnknownDataset(msg("Este conjunto de dados não existe."))
    return row


def export_of(tenant: Tenant, row: Dataset, *, whole_url: str = "", columns: bool = True, past: Moment | None = None) -> Export:
    """The dataset as an export, as it is or as it was: never a column about people, whatever the draft says."""
    return entities.export(
        tenant,
        entities.EntityExport(
            type=row.entity_type,
            query=EntityQuery(q=row.filter),
            columns=tuple(row.columns) if columns else (),
            title=row.title_pt,
            licence=choice(LICENCES, row.licence).uri,
            source=tenant.name,
            whole_url=whole_url,
            past=past,
        ),
    )


def check_filter(tenant: Tenant, row: Dataset, text: str) -> None:
    """Try a filter before it is kept. Raises UnusableQuery where it cannot be understood."""
    entities.count(tenant.id, entities.EntityExport(type=row.entity_type, query=EntityQuery(q=text)))


def leaving(tenant: Tenant, row: Dataset, *, shown: int = 20) -> Leaving:
    """What would leave: the first rows, the columns about people that stay, the groups so small that they may name somebody."""
    export = export_of(tenant, row)
    rows: list[Row] = []
    for batch in export.batches():
        rows += batch
        if len(rows) >= SAMPLE_ROWS:
            break
    everything = entities.export(tenant, entities.EntityExport(type=row.entity_type, query=EntityQuery(q=row.filter), with_personal=True))
    personal = tuple(column.label or column.name for column in everything.columns if column.personal)
    count = entities.count(tenant.id, entities.EntityExport(type=row.entity_type, query=EntityQuery(q=row.filter)))
    return Leaving(export, rows[:shown], personal, _small_groups(export, rows), count)


def _small_groups(export: Export, rows: list[Row]) -> tuple[tuple[str, str, int], ...]:
    """Values of text columns that repeat, but seldom: a column whose values are all different names things, not groups."""
    found: list[tuple[str, str, int]] = []
    for index, column in enumerate(export.columns):
        if column.type is not CellType.TEXT or column.name == "id":
            continue
        groups: dict[str, int] = {}
        for row in rows:
            if isinstance(row[index], str):
                groups[str(row[index])] = groups.get(str(row[index]), 0) + 1
        if len(groups) <= max(1, len(rows) // 4):
            found += [(column.name, value, size) for value, size in groups.items() if size < SMALL_GROUP]
    return tuple(found[:50])


def missing(row: Dataset) -> list[str]:
    """What has to be said before it can be published, in words."""
    checks = [
        (bool(row.columns), msg("Escolha pelo menos uma coluna.")),
        (len(row.title_pt) >= 3, msg("Dê um título ao conjunto de dados.")),
        (len(row.description_pt) >= 20, msg("Descreva o conjunto de dados em pelo menos uma frase.")),
        (bool(row.contact_name and row.contact_email), msg("Diga quem responde por estes dados, com um endereço de correio.")),
    ]
    return [sentence for held, sentence in checks if not held]


def ask_for_approval(row: Dataset) -> None:
    """Hand the draft to whoever may publish. Raises NotReadyToPublish naming what is missing."""
    if reasons := missing(row):
        raise NotReadyToPublish(" ".join(reasons))
    row.state = PublicationState.WAITING
    row.save()


def publish(tenant: Tenant, row: Dataset, *, person_id: int | None, actor: str) -> None:
    """Make it public, at its address and in the catalogue. Raises NotReadyToPublish naming what is missing."""
    if reasons := missing(row):
        raise NotReadyToPublish(" ".join(reasons))
    row.state = PublicationState.PUBLISHED
    row.approved_by = person_id
    row.published_at = row.published_at or time.now()
    row.temporal_start = row.temporal_start or _first_day(row)
    row.withdrawn_at, row.withdrawal_reason = None, ""
    row.save()
    audit.record(tenant.id, actor, "dataset.published", row.slug, {"columns": row.columns, "filter": row.filter})


def withdraw(tenant: Tenant, row: Dataset, *, actor: str, reason: str) -> None:
    """Take it back: its address then answers 410 with whom to ask."""
    row.state = PublicationState.WITHDRAWN
    row.withdrawn_at, row.withdrawal_reason = time.now(), reason
    row.save()
    audit.record(tenant.id, actor, "dataset.withdrawn", row.slug, {"reason": reason})


def published(tenant: Tenant, *, search: str = "") -> list[Dataset]:
    """The published datasets in order of title; `search` compares without accents."""
    rows = Dataset.objects.filter(tenant_id=tenant.id, state=PublicationState.PUBLISHED)
    wanted = text.normalise(search)
    found = [row for row in rows if wanted in text.normalise(f"{row.title_pt} {row.title_en} {row.description_pt} {' '.join(row.keywords)}")]
    return sorted(found, key=lambda row: text.sort_key(row.title_pt))


def by_slug(tenant: Tenant, slug: str) -> Dataset:
    """The dataset at that address, published or withdrawn. Raises UnknownDataset for any other state."""
    row = Dataset.objects.filter(tenant_id=tenant.id, slug=slug, state__in=[PublicationState.PUBLISHED, PublicationState.WITHDRAWN]).first()
    if row is None:
        raise UnknownDataset(msg("Não há nenhum conjunto de dados neste endereço."))
    return row


def describe(tenant: Tenant, row: Dataset, publisher_url: str) -> OpenDataset:
    """The dataset as its record and its page need it."""
    modified = last_change(tenant, row)
    return OpenDataset(
        id=row.pk,
        slug=row.slug,
        title_pt=row.title_pt,
        title_en=row.title_en,
        description_pt=row.description_pt,
        description_en=row.description_en,
        entity_type=row.entity_type,
        columns=tuple(row.columns),
        filter=row.filter,
        licence=row.licence,
        theme=row.theme,
        frequency=row.frequency,
        keywords=tuple(row.keywords),
        contact_name=row.contact_name,
        contact_email=row.contact_email,
        publisher_name=tenant.name,
        publisher_url=publisher_url,
        place_name=tenant.name,
        bbox=tenant.extent or PORTUGAL,
        temporal_start=row.temporal_start or (row.published_at or row.created_at).date(),
        temporal_end=modified.date(),
        temporal_resolution=row.temporal_resolution,
        spatial_resolution_m=row.spatial_resolution_m,
        issued=(row.published_at or row.created_at).date(),
        modified=modified,
        hvd_category=row.hvd_category,
        has_place="location" in row.columns,
    )


def last_change(tenant: Tenant, row: Dataset) -> datetime:
    """When the data last changed; when it was published where there is no data."""
    for entity_type, _, modified in store.types(database.current(), tenant.id):
        if entity_type == row.entity_type and modified:
            return modified
    return row.published_at or row.created_at


def next_update(row: Dataset, last: datetime) -> date | None:
    """The day by which the frequency promises an update; None where it promises none."""
    days = DAYS_BETWEEN.get(row.frequency)
    return (last + timedelta(days=days)).date() if days is not None else None


def report_error(tenant: Tenant, row: Dataset, *, words: str, email: str) -> None:
    """Keep what a visitor reports, for the contact of the dataset to read."""
    DatasetReport.objects.create(tenant_id=tenant.id, dataset=row, text=words[:2000], email=email)


def reports(tenant: Tenant, row: Dataset) -> list[DatasetReport]:
    """What visitors reported about the dataset, newest first."""
    return list(row.reports.filter(tenant_id=tenant.id).order_by("-created_at")[:100])


def _first_day(row: Dataset) -> date:
    return (row.published_at or row.created_at or time.now()).date()
