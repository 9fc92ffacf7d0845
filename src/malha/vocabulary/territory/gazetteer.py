"""A tenant's own streets and doors: files read, kept, searched without accents, and addresses turned into points."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from pyproj import Transformer

from malha.kernel.text import msg, normalise, sentence, unaccent
from malha.vocabulary.territory import files
from malha.vocabulary.territory.contracts import Geocoded, ImportOutcome, Quality, Street, UnusableStreets

#: column of ours → names that files give it, without accents, lower case, without signs
COLUMNS: dict[str, tuple[str, ...]] = {
    "street": ("rua", "arruamento", "toponimo", "nome_rua", "nome_arruamento", "designacao", "logradouro", "via", "street", "streetaddress", "morada"),
    "number": ("numero", "num", "n", "no", "porta", "num_porta", "numero_porta", "numero_policia", "n_policia", "npolicia", "streetnr", "housenumber"),
    "postal_code": ("codigo_postal", "cod_postal", "cp7", "cp", "postal_code", "postalcode"),
    "cp4": ("cp4",),
    "cp3": ("cp3",),
    "locality": ("localidade", "lugar", "povoacao", "locality"),
    "parish": ("freguesia", "parish"),
    "x": ("x", "lon", "long", "longitude", "coord_x", "m", "este", "easting", "point_x"),
    "y": ("y", "lat", "latitude", "coord_y", "p", "norte", "northing", "point_y"),
}
#: streets like a text, the likest first; each alternative is one that the trigram index answers
SEARCH = (
    "SELECT id, name, locality, parish, postal_code, longitude, latitude,"
    " CASE WHEN search = %(text)s THEN 1.0 ELSE greatest(similarity(search, %(text)s), strict_word_similarity(%(text)s, search) * 0.95) END AS likeness"
    " FROM street WHERE tenant_id = %(tenant)s AND (search %% %(text)s OR search LIKE %(like)s OR search %%>> %(text)s)"
    " ORDER BY likeness DESC, length(search), search LIMIT %(limit)s"
)
_SIGNS = re.compile(r"[^a-z0-9]+")
_POSTAL_CODE = re.compile(r"\b(\d{4})\s*-\s*(\d{3})\b")
_NUMBER = re.compile(r"(?:,|\bn\.?\s*[ºo°.]?|\s)\s*(\d{1,5})\s*(?:-?\s*([A-Za-z]))?\s*$")
_LEAST_LIKENESS = 0.45
_MOST_REFUSED = 1_000


@dataclass(frozen=True, slots=True)
class DoorRow:
    """One line of a file of streets: a door, or a street where there is no number. Degrees of EPSG:4326."""

    street: str
    number: str
    postal_code: str
    locality: str
    parish: str
    longitude: float
    latitude: float


def read(path: Path, crs: str) -> tuple[list[DoorRow], list[tuple[str, str]]]:
    """The doors of a CSV file and the lines left out with the reason; coordinates beyond degrees are in `crs`. Raises UnusableStreets."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(";,\t|", key=head.count))
    where = _where(next(reader, []))
    missing = {"street", "x", "y"} - set(where)
    if missing:
        raise UnusableStreets(msg("Faltam colunas para ler as ruas: são precisas a rua e as coordenadas (por exemplo rua, numero, x, y)."))
    rows: list[DoorRow] = []
    refused: list[tuple[str, str]] = []
    turn = _Turner(crs)
    for number, cells in enumerate(reader, 2):
        if not any(cell.strip() for cell in cells):
            continue
        row = _row({ours: cells[at].strip() for ours, at in where.items() if at < len(cells)}, turn)
        if isinstance(row, DoorRow):
            rows.append(row)
        elif len(refused) < _MOST_REFUSED:
            refused.append((sentence(msg("linha {number}"), number=number), row))
    return rows, refused


def _where(header: Sequence[str]) -> dict[str, int]:
    folded = [_SIGNS.sub("_", unaccent(name).lower()).strip("_") for name in header]
    return {ours: folded.index(each) for ours, theirs in COLUMNS.items() for each in [next((name for name in theirs if name in folded), "")] if each}


class _Turner:
    """Coordinates of a file into degrees."""

    def __init__(self, crs: str) -> None:
        self.crs = crs
        self.transformer: Transformer | None = None

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        if abs(x) <= 180 and abs(y) <= 90:
            return x, y
        if self.transformer is None:
            self.transformer = files.transformer(self.crs)
        longitude, latitude = self.transformer.transform(x, y)
        return float(longitude), float(latitude)


def _row(cells: dict[str, str], turn: _Turner) -> DoorRow | str:
    street = cells.get("street", "")
    if not street:
        return msg("falta o nome da rua")
    try:
        longitude, latitude = turn(float(cells["x"].replace(",", ".")), float(cells["y"].replace(",", ".")))
    except (KeyError, ValueError):
        return msg("as coordenadas não são números")
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        return msg("as coordenadas caem fora do mundo")
    postal_code = cells.get("postal_code", "") or "-".join(part for part in (cells.get("cp4", ""), cells.get("cp3", "")) if part)
    return DoorRow(street, cells.get("number", ""), postal_code, cells.get("locality", ""), cells.get("parish", ""), longitude, latitude)


def take_in(connection: psycopg.Connection, tenant_id: int, rows: Sequence[DoorRow], *, source: str) -> ImportOutcome:
    """Keep the streets and doors of one source, which replace those that it had; inside the tenant's transaction."""
    connection.execute("DELETE FROM street WHERE tenant_id = %s AND source = %s", [tenant_id, source])
    streets: dict[tuple[str, str, str], list[DoorRow]] = {}
    for row in rows:
        streets.setdefault((normalise(row.street), row.locality, row.parish), []).append(row)
    ids: dict[tuple[str, str, str], int] = {}
    with connection.cursor() as cursor:
        for key, doors in streets.items():
            cursor.execute(
                "INSERT INTO street (tenant_id, name, search, locality, parish, postal_code, longitude, latitude, source)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
                [
                    tenant_id, doors[0].street, *key, next((door.postal_code for door in doors if door.postal_code), ""),
                    sum(door.longitude for door in doors) / len(doors), sum(door.latitude for door in doors) / len(doors), source,
                ],
            )  # fmt: skip
            found = cursor.fetchone()
            assert found is not None
            ids[key] = found[0]
        doors_kept = list(_doors(tenant_id, streets, ids))
        cursor.executemany(
            "INSERT INTO territory_door (tenant_id, street_id, number, number_value, postal_code, longitude, latitude) VALUES (%s, %s, %s, %s, %s, %s, %s)",
            doors_kept,
        )
    return ImportOutcome({"street": len(streets), "door": len(doors_kept)})


def _doors(tenant_id: int, streets: dict[tuple[str, str, str], list[DoorRow]], ids: dict[tuple[str, str, str], int]) -> Iterator[list[Any]]:
    for key, doors in streets.items():
        for door in doors:
            if door.number:
                yield [tenant_id, ids[key], door.number.upper(), _value(door.number), door.postal_code, door.longitude, door.latitude]


def _value(number: str) -> int | None:
    found = re.match(r"\d{1,6}", number)
    return int(found[0]) if found else None


def search(connection: psycopg.Connection, tenant_id: int, text: str, *, limit: int = 10) -> list[Street]:
    """Streets whose name is like `text`, without accents and in any word order; the likest first."""
    wanted = normalise(text)
    if not wanted:
        return []
    rows = connection.execute(SEARCH, {"tenant": tenant_id, "text": wanted, "like": f"%{wanted}%", "limit": limit})
    return [Street(*row) for row in rows]


def geocode(connection: psycopg.Connection, tenant_id: int, address: str) -> Geocoded | None:
    """The point of an address of this tenant, and how sure it is: door, near door, street, postal code; None when nothing is like it."""
    code = _POSTAL_CODE.search(address)
    postal_code = f"{code[1]}-{code[2]}" if code else ""
    street_text, number, letter, rest = _parts(_POSTAL_CODE.sub("", address))
    streets = _best_streets(connection, tenant_id, street_text, postal_code, rest)
    if not streets:
        return _by_postal_code(connection, tenant_id, postal_code) if postal_code else None
    if number is not None:
        doors = [door for street in streets if (door := _door(connection, tenant_id, street, number, letter)) is not None]
        if doors:
            return min(doors, key=lambda door: door.quality is not Quality.DOOR)
    return Geocoded(streets[0].longitude, streets[0].latitude, Quality.STREET, streets[0].name, streets[0].likeness)


def _parts(address: str) -> tuple[str, int | None, str, str]:
    """(street, number, letter, rest): the number ends one of the first two pieces between commas."""
    pieces = [piece.strip() for piece in address.split(",") if piece.strip()]
    if not pieces:
        return "", None, "", ""
    if len(pieces) > 1 and re.fullmatch(r"(?:n\.?\s*[ºo°.]?\s*)?(\d{1,5})\s*-?\s*([A-Za-z]?)(?:\s.*)?", pieces[1]):
        found = re.search(r"(\d{1,5})\s*-?\s*([A-Za-z]?)\b", pieces[1])
        assert found is not None
        return pieces[0], int(found[1]), found[2].upper(), " ".join(pieces[2:])
    ending = _NUMBER.search(pieces[0])
    if ending and ending.start() > 0:
        return pieces[0][: ending.start()].strip(), int(ending[1]), (ending[2] or "").upper(), " ".join(pieces[1:])
    return pieces[0], None, "", " ".join(pieces[1:])


def _best_streets(connection: psycopg.Connection, tenant_id: int, text: str, postal_code: str, rest: str) -> list[Street]:
    """The likest streets; of equals those whose postal code or place the address names. Several where nothing tells them apart."""
    places = normalise(rest)

    def rank(street: Street) -> tuple[float, bool, bool]:
        named = any(place and normalise(place) in places for place in (street.locality, street.parish))
        return (round(street.likeness, 2), bool(postal_code) and street.postal_code == postal_code, named)

    found = [street for street in search(connection, tenant_id, text, limit=20) if street.likeness >= _LEAST_LIKENESS]
    best = max(map(rank, found), default=None)
    return [street for street in found if rank(street) == best]


def _door(connection: psycopg.Connection, tenant_id: int, street: Street, number: int, letter: str) -> Geocoded | None:
    """The door itself, else a place between the two nearest numbers of the same side."""
    rows = connection.execute(
        "SELECT number, number_value, longitude, latitude FROM territory_door"
        " WHERE tenant_id = %s AND street_id = %s AND number_value IS NOT NULL ORDER BY abs(number_value - %s), number LIMIT 200",
        [tenant_id, street.id, number],
    ).fetchall()
    exact = [row for row in rows if row[1] == number]
    if exact:
        wanted = f"{number}{letter}"
        best = next((row for row in exact if row[0].replace(" ", "").replace("-", "") == wanted), exact[0])
        return Geocoded(best[2], best[3], Quality.DOOR, f"{street.name} {best[0]}", street.likeness)
    side = [row for row in rows if row[1] % 2 == number % 2] or rows
    below = max((row for row in side if row[1] < number), key=lambda row: row[1], default=None)
    above = min((row for row in side if row[1] > number), key=lambda row: row[1], default=None)
    if below is not None and above is not None:
        share = (number - below[1]) / (above[1] - below[1])
        longitude, latitude = (below[at] + (above[at] - below[at]) * share for at in (2, 3))
        return Geocoded(longitude, latitude, Quality.NEAR_DOOR, f"{street.name}, {below[0]}–{above[0]}", street.likeness)
    near = below or above
    return Geocoded(near[2], near[3], Quality.NEAR_DOOR, f"{street.name} {near[0]}", street.likeness) if near else None


def _by_postal_code(connection: psycopg.Connection, tenant_id: int, postal_code: str) -> Geocoded | None:
    row = connection.execute(
        "SELECT avg(longitude), avg(latitude), count(*) FROM territory_door WHERE tenant_id = %s AND postal_code = %s", [tenant_id, postal_code]
    ).fetchone()
    if row is None or not row[2]:
        return None
    return Geocoded(row[0], row[1], Quality.POSTAL_CODE, postal_code)


def counts(connection: psycopg.Connection, tenant_id: int) -> list[tuple[str, int, int]]:
    """What the tenant has imported: (source, streets, doors)."""
    rows = connection.execute(
        "SELECT s.source, count(DISTINCT s.id), count(d.id) FROM street s LEFT JOIN territory_door d ON d.street_id = s.id AND d.tenant_id = s.tenant_id"
        " WHERE s.tenant_id = %s GROUP BY s.source ORDER BY s.source",
        [tenant_id],
    )
    return [(source, streets, doors) for source, streets, doors in rows]
