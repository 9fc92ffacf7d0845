"""Files as they come: written by old programs, cut, broken, mixed up. What holds goes in; what does not waits, with its line, its column and why."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.history.engines import service as engines
from malha.ingest.bulk import lines, reading, service
from malha.ingest.bulk.contracts import UnreadableHistory
from malha.ingest.quality import service as quality

START = datetime(2025, 3, 1, tzinfo=UTC)
TITLES = "entity,attribute,observedAt,value"


@pytest.fixture
def tenant(new_tenant: Any) -> int:
    made = new_tenant().id
    with database.connect() as connection, database.tenant_transaction(connection, [made]):
        store.upsert_table(connection, made, EntityTable("WeatherObserved", ["urn:ensaio:água"], [Column("name", ["A"])]))
    return int(made)


def rows(count: int, separator: str = ",", value: str = "{}.5", attribute: str = "temperature") -> list[str]:
    return [
        separator.join(("urn:ensaio:água", attribute, (START + timedelta(minutes=row)).strftime("%Y-%m-%dT%H:%M:%SZ"), value.format(row % 30)))
        for row in range(count)
    ]


def write(path: Path, lines_: list[str], titles: str = TITLES, encoding: str = "utf-8") -> Path:
    path.write_bytes(("\r\n".join([titles, *lines_]) + "\r\n").encode(encoding))
    return path


def held(tenant: int, run: int) -> list[tuple[int, str, str]]:
    with database.connect() as connection, database.tenant_transaction(connection, [tenant]):
        return sorted((row.row_number, row.code, row.path) for row in quality.rows(connection, tenant, run))


def stored(tenant: int, what: str = "count(*), round(sum(num), 2)") -> Any:
    return engines.run([tenant], lambda reader: reader.execute(f"SELECT {what} FROM lake.{engines.tenant_schema(tenant)}.observation").fetchone())


def test_as_a_portuguese_excel_writes_it(tenant: int, tmp_path: Path) -> None:
    """Windows-1252, semicolons, decimals after a comma; a point beside those may be of thousands and is not guessed at."""
    given = rows(20, ";", "{},5")
    given[3] = given[3].replace("3,5", "1.234")
    found = service.load_history(tenant, write(tmp_path / "excel.csv", given, TITLES.replace(",", ";"), "cp1252"))
    assert held(tenant, found.run_id) == [(4, "number", "temperature")]
    assert stored(tenant) == (19, sum(row + 0.5 for row in range(20)) - 3.5)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_encodings_and_the_line_that_names_the_separator(tenant: int, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "sep.csv"
    path.write_bytes("\n".join(["sep=;", TITLES.replace(",", ";"), *rows(5, ";")]).encode(encoding))
    assert service.load_history(tenant, path).counts.observations == 5
    assert stored(tenant) == (5, 12.5)


def test_letters_that_are_not_of_the_encoding_hold_back_their_row_alone(tenant: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "letras.csv", rows(10, attribute="nota", value="pó{}"))
    path.write_bytes(path.read_bytes().replace("pó7".encode(), b"p\xf37"))
    begin = lines.head
    monkeypatch.setattr(lines, "head", lambda source, _size=0: begin(source, 300))  # as where they come after what is looked at first
    found = service.load_history(tenant, path)
    assert held(tenant, found.run_id) == [(8, "encoding", "value")]
    assert stored(tenant, "count(txt), min(txt)") == (9, "pó0")


def test_lines_with_too_few_or_too_many_columns_wait(tenant: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 4_000)
    given = rows(400)
    given[2] = given[2].rpartition(",")[0]
    given[200] += ",a mais"
    given[399] = "resto"
    given[300] = given[300].replace("T", " às ")
    found = service.load_history(tenant, write(tmp_path / "linhas.csv", given))
    assert held(tenant, found.run_id) == [(3, "columns", "observedAt"), (201, "columns", "value"), (301, "instant", "observedAt"), (400, "columns", "entity")]
    assert (found.counts.read, found.counts.held, found.counts.observations) == (400, 4, 396)
    assert stored(tenant, "count(*), max(row_no)") == (396, 399)


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_cell_of_ten_megabytes_costs_its_own_line(tenant: int, tmp_path: Path, end: str) -> None:
    path = write(tmp_path / "largo.csv", rows(10))
    whole = path.read_bytes().splitlines(keepends=True)
    whole.insert(5, rows(1)[0].rpartition(",")[0].encode() + b',"' + b"x" * 10_000_000 + b'"\r\n')
    path.write_bytes(b"".join(whole) + (b"y" * 10_000_000 + end.encode()))
    found = service.load_history(tenant, path)
    assert [row for row in held(tenant, found.run_id) if row[0] < 12] == [(5, "line-long", "")]
    assert stored(tenant)[0] == 10


def test_what_no_model_knows_may_be_numbers_and_texts(tenant: int, tmp_path: Path) -> None:
    given = [*rows(3, attribute="estado", value="{}"), *rows(6, attribute="estado", value="aberto {}")[3:]]
    assert service.load_history(tenant, write(tmp_path / "misto.csv", given)).counts.observations == 6
    assert stored(tenant, "count(num), sum(num), count(txt), max(txt)") == (3, 3.0, 3, "aberto 5")


@pytest.mark.parametrize("instant", ["26/10/2025 01:30", "2025-10-26 01:30:00", "2025-10-26", "1761438600", "2025-02-30T10:00:00Z"])
def test_instants_without_zone_or_of_another_order_wait(tenant: int, tmp_path: Path, instant: str) -> None:
    """On 26 October 2025 half past one came twice in Portugal: which of them is meant nobody knows."""
    given = [*rows(3), f"urn:ensaio:água,temperature,{instant},1", "urn:ensaio:água,temperature,2025-10-26 01:30:00+01:00,7"]
    found = service.load_history(tenant, write(tmp_path / "horas.csv", given))
    assert held(tenant, found.run_id) == [(4, "instant", "observedAt")]
    assert stored(tenant) == (4, 11.5)


def test_a_file_of_which_nothing_holds_is_refused_with_its_first_line(tenant: int, tmp_path: Path) -> None:
    given = [one.replace("2025-03-0", "0").replace("T", " ") for one in rows(1_500)]
    with pytest.raises(UnreadableHistory, match="linha 1, coluna “observedAt”: Não é um instante"):
        service.load_history(tenant, write(tmp_path / "datas.csv", given))


def test_a_numeric_column_of_instants_is_not_guessed_at(tenant: int) -> None:
    given = pa.table({"entity": ["urn:ensaio:água"] * 2, "observedAt": [1_761_438_600, 1_761_438_601], "temperature": [1.0, 2.0]})
    found = service.load_history(tenant, given)
    assert [code for _, code, _ in held(tenant, found.run_id)] == ["instant", "instant"]


@pytest.mark.parametrize(
    ("titles", "said"),
    [("entity,attribute,observedAt,value,value", "“value” aparece"), ("entity,observedAt,temperature,temperature", "“temperature” aparece")],
)
def test_titles_that_are_there_twice_are_refused(tenant: int, tmp_path: Path, titles: str, said: str) -> None:
    with pytest.raises(UnreadableHistory, match=said):
        service.load_history(tenant, write(tmp_path / "titulos.csv", [], titles))


def test_a_packed_file_is_unpacked_and_a_bomb_is_not(tenant: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "anos.csv.gz"
    packed.write_bytes(gzip.compress("\n".join([TITLES, *rows(50)]).encode()))
    assert reading.expected_rows(packed) == 50
    assert service.load_history(tenant, packed).counts.observations == 50
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(UnreadableHistory, match=r"não se descomprime|Não é possível ler"):
        service.load_history(tenant, packed)
    monkeypatch.setattr(lines, "LEAST_BYTES", 3_000_000)
    packed.write_bytes(gzip.compress("\n".join([TITLES, *rows(1) * 200_000]).encode()))
    with pytest.raises(UnreadableHistory, match="cresce mais de 200 vezes"):
        service.load_history(tenant, packed)


def test_no_more_rows_wait_than_anybody_looks_at(tenant: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_HELD", 5)
    wrong = rows(20, value="quente{}")
    path = write(tmp_path / "anos.csv", [*rows(10), *wrong])
    found = service.load_history(tenant, path)
    assert (found.counts.read, found.counts.held, found.counts.observations) == (30, 20, 10)
    assert held(tenant, found.run_id) == [(row, "number", "temperature") for row in range(11, 16)]
    assert language.word(found.notes[0], "pt").startswith("Das 20 linhas recusadas ficaram à espera 5")
    path = write(tmp_path / "outros.csv", [*rows(10), *wrong[:5]])
    assert not service.load_history(tenant, path).notes


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [("anos.xlsx", b"PK\x03\x04" + b"\0" * 90, "É um livro de Excel ou um ZIP"), ("anos.parquet", b"\0\1\2" * 99, "não é texto, nem Parquet")],
)
def test_what_is_no_text_is_said(tenant: int, tmp_path: Path, name: str, data: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UnreadableHistory, match=said):
        service.load_history(tenant, path)


def _parquet(path: Path) -> Path:
    table = pa.table({
        "entity": ["urn:ensaio:água"] * 4000,
        "observedAt": pa.array([START + timedelta(minutes=row) for row in range(4000)], pa.timestamp("us", "UTC")),
        "temperature": [row % 30 + 0.25 for row in range(4000)],
    })  # fmt: skip
    parquet.write_table(table, path, row_group_size=1000, write_page_checksum=True, compression="zstd")
    return path


def test_a_broken_page_costs_its_own_rows_and_is_named(tenant: int, tmp_path: Path) -> None:
    path = _parquet(tmp_path / "anos.parquet")
    chunk = parquet.read_metadata(path).row_group(1).column(2)
    data = bytearray(path.read_bytes())
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    data[middle : middle + 8] = b"\xff" * 8
    path.write_bytes(data)
    found = service.load_history(tenant, path)
    assert held(tenant, found.run_id) == [(1001, "unreadable", "temperature")]
    assert (found.counts.read, found.counts.held, found.counts.observations) == (4000, 1000, 3000)
    assert stored(tenant, "count(*), min(row_no), max(row_no)") == (3000, 1, 4000)


@pytest.mark.parametrize("keep", [-40, 2000, 3])
def test_a_parquet_file_that_is_cut_is_refused(tenant: int, tmp_path: Path, keep: int) -> None:
    path = _parquet(tmp_path / "anos.parquet")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnreadableHistory):
        service.load_history(tenant, path)


@pytest.mark.parametrize("form", ["file", "stream"])
def test_a_file_of_arrow_is_read_and_one_that_is_cut_is_said(tenant: int, tmp_path: Path, form: str) -> None:
    table, path = parquet.read_table(_parquet(tmp_path / "anos.parquet")), tmp_path / "anos.arrow"
    with (pa.ipc.new_file if form == "file" else pa.ipc.new_stream)(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=500)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableHistory):
        service.load_history(tenant, path)
    path.write_bytes(whole)
    assert reading.expected_rows(path) == (4000 if form == "file" else 0)
    assert service.load_history(tenant, path).counts.observations == 4000
    assert stored(tenant)[0] == 4000
