"""The DCAT-AP 3.0.1 record of a dataset and of a tenant's catalogue, as JSON-LD.

The shape also passes the national catalogue's metadata schemas (CNMD, DCAT-AP 3.0.0), which are stricter in
form: language strings everywhere, context entries that are plain strings, `dcterms:` and `dcat:` as prefixes.
Where both cannot be had under one name (`dcat:mediaType` is a literal there and an IRI in DCAT-AP), the IRI is
written with the prefix `dcatap:`, which means the same namespace.
Source: DCAT-AP 3.0.1, DCAT-AP HVD 3.0.0 (SEMIC), Regulation (EU) 2023/138.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from malha.share.opendata.contracts import FREQUENCIES, HVD_CATEGORIES, HVD_REGULATION, LICENCES, THEMES, OpenDataset, choice

type Node = dict[str, object]

CONTEXT: Node = {
    "adms": "http://www.w3.org/ns/adms#",
    # http, not https: harvesters match the namespace byte for byte
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcatap": "http://www.w3.org/ns/dcat#",
    "dcterms": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "hvd": "http://data.europa.eu/r5r/",
    "hydra": "http://www.w3.org/ns/hydra/core#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_EU = "http://publications.europa.eu/resource/authority"
_LANGUAGES = {"pt": f"{_EU}/language/POR", "en": f"{_EU}/language/ENG"}

#: (end of the address, EU file type, IANA media type, title pt, title en)
DISTRIBUTIONS = (
    ("dados.csv", "CSV", "text/csv", "CSV", "CSV"),
    ("dados.excel.csv", "CSV", "text/csv", "CSV para Excel em português", "CSV for Portuguese Excel"),
    ("dados.xlsx", "XLSX", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "Folha de cálculo", "Spreadsheet"),
    ("dados.json", "JSON", "application/json", "JSON", "JSON"),
    ("dados.geojson", "GEOJSON", "application/geo+json", "GeoJSON", "GeoJSON"),
    ("dados.parquet", "PARQUET", "application/vnd.apache.parquet", "Parquet", "Parquet"),
)


def words(pt: str, en: str = "") -> list[Node]:
    """A text in the languages it has."""
    return [{"@value": text, "@language": language} for language, text in (("pt", pt), ("en", en)) if text]


def polygon(bbox: tuple[float, float, float, float]) -> str:
    """The box as the WKT that harvesters read (longitude first)."""
    west, south, east, north = bbox
    return f"POLYGON(({west} {south}, {east} {south}, {east} {north}, {west} {north}, {west} {south}))"


def dataset_record(dataset: OpenDataset, url: str) -> Node:
    """The record of one dataset whose page is at `url` (absolute, ending in `/`)."""
    record: Node = {
        "@context": CONTEXT,
        "@id": url,
        "@type": "dcat:Dataset",
        "dcterms:identifier": url,
        "dcterms:title": words(dataset.title_pt, dataset.title_en),
        "dcterms:description": words(dataset.description_pt, dataset.description_en),
        "dcat:keyword": [{"@value": word, "@language": "pt"} for word in dict.fromkeys(dataset.keywords or (dataset.entity_type,))],
        "dcat:theme": [{"@id": choice(THEMES, dataset.theme).uri}],
        "dcat:landingPage": {"@id": url, "@type": "foaf:Document"},
        "dcat:spatialResolutionInMeters": {"@value": f"{dataset.spatial_resolution_m:g}", "@type": "xsd:decimal"},
        "dcat:temporalResolution": {"@value": dataset.temporal_resolution, "@type": "xsd:duration"},
        "dcterms:accrualPeriodicity": {"@id": choice(FREQUENCIES, dataset.frequency).uri},
        "dcterms:issued": _day(dataset.issued),
        "dcterms:modified": _day(dataset.modified.date()),
        "dcterms:language": {"@id": _LANGUAGES["pt"]},
        "dcterms:publisher": _publisher(dataset.publisher_name, dataset.publisher_url),
        "dcat:contactPoint": {
            "@type": ["vcard:Organization", "vcard:Kind"],
            "vcard:fn": words(dataset.contact_name),
            "vcard:hasEmail": {"@id": f"mailto:{dataset.contact_email}"},
        },
        "dcterms:spatial": _spatial(dataset.place_name, dataset.bbox),
        "dcterms:temporal": {"@type": "dcterms:PeriodOfTime", "dcat:startDate": _day(dataset.temporal_start), "dcat:endDate": _day(dataset.temporal_end)},
        "dcat:distribution": [_distribution(dataset, url, *row) for row in DISTRIBUTIONS if row[1] != "GEOJSON" or dataset.has_place],
    }
    if dataset.hvd_category:
        record["hvd:applicableLegislation"] = {"@id": HVD_REGULATION}
        record["hvd:hvdCategory"] = {"@id": choice(HVD_CATEGORIES, dataset.hvd_category).uri}
    return record


def service_record(dataset: OpenDataset, url: str) -> Node:
    """The record of the interface by which programs read the dataset."""
    record: Node = {
        "@context": CONTEXT,
        "@id": f"{url}api",
        "@type": "dcat:DataService",
        "dcterms:identifier": f"{url}api",
        "dcterms:title": words(f"API: {dataset.title_pt}", f"API: {dataset.title_en}" if dataset.title_en else ""),
        "dcat:endpointURL": {"@id": f"{url}api"},
        "dcat:endpointDescription": {"@id": f"{url}api/openapi.json"},
        "dcat:servesDataset": {"@id": url},
        "dcat:theme": [{"@id": choice(THEMES, dataset.theme).uri}],
        "dcterms:license": {"@id": choice(LICENCES, dataset.licence).uri},
        "dcterms:publisher": _publisher(dataset.publisher_name, dataset.publisher_url),
        "foaf:page": {"@id": url, "@type": "foaf:Document"},
        "dcat:contactPoint": {
            "@type": ["vcard:Organization", "vcard:Kind"],
            "vcard:fn": words(dataset.contact_name),
            "vcard:hasEmail": {"@id": f"mailto:{dataset.contact_email}"},
        },
    }
    if dataset.hvd_category:
        record["hvd:applicableLegislation"] = {"@id": HVD_REGULATION}
        record["hvd:hvdCategory"] = {"@id": choice(HVD_CATEGORIES, dataset.hvd_category).uri}
    return record


def catalogue_record(
    *,
    url: str,
    name: str,
    publisher_url: str,
    bbox: tuple[float, float, float, float],
    datasets: Sequence[tuple[OpenDataset, str]],
    page: int = 1,
    pages: int = 1,
) -> Node:
    """A page of the catalogue at `url`, with the full records of its datasets and services (hydra paging)."""
    records = [_inner(dataset_record(dataset, address)) for dataset, address in datasets]
    services = [_inner(service_record(dataset, address)) for dataset, address in datasets]
    catalogue: Node = {
        "@context": CONTEXT,
        "@id": url,
        "@type": "dcat:Catalog",
        "dcterms:title": words(f"Dados abertos: {name}", f"Open data: {name}"),
        "dcterms:description": words(f"Conjuntos de dados publicados por {name}.", f"Datasets published by {name}."),
        "dcterms:publisher": _publisher(name, publisher_url),
        "dcterms:license": {"@id": LICENCES[0].uri},
        "dcterms:language": {"@id": _LANGUAGES["pt"]},
        "dcterms:spatial": _spatial(name, bbox),
        "foaf:homepage": {"@id": publisher_url, "@type": "foaf:Document"},
        "dcat:dataset": records,
        "dcat:service": services,
    }
    if pages > 1:
        view: Node = {
            "@id": f"{url}?page={page}",
            "@type": "hydra:PartialCollectionView",
            "hydra:first": {"@id": f"{url}?page=1"},
            "hydra:last": {"@id": f"{url}?page={pages}"},
        }
        if page < pages:
            view["hydra:next"] = {"@id": f"{url}?page={page + 1}"}
        catalogue["hydra:view"] = view
    return catalogue


def _inner(record: Node) -> Node:
    return {key: value for key, value in record.items() if key != "@context"}


def _day(value: date) -> Node:
    return {"@value": value.isoformat(), "@type": "xsd:date"}


def _publisher(name: str, url: str) -> Node:
    return {"@id": f"{url}#entidade", "@type": "foaf:Agent", "foaf:name": words(name), "foaf:homepage": {"@id": url}}


def _spatial(name: str, bbox: tuple[float, float, float, float]) -> Node:
    return {"@type": "dcterms:Location", "dcterms:title": words(name), "dcat:bbox": polygon(bbox)}


def _distribution(dataset: OpenDataset, url: str, end: str, file_type: str, media: str, pt: str, en: str) -> Node:
    distribution: Node = {
        "@id": f"{url}{end}",
        "@type": "dcat:Distribution",
        "dcterms:title": words(pt, en),
        "dcterms:description": words(f"{dataset.title_pt} em {pt}", f"{dataset.title_en} as {en}" if dataset.title_en else ""),
        "dcterms:format": {"@id": f"{_EU}/file-type/{file_type}"},
        "dcatap:mediaType": {"@id": f"https://www.iana.org/assignments/media-types/{media}"},
        "dcat:accessURL": {"@id": f"{url}{end}"},
        "dcat:downloadURL": {"@id": f"{url}{end}"},
        "dcterms:license": {"@id": choice(LICENCES, dataset.licence).uri},
        "dcterms:issued": _day(dataset.issued),
        "dcterms:modified": _day(dataset.modified.date()),
        "dcat:temporalResolution": {"@value": dataset.temporal_resolution, "@type": "xsd:duration"},
    }
    if dataset.hvd_category:
        distribution["hvd:applicableLegislation"] = {"@id": HVD_REGULATION}
    return distribution
