import sqlite3
import struct

import pytest
import shapely
from pyproj import Transformer

from malha.foundation.database import service as database


@pytest.fixture
def connection():
    with database.connect() as open_connection:
        yield open_connection


@pytest.fixture
def parish_map(tmp_path):
    """A GeoPackage with the columns of CAOP, made here: three square parishes of an invented municipality, in any CRS."""

    def make(crs="EPSG:3763", centre=(-8.42, 40.2), dico="9901", municipality="Vila Fictícia", names=("Ribeira", "Outeiro", "Vale"), name="mapa.gpkg"):
        to_metres = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        x, y = to_metres.transform(*centre)
        path = tmp_path / name
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as file:
            file.executescript("""
                CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT, srs_id INTEGER PRIMARY KEY, organization TEXT, organization_coordsys_id INTEGER, definition TEXT);
                CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, geometry_type_name TEXT, srs_id INTEGER, z INTEGER, m INTEGER);
                CREATE TABLE cont_freguesias (fid INTEGER PRIMARY KEY, geom BLOB, dtmnfr TEXT, freguesia TEXT, tipo_area_administrativa TEXT, municipio TEXT,
                    distrito_ilha TEXT, nuts3 TEXT, nuts2 TEXT, area_ha REAL, designacao_simplificada TEXT);
            """)
            code = int(crs.split(":")[1])
            file.execute("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, 'EPSG', ?, '')", [crs, code, code])
            file.execute("INSERT INTO gpkg_geometry_columns VALUES ('cont_freguesias', 'geom', 'POLYGON', ?, 0, 0)", [code])
            for number, parish in enumerate(names):
                square = shapely.box(x + number * 1000, y, x + number * 1000 + 1000, y + 1000)
                header = b"GP\x00\x03" + struct.pack("<i4d", code, *(square.bounds[at] for at in (0, 2, 1, 3)))
                row = [
                    header + shapely.to_wkb(square),
                    f"{dico}{number + 1:02}",
                    f"União de {parish}",
                    "Área Principal",
                    municipality,
                    "Coimbra",
                    "Região",
                    "Centro",
                    100.0,
                    parish,
                ]
                file.execute("INSERT INTO cont_freguesias VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return path

    return make
