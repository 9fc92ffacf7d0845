"""What schemas of the national catalogue and of Smart Data Models refer to elsewhere, said here in our own terms.

An import never asks the network: a `$ref` to geojson.org or to a shared schema of Smart Data Models is answered from
`DEFINITIONS` by the last step of its address and its fragment; one that is not here makes the schema refused.
"""

from __future__ import annotations

from typing import Any

from malha.vocabulary.codelists import service as codelists

type Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_URI: Schema = {"type": "string", "format": "uri"}
_LINK: Schema = {"type": "string", "minLength": 1, "x-link": True}
_POSITION: Schema = {"type": "array", "minItems": 2, "items": _NUMBER}


def _list(items: Schema, least: int = 1) -> Schema:
    return {"type": "array", "minItems": least, "items": items}


def _geometry(kind: str, coordinates: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["type", "coordinates"],
        "properties": {"type": {"const": kind}, "coordinates": coordinates, "bbox": _list(_NUMBER, 4)},
    }


_GEOMETRIES: dict[str, Schema] = {
    "Point": _geometry("Point", _POSITION),
    "MultiPoint": _geometry("MultiPoint", _list(_POSITION)),
    "LineString": _geometry("LineString", _list(_POSITION, 2)),
    "MultiLineString": _geometry("MultiLineString", _list(_list(_POSITION, 2))),
    "Polygon": _geometry("Polygon", _list(_list(_POSITION, 4))),
    "MultiPolygon": _geometry("MultiPolygon", _list(_list(_list(_POSITION, 4)))),
}
_LOCATION: Schema = {"description": "GeoProperty.", "oneOf": list(_GEOMETRIES.values())}


def _group(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


_HOURS = _group(opens=_TEXT, closes=_TEXT, dayOfWeek=_TEXT, validFrom=_INSTANT, validThrough=_INSTANT)
_CONTACT = _group(
    contactType=_TEXT, email=_TEXT, telephone=_TEXT, name=_TEXT, url=_TEXT, areaServed=_TEXT, availableLanguage={}, contactOption=_TEXT,
    faxNumber=_TEXT, productSupported=_TEXT, availabilityRestriction={},
)  # fmt: skip
_HUMIDITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_VISIBILITY: Schema = {
    "anyOf": [{"type": "string", "enum": ["veryPoor", "poor", "moderate", "good", "veryGood", "excellent"]}, {"type": "number", "minimum": 0}]
}
_TIME_SERIES = _group(
    instantValue=_NUMBER, avgOverTime=_NUMBER, minOverTime=_NUMBER, maxOverTime=_NUMBER, stdDevOverTime=_NUMBER, sumOverTime=_NUMBER,
    medianOverTime=_NUMBER, period=_TEXT, startDate=_INSTANT, endDate=_INSTANT,
)  # fmt: skip


def _common() -> dict[str, Schema]:
    return {
        "EntityIdentifierType": _LINK,
        "email": _TEXT,
        "timeInstant": _INSTANT,
        "dateObserved": _INSTANT,
        "dateYearLess": {"type": "string", "pattern": r"^--\d{2}-\d{2}$"},
        "GSMA-Commons": _group(
            id=_LINK, name=_TEXT, alternateName=_TEXT, description=_TEXT, dataProvider=_TEXT, source=_TEXT,
            dateCreated=_INSTANT, dateModified=_INSTANT, owner={"type": "array", "items": _LINK}, seeAlso={"oneOf": [_list(_URI), _URI]},
        ),
        "Location-Commons": _group(
            location=_LOCATION, areaServed=_TEXT,
            address=_group(
                streetAddress=_TEXT, streetNr=_TEXT, postalCode=_TEXT, postOfficeBoxNumber=_TEXT,
                addressLocality=_TEXT, addressRegion=_TEXT, addressCountry=_TEXT, district=_TEXT,
            ),
        ),
        "PhysicalObject-Commons": _group(color=_TEXT, image=_URI, annotations={"type": "array", "items": _TEXT}),
        "DateTime-Commons": _group(openingHoursSpecification={"type": "array", "items": _HOURS}),
        "Contact-Commons": _group(contactPoint=_CONTACT),
    }  # fmt: skip


def _weather() -> dict[str, Schema]:
    air = {"temperature": _NUMBER, "feelLikesTemperature": _NUMBER, "relativeHumidity": _HUMIDITY}
    positive: Schema = {"type": "number", "minimum": 0}
    return {
        "WeatherAlertCategories": {"type": "string", "enum": list(codelists.get("weather-alert-category").values)},
        "Weather-AirConditions": _group(**air),
        "Weather-Commons": _group(
            weatherType=_TEXT, visibility=_VISIBILITY, windDirection={"type": "number", "minimum": 0, "maximum": 360}, windSpeed=positive, gustSpeed=_NUMBER,
            refPointOfInterest={**_LINK, "description": "Relationship."}, atmosphericPressure=positive, illuminance=positive,
            temperature=_NUMBER, feelsLikeTemperature=_NUMBER, relativeHumidity=_HUMIDITY,
        ),
        "Weather-Alert": _group(
            dateIssued=_INSTANT, validFrom=_INSTANT, validTo=_INSTANT, data={"type": "object"}, alertSource=_LINK,
            severity={"type": "string", "enum": list(codelists.get("weather-alert-severity").values)},
            category={"type": "string", "enum": list(codelists.get("alert-category").values)},
        ),
    }  # fmt: skip


def _device() -> dict[str, Schema]:
    texts: Schema = {"type": "array", "items": _TEXT}
    return {"Device-Commons": _group(category=texts, controlledProperty=texts, supportedProtocol=texts)}


#: last step of the address of a schema → its definitions by name (None: the whole schema)
DEFINITIONS: dict[str, dict[str | None, Schema]] = {
    "common-schema.json": dict(_common().items()),
    "weather-schema.json": dict(_weather().items()),
    "device-schema.json": dict(_device().items()),
    "Environment-schema.json": {"TimeSeriesAggregation": _TIME_SERIES, "airQualityLevel": _TEXT},
    **{f"{kind}.json": {None: schema} for kind, schema in _GEOMETRIES.items()},
    "Geometry.json": {None: _LOCATION},
}
