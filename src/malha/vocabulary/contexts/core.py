"""The terms of the NGSI-LD core context (GS CIM 009 v1.9, Annex B) and the vocabularies whose names need no context.

A table of our own: the facts are which term stands for which IRI. The core wins over every other context (§5.5.7).
"""

from __future__ import annotations

import re

NGSI_LD = "https://uri.etsi.org/ngsi-ld/"
DEFAULT_VOCABULARY = NGSI_LD + "default-context/"
GEOJSON = "https://purl.org/geojson/vocab#"
CORE_URL = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
#: every published address of a core context: v1 and its numbered versions
CORE_ADDRESS = re.compile(r"https://uri\.etsi\.org/ngsi-ld/v1/ngsi-ld-core-context(-v1\.\d+)?\.jsonld")

#: terms that stand for the same word in the NGSI-LD vocabulary
_SAME_WORD = """
Attribute AttributeList ContextSourceIdentity ContextSourceNotification ContextSourceRegistration Date DateTime EntityMap EntityType EntityTypeInfo EntityTypeList
ExecutionResultDetails GeoProperty JsonProperty LanguageProperty ListProperty ListRelationship Notification Property Relationship Snapshot SnapshotNotification
Subscription TemporalProperty Time VocabProperty accept aggrMethods aggrParams aggrPeriodDuration attributeCount attributeDetails attributeList attributeName
attributeNames attributeTypes attributes attrs avg cacheDuration collation contextSourceAlias contextSourceExtras contextSourceInfo contextSourceTimeAt
contextSourceUptime cooldown createdAt csf data datasetId deletedAt detail distinctCount endAt endTimeAt endpoint entities entity entityCount entityId entityList
error errors expandValues expiresAt format geoQ geoproperty georel idPattern information instanceId isActive join jsonKeys jsonldContext jsons lang lastFailure
lastN lastNotification lastSuccess lastUsedAt linkedMaps localOnly location management managementInterval max min mode modifiedAt ngsildConformance ngsildproof
notUpdated notification notificationTrigger notifiedAt notifierInfo observationInterval observationSpace observedAt omit operationSpace operations orderBy ordering
pick problemDetails propertyNames q reason receiverInfo refreshRate registrationId registrationName relationshipNames resultStatus scope scopeQ showChanges
snapshotId snapshotLifetime snapshotPriority snapshotQueries snapshotQueriesDetails snapshotStatus snapshotTemporalQueries snapshotTemporalQueriesDetails startAt
status stddev subscriptionId subscriptionName success sum sumsq sysAttrs temporalQ tenant throttling timeAt timeInterval timeout timeproperty timerel timesFailed
timesSent totalCount triggerReason typeList typeName typeNames unchanged unitCode updated uri watchedAttributes
"""
#: terms that stand for "has" plus another spelling
_HAS = {
    "dataset": "Dataset", "entityMap": "EntityMap", "entityMapLifetime": "EntityMapLifetime", "joinLevel": "JoinLevel", "json": "JSON", "key": "Key",
    "languageMap": "LanguageMap", "languageMaps": "LanguageMaps", "object": "Object", "objectList": "ObjectList", "objectLists": "ObjectLists",
    "objects": "Objects", "objectType": "ObjectType", "previousJson": "PreviousJson", "previousLanguageMap": "PreviousLanguageMap",
    "previousObject": "PreviousObject", "previousObjectList": "PreviousObjectList", "previousValue": "PreviousValue",
    "previousValueList": "PreviousValueList", "previousVocab": "PreviousVocab", "splitEntities": "SplitEntities", "value": "Value", "valueList": "ValueList",
    "valueLists": "ValueLists", "values": "Values", "valueType": "ValueType", "vocab": "Vocab", "vocabs": "Vocabs",
}  # fmt: skip
_GEOJSON = "Feature FeatureCollection GeometryCollection LineString MultiLineString MultiPoint MultiPolygon Point Polygon bbox coordinates features geometry properties"
TERMS: dict[str, str] = {
    **{term: NGSI_LD + term for term in _SAME_WORD.split()},
    **{term: f"{NGSI_LD}has{word}" for term, word in _HAS.items()},
    **{term: GEOJSON + term for term in _GEOJSON.split()},
    "containedBy": NGSI_LD + "isContainedBy",
    "description": "http://purl.org/dc/terms/description",
    "title": "http://purl.org/dc/terms/title",
    "langString": "http://www.w3.org/1999/02/22-rdf-syntax-ns#langString",
}
PREFIXES = {"ngsi-ld": NGSI_LD, "geojson": GEOJSON}
SHORT = {iri: term for term, iri in TERMS.items()}

#: vocabularies of data models whose words are written short: Smart Data Models (with or without the subject), FIWARE's older one
MODEL_WORD = re.compile(r"https://(?:smartdatamodels\.org/(?:dataModel\.[A-Za-z]+/)?|uri\.fiware\.org/ns/data-models#)([A-Za-z_][A-Za-z0-9_]*)")
#: addresses of contexts that only name words of those vocabularies: they need no table, and no network
MODEL_CONTEXT = re.compile(
    r"https?://(?:"
    r"(?:www\.)?smartdatamodels\.org/(?:.+/)?context\.jsonld"
    r"|raw\.githubusercontent\.com/smart-data-models/.+\.jsonld"
    r"|smart-data-models\.github\.io/.+\.jsonld"
    r"|schema\.(?:lab\.)?fiware\.org/ld/context(?:\.jsonld)?"
    r"|(?:www\.)?schema\.org/?(?:docs/jsonldcontext\.jsonld?)?"
    r"|territoriosinteligentes\.gov\.pt/.+\.jsonld"
    r"|raw\.githubusercontent\.com/territoriosinteligentes[^/]*/.+\.jsonld"
    r")"
)
