"""The year as one Arrow table, and the last hours as batches for the store: the same seed and end give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from malha.context.store.contracts import Column, EntityTable
from malha.history.lake.contracts import BULK_SCHEMA
from malha.packs.demo_town import devices, events, signals
from malha.packs.demo_town.contracts import KINDS, SEED, Device, DeviceKind, KindSpec, Measure, PlantedEvent
from malha.packs.demo_town.noise import Integers, Numbers, uniform

LATE_SHARE = 0.01


def grid(spec: KindSpec, start: datetime, end: datetime) -> Integers:
    """The instants at which devices of a kind speak in [start, end), as epoch seconds."""
    step = spec.step_seconds
    first = -(-int(start.timestamp()) // step) * step
    return np.arange(first, int(end.timestamp()), step, dtype=np.int64)


def values_of(
    device: Device, what: Measure, moments: signals.Moments, happened: list[PlantedEvent]
) -> tuple[Numbers, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """What the device says, and at which of the moments it is heard."""
    if what.name == "availableSpotNumber":  # follows from the occupancy, planted events included
        occupancy = next(other for other in devices.spec_of(device.kind).measures if other.name == "occupancy")
        taken, heard = values_of(device, occupancy, moments, happened)
        return np.round((1 - taken) * device.size), heard
    values = events.plant(device, what, moments.seconds, signals.measure(device, what, moments), happened, moments.seed)
    heard = signals.heard(device, what, moments) | events.kept_whole(device, what, moments.seconds, happened)
    return values, heard & ~events.silenced(device, moments.seconds, happened)


def history(start: datetime, end: datetime, happened: list[PlantedEvent], seed: int = SEED) -> pa.Table:
    """Everything observed in [start, end), with the columns of `history.lake`'s bulk road, in the lake's order."""
    uris = [device.uri for device in devices.all_devices(seed)]
    number = {uri: i for i, uri in enumerate(uris)}
    types = [spec.kind.value for spec in KINDS]
    names = [what.name for spec in KINDS for what in spec.measures]
    units = sorted({what.unit for spec in KINDS for what in spec.measures if what.unit})
    blocks: list[tuple[int, int, int, int, Integers, Numbers]] = []
    for kind, spec in enumerate(KINDS):
        moments = signals.Moments(seed, grid(spec, start, end))
        for what in spec.measures:
            for device in devices.of_kind(spec.kind, seed):
                values, heard = values_of(device, what, moments, happened)
                unit = units.index(what.unit) if what.unit else -1
                blocks.append((number[device.uri], kind, names.index(what.name), unit, moments.seconds[heard], values[heard]))
    lengths = [len(block[4]) for block in blocks]
    unit_numbers = np.repeat(np.array([block[3] for block in blocks], dtype=np.int8), lengths)
    return pa.table(
        {
            "uri": _named([block[0] for block in blocks], lengths, uris),
            "type": _named([block[1] for block in blocks], lengths, types),
            "attribute": _named([block[2] for block in blocks], lengths, names),
            "observed_at": pa.array(np.concatenate([block[4] for block in blocks]) * 1_000_000, BULK_SCHEMA.field("observed_at").type),
            "num": pa.array(np.concatenate([block[5] for block in blocks])),
            "unit": pa.DictionaryArray.from_arrays(pa.array(unit_numbers, mask=unit_numbers < 0), pa.array(units)),
        }
    )


def batches(start: datetime, end: datetime, happened: list[PlantedEvent], seed: int = SEED, *, only: frozenset[str] | None = None) -> Iterator[EntityTable]:
    """What was observed in [start, end) as the connectors would write it: one batch a kind, then the values that came late."""
    for spec in KINDS:
        moments = signals.Moments(seed, grid(spec, start, end)) if len(grid(spec, start, end)) else None
        if moments is None:
            continue
        rows = [row for device in devices.of_kind(spec.kind, seed) if only is None or device.uri in only for row in _rows(device, spec, moments, happened)]
        rows.sort(key=lambda row: row[1])
        late = uniform(seed, 77, np.array([hash_of(row) for row in rows], dtype=np.int64)) < LATE_SHARE
        for group in (
            [row for row, is_late in zip(rows, late, strict=True) if is_late is np.False_],
            [row for row, is_late in zip(rows, late, strict=True) if is_late],
        ):
            if group:
                yield table_of(spec, group)


type Row = tuple[str, int, list[float | None]]


def hash_of(row: Row) -> int:
    """A number that tells one row from another."""
    return row[1] * 1000 + sum(map(ord, row[0])) % 1000


def table_of(spec: KindSpec, rows: list[Row]) -> EntityTable:
    """A batch for the store from rows of (uri, epoch seconds, a value for each measure)."""
    instants = [datetime.fromtimestamp(row[1], UTC) for row in rows]
    columns = [Column(what.name, [row[2][i] for row in rows], unit=what.unit) for i, what in enumerate(spec.measures)]
    columns.append(Column(spec.time_property, instants))
    if spec.kind is DeviceKind.NOISE:
        columns.append(Column("dateObservedFrom", [instant - timedelta(seconds=spec.step_seconds) for instant in instants]))
    if spec.kind is DeviceKind.RIVER:  # what the sensor under the bridge really measures
        columns.append(Column("measuredDistance", [None if row[2][0] is None else round(devices.REFERENCE_LEVEL_M - row[2][0], 2) for row in rows], unit="MTR"))
    return EntityTable(spec.kind.value, [row[0] for row in rows], columns, observed_at=instants)


def _rows(device: Device, spec: KindSpec, moments: signals.Moments, happened: list[PlantedEvent]) -> Iterator[Row]:
    measured = [values_of(device, what, moments, happened) for what in spec.measures]
    for i, second in enumerate(moments.seconds):
        values = [round(float(values[i]), what.decimals) if heard[i] else None for (values, heard), what in zip(measured, spec.measures, strict=True)]
        if any(value is not None for value in values):
            yield device.uri, int(second), values


def _named(numbers: list[int], lengths: list[int], names: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.repeat(np.array(numbers, dtype=np.int16), lengths)), pa.array(names))
