"""Files that are damaged, hostile or no tables: a clear sentence, nothing lost, nothing opened that should not be."""

from __future__ import annotations

import io
import json
import socket
import zipfile

import pytest
import shapely

from malha.foundation.language import service as language
from malha.sources.tabular import archives, cells, service
from malha.sources.tabular.contracts import DangerousFile, Position, UnusableFile


def refused(tmp_path, data, name):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises((UnusableFile, DangerousFile)) as found:
        service.inspect(path, name, tmp_path / "work")
    return str(found.value)


def zipped(members, **how):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, **how) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return out.getvalue()


def test_it_works(tmp_path):
    assert "vazio" in refused(tmp_path, b"", "a.csv")


def test_a_bomb_is_not_opened(tmp_path):
    assert "encher a máquina" in refused(tmp_path, zipped({"a.csv": b"0" * (200 * 2**20)}), "b.zip")
    assert "encher a máquina" in refused(tmp_path, zipped({"xl/worksheets/sheet1.xml": b" " * (200 * 2**20)}), "b.xlsx")


def test_a_path_out_of_the_folder_is_not_written(tmp_path):
    assert "fora da sua pasta" in refused(tmp_path, zipped({"../fora.csv": b"a,b\n1,2\n"}), "p.zip")
    assert not (tmp_path.parent / "fora.csv").exists()


def test_a_lying_size_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "UNPACKED_BYTES", 1000)
    assert refused(tmp_path, zipped({"a.csv": bytes(range(256)) * 20}), "l.zip")


def test_truncated_workbooks_and_zips(tmp_path):
    whole = zipped({"a.csv": b"id,v\n1,2\n" * 100})
    assert "cortado" in refused(tmp_path, whole[: len(whole) // 2], "t.zip")
    assert "cortado" in refused(tmp_path, whole[: len(whole) // 2], "t.xlsx")
    assert "cortado" in refused(tmp_path, b"PAR1" + b"\x00" * 50, "t.parquet")


def test_what_is_no_table(tmp_path):
    assert "não é uma tabela" in refused(tmp_path, bytes(range(256)) * 10, "x.csv")
    assert "página ou XML" in refused(tmp_path, b"<html><table></table></html>", "x.xls")
    assert "não traz nenhuma tabela" in refused(tmp_path, zipped({"leia.me": b"x"}), "x.zip")


def test_a_truncated_row_waits_and_the_others_come_in(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,nome,valor\n1,a,2\n2,b,3,\n3,c\n4,d,5,6,7\n5,e")
    shape = service.inspect(path, "t.csv", tmp_path / "w")
    batches = list(service.batches(path, "t.csv", tmp_path / "w", shape.reading))
    assert [key for batch in batches for key in batch.columns["id"].to_pylist()] == ["1", "2"]
    refused = [held for batch in batches for held in batch.refused]
    assert [(held.row_number, held.code) for held in refused] == [(4, "columns"), (5, "columns"), (6, "columns")]
    assert language.word(refused[0].message, "pt") == "a linha tem 2 colunas e o cabeçalho tem 3"


def test_damaged_letters_wait_alone(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes("id,terra\n1,Águeda\n2,Évora\n3,São Brás\n4,Mação\n5,".encode() + b"Ov\xe1r\n")
    shape = service.inspect(path, "d.csv", tmp_path / "w")
    assert shape.reading.encoding == "utf-8"
    batch = next(service.batches(path, "d.csv", tmp_path / "w", shape.reading))
    assert batch.columns["id"].to_pylist() == ["1", "2", "3", "4"]
    assert [(held.row_number, held.code) for held in batch.refused] == [(6, "encoding")]


def test_two_encodings_in_one_file(tmp_path):
    """Rows of UTF-8 pasted into a file of Windows-1252 wait; capitals with a tilde are no such thing."""
    path = tmp_path / "m.csv"
    lines = "id;terra\n1;Águeda\n2;SÃO JOÃO\n3;Ação\n".encode("cp1252") + "4;Praça\n".encode() + "5;Mação\n6;MANHÃ\n".encode("cp1252")
    path.write_bytes(lines)
    shape = service.inspect(path, "m.csv", tmp_path / "w")
    batch = next(service.batches(path, "m.csv", tmp_path / "w", shape.reading))
    assert batch.columns["terra"].to_pylist() == ["Águeda", "SÃO JOÃO", "Ação", "Mação", "MANHÃ"]
    assert [(held.row_number, held.code) for held in batch.refused] == [(5, "encoding")]


def test_a_geometry_that_cannot_be_read_is_not_none(tmp_path):
    """GDAL drops it in silence; the row must say that it had one."""
    shapes = [{"type": "Point", "coordinates": [-8.6, 40.6]}, {"type": "Polygon", "coordinates": [[[-8.6, 40.6], [-8.5]]]}, None]
    features = [{"type": "Feature", "properties": {"id": str(n)}, "geometry": shape} for n, shape in enumerate(shapes)]
    path = tmp_path / "g.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    shape = service.inspect(path, "g.geojson", tmp_path / "w")
    batch = next(service.batches(path, "g.geojson", tmp_path / "w", shape.reading))
    told = batch.columns[shape.reading.geometry].to_pylist()
    assert [one is not None for one in told] == [True, True, False]
    assert [one is not None for one in shapely.from_wkb(told, on_invalid="ignore")] == [True, False, False]


def test_formulas_are_texts_and_our_own_guard_is_undone(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("id;v\n1;'=+351 213\n2;=cmd|' /C calc'!A0\n3;=\"0105\"\n4;'-x\n5;d'Ávila\n6;'12,5\n7;'0105\n")
    shape = service.inspect(path, "f.csv", tmp_path / "w")
    batch = next(service.batches(path, "f.csv", tmp_path / "w", shape.reading))
    assert batch.columns["v"].to_pylist() == ["=+351 213", "=cmd|' /C calc'!A0", "0105", "-x", "d'Ávila", "12,5", "0105"]


def test_reading_goes_on_from_any_block(tmp_path, monkeypatch):
    from malha.sources.tabular import delimited

    monkeypatch.setattr(delimited, "BLOCK_BYTES", 256)
    path = tmp_path / "b.csv"
    path.write_text("id,nota\n" + "".join(f'{n},"linha\nde duas {n}"\n' for n in range(200)))
    shape = service.inspect(path, "b.csv", tmp_path / "w")
    whole = [
        (int(number), value)
        for batch in service.batches(path, "b.csv", tmp_path / "w", shape.reading)
        for number, value in zip(batch.numbers, batch.columns["id"].to_pylist(), strict=True)
    ]
    assert [value for _n, value in whole] == [str(n) for n in range(200)]
    seen = 0
    for batch in service.batches(path, "b.csv", tmp_path / "w", shape.reading):
        seen += len(batch)
        rest = [value for later in service.batches(path, "b.csv", tmp_path / "w", shape.reading, batch.next) for value in later.columns["id"].to_pylist()]
        assert rest == [str(n) for n in range(seen, 200)]
        assert isinstance(batch.next, Position)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-31", "2025-01-31T00:00:00"), ("31/01/2025", "2025-01-31T00:00:00"), ("20250131", "2025-01-31T00:00:00"), ("31-1-25 9:05", "2025-01-31T09:05:00"),
        ("2025-07-01T10:00:00+01:00", "2025-07-01T09:00:00"), ("2025-07-01 10:00", "2025-07-01T09:00:00"), ("2024-02-29", "2024-02-29T00:00:00"),
        ("2025-01-31T24:00", "2025-02-01T00:00:00"), ("2025-10-26T01:30", "2025-10-26T00:30:00"), ("2025-01-31T10:00:00.250Z", "2025-01-31T10:00:00.250000"),
    ],
)  # fmt: skip
def test_instants(text, expected):
    from zoneinfo import ZoneInfo

    import numpy as np
    import pyarrow as pa

    utc, unread, unreal = cells.instants(pa.array([text]), ZoneInfo("Europe/Lisbon"))
    assert not unread[0]
    assert not unreal[0]
    assert utc[0] == np.datetime64(expected)


@pytest.mark.parametrize(
    ("text", "which"),
    [
        ("2025-01-2T", "unread"),
        ("9:58:00Z", "unread"),
        ("amanhã", "unread"),
        ("2025-02-29", "unreal"),
        ("31/02/2025", "unreal"),
        ("2025-03-30T01:30", "unreal"),
        ("2025-13-01", "unreal"),
        ("2025-01-01 25:00", "unreal"),
    ],
)
def test_instants_that_are_none(text, which):
    from zoneinfo import ZoneInfo

    import pyarrow as pa

    _utc, unread, unreal = cells.instants(pa.array([text]), ZoneInfo("Europe/Lisbon"))
    assert (bool(unread[0]), bool(unreal[0])) == (which == "unread", which == "unreal")


@pytest.mark.parametrize(
    ("text", "decimal", "expected"),
    [
        ("1.234,5", ",", 1234.5),
        ("12 345,6", ",", 12345.6),
        ("12\u00a0345,6", ",", 12345.6),
        ("-3,5", ",", -3.5),
        ("1e3", ".", 1000.0),
        ("1,234.5", ".", 1234.5),
        ("12 %", ".", 12.0),
        ("abc", ",", None),
        ("1,2,3", ",", None),
    ],
)
def test_numbers_as_people_type_them(text, decimal, expected):
    import pyarrow as pa

    values, bad = cells.numbers(pa.array([text]), decimal)
    assert values[0].as_py() == expected
    assert bool(bad[0]) == (expected is None)


def test_what_points_to_another_file_is_not_followed(tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\nsegredo,1\n")
    points = f'<OGRVRTDataSource><OGRVRTLayer name="x"><SrcDataSource>{secret}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'.encode()
    for name in ("a.geojson", "a.json", "a.gpkg"):
        assert "não é o que o nome diz" in refused(tmp_path, points, name)
    assert refused(tmp_path, zipped({"a.shp": points, "a.dbf": b"", "a.shx": b""}), "a.zip")


def test_addresses_in_a_file_are_not_asked(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/epsg"
        place = {"type": "Feature", "properties": {"nome": "A"}, "geometry": {"type": "Point", "coordinates": [-8.6, 41.1]}}
        collection = {"type": "FeatureCollection", "crs": {"type": "link", "properties": {"href": address, "type": "proj4"}}, "features": [place]}
        path = tmp_path / "a.geojson"
        path.write_text(json.dumps(collection))
        assert service.inspect(path, path.name, tmp_path / "work").rows == 1
        listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_the_child_that_opens_foreign_files_knows_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("MALHA_DATABASE_URL", "postgresql://nobody:segredo@localhost/nothing")
    given = {}
    run = service.subprocess.run
    monkeypatch.setattr(service.subprocess, "run", lambda *args, **how: given.update(how["env"]) or run(*args, **how))
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}]')
    service.inspect(path, path.name, tmp_path / "work")
    assert given
    assert not [name for name in given if name.startswith("MALHA_")]
