"""An open dataset: what leaves, under which licence, who answers for it, and its life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from malha.kernel.errors import BadInput, MalhaError, NotFound


class PublicationState(StrEnum):
    """The life of an open dataset."""

    DRAFT = "draft"
    WAITING = "waiting"  # for somebody who may publish
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry of a controlled vocabulary: its URI and what people read."""

    code: str
    uri: str
    pt: str
    en: str

    def word(self, language: str | None) -> str:
        """What people read in that language."""
        return self.en if (language or "").startswith("en") else self.pt


_EU = "http://publications.europa.eu/resource/authority"

LICENCES = (
    Choice("cc-by-4.0", "https://creativecommons.org/licenses/by/4.0/", "Creative Commons Atribuição 4.0", "Creative Commons Attribution 4.0"),
    Choice("cc0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/", "Creative Commons Zero 1.0", "Creative Commons Zero 1.0"),
    Choice("odbl-1.0", "https://opendatacommons.org/licenses/odbl/1-0/", "Licença ODbL 1.0", "Open Database License 1.0"),
)
THEMES = tuple(
    Choice(code, f"{_EU}/data-theme/{code}", pt, en)
    for code, pt, en in (
        ("ENVI", "Ambiente", "Environment"),
        ("TRAN", "Transportes", "Transport"),
        ("GOVE", "Governo e setor público", "Government and public sector"),
        ("HEAL", "Saúde", "Health"),
        ("EDUC", "Educação, cultura e desporto", "Education, culture and sport"),
        ("ENER", "Energia", "Energy"),
        ("SOCI", "População e sociedade", "Population and society"),
        ("ECON", "Economia e finanças", "Economy and finance"),
        ("JUST", "Justiça e segurança pública", "Justice and public safety"),
        ("REGI", "Regiões e cidades", "Regions and cities"),
        ("AGRI", "Agricultura, pescas e florestas", "Agriculture, fisheries and forestry"),
        ("TECH", "Ciência e tecnologia", "Science and technology"),
    )
)
FREQUENCIES = tuple(
    Choice(code, f"{_EU}/frequency/{code}", pt, en)
    for code, pt, en in (
        ("UPDATE_CONT", "contínua", "continuous"),
        ("HOURLY", "de hora a hora", "hourly"),
        ("DAILY", "diária", "daily"),
        ("WEEKLY", "semanal", "weekly"),
        ("MONTHLY", "mensal", "monthly"),
        ("QUARTERLY", "trimestral", "quarterly"),
        ("ANNUAL", "anual", "annual"),
        ("IRREG", "irregular", "irregular"),
    )
)
#: days until the next update that a frequency promises; None where it promises none
DAYS_BETWEEN = {"UPDATE_CONT": 0, "HOURLY": 0, "DAILY": 1, "WEEKLY": 7, "MONTHLY": 31, "QUARTERLY": 92, "ANNUAL": 366, "IRREG": None}

#: high-value data categories (Implementing Regulation (EU) 2023/138)
HVD_CATEGORIES = (
    Choice("geospatial", "http://data.europa.eu/bna/c_ac64a52d", "Geoespaciais", "Geospatial"),
    Choice("environment", "http://data.europa.eu/bna/c_dd313021", "Observação da Terra e ambiente", "Earth observation and environment"),
    Choice("mobility", "http://data.europa.eu/bna/c_b79e35eb", "Mobilidade", "Mobility"),
)
HVD_REGULATION = "http://data.europa.eu/eli/reg_impl/2023/138/oj"


def choice(among: tuple[Choice, ...], code: str) -> Choice:
    """The entry called `code`, or the first one where there is none."""
    return next((entry for entry in among if entry.code == code), among[0])


@dataclass(frozen=True, slots=True)
class OpenDataset:
    """One dataset as its record and its page describe it.

    `bbox` is (west, south, east, north) in EPSG:4326 degrees; `columns` are the names that leave, in order.
    """

    id: int
    slug: str
    title_pt: str
    title_en: str
    description_pt: str
    description_en: str
    entity_type: str
    columns: tuple[str, ...]
    filter: str
    licence: str
    theme: str
    frequency: str
    keywords: tuple[str, ...]
    contact_name: str
    contact_email: str
    publisher_name: str
    publisher_url: str
    place_name: str
    bbox: tuple[float, float, float, float]
    temporal_start: date
    temporal_end: date
    temporal_resolution: str
    spatial_resolution_m: float
    issued: date
    modified: datetime
    hvd_category: str = ""
    has_place: bool = True


class OpenDataError(MalhaError):
    """Something about open data does not hold."""

    slug = "open-data"


class UnknownDataset(OpenDataError, NotFound):
    """No published dataset has that address."""

    slug = "unknown-dataset"


class NotReadyToPublish(OpenDataError, BadInput):
    """Something that a published dataset must have is missing."""

    slug = "not-ready-to-publish"
