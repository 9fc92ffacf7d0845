"""The records pass the official shapes and the national schemas, and a wrong one does not."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, date, datetime

import jsonschema
import pytest
import rdflib

from malha.share.opendata import dcat
from malha.share.opendata.contracts import OpenDataset

# rdflib's own parser still uses the class that it deprecates
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:rdflib", "ignore:.*ConjunctiveGraph.*:DeprecationWarning", "ignore::DeprecationWarning:pyshacl"
)

URL = "https://vila.example/dados-abertos/contentores/"
DATASET = OpenDataset(
    id=1,
    slug="contentores",
    title_pt="Contentores de resíduos",
    title_en="Waste containers",
    description_pt="Onde estão os contentores e quão cheios.",
    description_en="",
    entity_type="WasteContainer",
    columns=("id", "name"),
    filter="",
    licence="cc-by-4.0",
    theme="ENVI",
    frequency="DAILY",
    keywords=("resíduos", "contentores"),
    contact_name="Câmara Municipal",
    contact_email="dados@vila.example",
    publisher_name="Vila de Ensaio",
    publisher_url="https://vila.example/",
    place_name="Vila de Ensaio",
    bbox=(-8.7, 40.5, -8.5, 40.7),
    temporal_start=date(2026, 1, 1),
    temporal_end=date(2026, 11, 23),
    temporal_resolution="PT1H",
    spatial_resolution_m=10.0,
    issued=date(2026, 11, 1),
    modified=datetime(2026, 11, 23, tzinfo=UTC),
)
HVD = dataclasses.replace(DATASET, hvd_category="environment", slug="ar")


def graph(record):
    return rdflib.Graph().parse(data=json.dumps(record), format="json-ld")


BOTH = ((DATASET, URL), (HVD, "https://vila.example/dados-abertos/ar/"))


def catalogue(datasets=BOTH, **fields):
    return dcat.catalogue_record(
        url="https://vila.example/catalog.jsonld", name="Vila de Ensaio", publisher_url="https://vila.example/", bbox=DATASET.bbox, datasets=datasets, **fields
    )


def conforms(record, shapes):
    pyshacl = pytest.importorskip("pyshacl")
    held, _, text = pyshacl.validate(graph(record), shacl_graph=rdflib.Graph().parse(shapes), advanced=True)
    return held, text


def test_it_works():
    record = dcat.dataset_record(DATASET, URL)
    found = graph(record)
    dcat_ns = rdflib.Namespace("http://www.w3.org/ns/dcat#")
    assert (rdflib.URIRef(URL), rdflib.RDF.type, dcat_ns.Dataset) in found
    assert len(set(found.objects(rdflib.URIRef(URL), dcat_ns.distribution))) == 6
    media = set(found.objects(None, dcat_ns.mediaType))
    assert rdflib.URIRef("https://www.iana.org/assignments/media-types/text/csv") in media


def test_a_dataset_without_place_offers_no_geojson():
    record = dcat.dataset_record(dataclasses.replace(DATASET, has_place=False), URL)
    assert not any("geojson" in d["@id"] for d in record["dcat:distribution"])


def test_pages_of_a_catalogue_follow_each_other():
    first, last = catalogue(page=1, pages=2), catalogue(page=2, pages=2)
    assert first["hydra:view"]["hydra:next"]["@id"].endswith("?page=2")
    assert "hydra:next" not in last["hydra:view"]
    assert "hydra:view" not in catalogue()


@pytest.mark.samples
def test_the_official_shapes_hold(samples):
    held, text = conforms(catalogue(), samples / "dcat-ap" / "shapes.ttl")
    assert held, text
    broken = catalogue()
    del broken["dcat:dataset"][0]["dcterms:title"]
    held, text = conforms(broken, samples / "dcat-ap" / "shapes.ttl")
    assert not held, "a dataset without title must not pass"


@pytest.mark.samples
def test_the_shapes_of_high_value_data_hold(samples):
    held, text = conforms(catalogue([(HVD, URL)]), samples / "dcat-ap" / "hvd-SHACL-base.ttl")
    assert held, text


@pytest.mark.samples
@pytest.mark.parametrize("kind", ["Catalog", "Dataset", "Distribution", "DataService"])
def test_the_national_metadata_schemas_hold(samples, kind):
    schema = json.loads((samples / "cnmd" / "Comuns" / "Metadata" / "schema" / f"Metadata.{kind}.schema.json").read_text())
    record = {
        "Catalog": catalogue(),
        "Dataset": dcat.dataset_record(HVD, URL),
        "Distribution": dcat.dataset_record(HVD, URL)["dcat:distribution"][0],
        "DataService": dcat.service_record(HVD, URL),
    }[kind]
    errors = [f"{'/'.join(map(str, e.path))}: {e.message[:200]}" for e in jsonschema.Draft202012Validator(schema).iter_errors(record)]
    assert not errors, errors
