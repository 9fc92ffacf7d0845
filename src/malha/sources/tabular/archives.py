"""Zipped files, opened with suspicion: no bombs, no paths that lead out of the folder."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from malha.kernel.text import msg
from malha.sources.tabular.contracts import DangerousFile, UnusableFile

MEMBERS = 2_000
UNPACKED_BYTES = 8 * 2**30
#: text of a CSV seldom shrinks more than thirty times; spreadsheets of one repeated cell reach some hundreds
RATIO = 400
SMALL_BYTES = 50 * 2**20
TABLES = (".shp", ".gpkg", ".geojson", ".json", ".csv", ".tsv", ".txt", ".xlsx", ".xls", ".ods", ".parquet")


def check(path: Path) -> list[zipfile.ZipInfo]:
    """The members of a zip (or of a workbook, which is one), when it is safe to unpack. Raises DangerousFile or UnusableFile."""
    try:
        with zipfile.ZipFile(path) as packed:
            members = packed.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as reason:
        raise UnusableFile(msg("O ficheiro está cortado ou estragado: não chegou inteiro. Peça-o de novo a quem o enviou.")) from reason
    unpacked = sum(member.file_size for member in members)
    packed_size = max(1, path.stat().st_size)
    if len(members) > MEMBERS or unpacked > UNPACKED_BYTES or (unpacked > SMALL_BYTES and unpacked / packed_size > RATIO):
        raise DangerousFile(
            msg("O ficheiro tem {packed} MB mas, aberto, ocuparia {unpacked} MB: parece feito para encher a máquina e não foi aberto."),
            packed=round(packed_size / 2**20, 1),
            unpacked=round(unpacked / 2**20),
        )
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        link = (member.external_attr >> 16) & 0o170000 == 0o120000
        if name.is_absolute() or ".." in name.parts or ":" in name.parts[0:1] or link:
            raise DangerousFile(msg("O ficheiro comprimido traz “{name}”, que escreveria fora da sua pasta; não foi aberto."), name=member.filename[:80])
    return members


def unpack(path: Path, folder: Path) -> Path:
    """The table inside a zip, unpacked into `folder` with what stands beside it (.dbf, .prj). Raises when there is none or several.

    What comes out is counted while it is written: the sizes that a zip declares may lie.
    """
    members = [member for member in check(path) if not member.is_dir() and not member.filename.startswith("__MACOSX")]
    tables = sorted(
        (PurePosixPath(member.filename) for member in members if member.filename.lower().endswith(TABLES)),
        key=lambda name: TABLES.index(name.suffix.lower()),
    )
    if not tables:
        raise UnusableFile(msg("O ficheiro comprimido não traz nenhuma tabela (CSV, XLSX, GeoJSON, GeoPackage, shapefile)."))
    chosen = tables[0]
    written = 0
    with zipfile.ZipFile(path) as packed:
        for member in members:
            inner = PurePosixPath(member.filename)
            if inner.parent != chosen.parent or (inner.stem.split(".")[0] != chosen.stem.split(".")[0]):
                continue
            target = folder / inner.name
            with packed.open(member) as source, target.open("wb") as out:
                while piece := source.read(1 << 20):
                    written += len(piece)
                    if written > UNPACKED_BYTES or (written > SMALL_BYTES and written / path.stat().st_size > RATIO):
                        shutil.rmtree(folder, ignore_errors=True)
                        raise DangerousFile(msg("O ficheiro comprimido mente sobre o seu tamanho e não foi aberto."))
                    out.write(piece)
    return folder / chosen.name
