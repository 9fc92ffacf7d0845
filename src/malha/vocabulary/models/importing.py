"""A folder of the national catalogue or of Smart Data Models: its schemas become models, its examples are tried on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
from jsonschema import Draft202012Validator

from malha.kernel import units
from malha.kernel.text import msg
from malha.vocabulary.models import reading, references, saving, validation
from malha.vocabulary.models.contracts import DataModel, Finding, ModelError, ModelProperty, Role, Severity, UnusableModel
from malha.vocabulary.models.simplified import is_attribute, key_values

EXAMPLE_FOLDERS = frozenset({"exemplos", "examples", "exemplo", "example"})


@dataclass(frozen=True, slots=True)
class SchemaOutcome:
    """What became of one schema: a model, or the reason why none."""

    path: str
    model: DataModel | None = None
    reason: str = ""
    schema: dict[str, Any] | None = None
    is_metadata: bool = False


@dataclass(frozen=True, slots=True)
class ExampleOutcome:
    """What became of one example: accepted, refused with findings, or why it could not be tried."""

    path: str
    type: str = ""
    uri: str = ""
    findings: tuple[Finding, ...] = ()
    reason: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether it was tried and nothing keeps it out."""
        return not self.reason and not any(found.severity is Severity.ERROR for found in self.findings)


@dataclass(slots=True)
class Report:
    """What an import found, file by file."""

    schemas: list[SchemaOutcome] = field(default_factory=list)
    examples: list[ExampleOutcome] = field(default_factory=list)

    @property
    def models(self) -> list[DataModel]:
        """The models that were understood, in order of type."""
        return sorted((outcome.model for outcome in self.schemas if outcome.model), key=lambda model: model.type)


def read_folder(folder: Path, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Read every schema under `folder` and try every example; nothing is saved. Raises UnusableModel where there is no schema."""
    report = Report()
    for path in sorted(folder.rglob("*.json")):
        if _is_schema_file(path):
            progress(path.name)
            report.schemas.append(_read_schema(path, folder))
    if not report.schemas:
        raise UnusableModel(msg("Em {folder} não há esquemas (ficheiros .schema.json ou schema.json)."), folder=str(folder))
    examples = [(path, loaded) for path in _example_files(folder) for loaded in _load_examples(path)]
    report.schemas = [_with_example_facts(outcome, examples) for outcome in report.schemas]
    models = {model.type: model for model in report.models}
    metadata = [outcome for outcome in report.schemas if outcome.is_metadata]
    for path, loaded in examples:
        progress(path.name)
        report.examples.append(_try_example(path, folder, loaded, models, metadata))
    return report


def save(connection: psycopg.Connection, tenant_id: int | None, report: Report, *, origin: str) -> int:
    """Keep every model of `report`, for a tenant (inside its transaction) or, as owner of the tables, for everybody; how many."""
    kept = [outcome for outcome in report.schemas if outcome.model is not None]
    for outcome in kept:
        assert outcome.model is not None
        saving.save(connection, tenant_id, outcome.model, origin=f"{origin}/{outcome.path}", schema=outcome.schema)
    return len(kept)


def _is_schema_file(path: Path) -> bool:
    return path.name.endswith(".schema.json") or path.name == "schema.json"


def _example_files(folder: Path) -> Iterator[Path]:
    for path in sorted([*folder.rglob("*.json"), *folder.rglob("*.jsonld")]):
        if not _is_schema_file(path) and EXAMPLE_FOLDERS & {part.lower() for part in path.relative_to(folder).parts[:-1]}:
            yield path


def _read_schema(path: Path, folder: Path) -> SchemaOutcome:
    name = path.relative_to(folder).as_posix()
    try:
        schema = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError) as reason:
        return SchemaOutcome(name, reason=f"O ficheiro não é JSON: {reason}.")
    if not isinstance(schema, dict):
        return SchemaOutcome(name, reason="O ficheiro não tem um esquema JSON.")
    try:
        resolved = references.resolve(schema)
        Draft202012Validator.check_schema(resolved)
        parts = path.relative_to(folder).parts
        source = "CNMD" if "CNMD" in json.dumps(schema.get("modelTags", "")) or path.name.endswith(".schema.json") else "Smart Data Models"
        model = reading.read(
            {**resolved, "$schemaVersion": schema.get("$schemaVersion", "")},
            theme=parts[0] if len(parts) > 1 else "",
            source=source,
            name=path.name.removesuffix(".schema.json") if path.name != "schema.json" else path.parent.name,
        )
    except ModelError as reason:
        return SchemaOutcome(name, reason=str(reason), schema=schema, is_metadata="@type" in schema.get("properties", {}))
    except Exception as reason:  # noqa: BLE001 -- a schema of another's making may be wrong in any way; it is refused with the reason
        return SchemaOutcome(name, reason=f"O esquema não se entende: {str(reason).splitlines()[0]}.", schema=schema)
    return SchemaOutcome(name, model=model, schema=resolved)


def _load_examples(path: Path) -> list[Any]:
    """The entities of a file; what is no JSON counts as one that cannot be tried."""
    try:
        loaded = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError) as reason:
        return [UnusableModel(msg("O ficheiro não é JSON: {reason}."), reason=str(reason))]
    return loaded if isinstance(loaded, list) else [loaded]


def _try_example(path: Path, folder: Path, entity: Any, models: Mapping[str, DataModel], metadata: list[SchemaOutcome]) -> ExampleOutcome:
    name = path.relative_to(folder).as_posix()
    if isinstance(entity, UnusableModel):
        return ExampleOutcome(name, reason=str(entity))
    if not isinstance(entity, dict):
        return ExampleOutcome(name, reason="Não é uma entidade: o ficheiro tem outra coisa.")
    entity_type = str(entity.get("type") or entity.get("@type") or "")
    uri = str(entity.get("id") or entity.get("@id") or "")
    if "@type" in entity and ":" in entity_type:
        return _try_metadata(name, entity, entity_type, uri, metadata)
    model = models.get(entity_type)
    if model is None:
        return ExampleOutcome(
            name, entity_type, uri, reason=f"Não há esquema para “{entity_type}” nesta pasta." if entity_type else "Não diz o seu tipo; não é NGSI-LD."
        )
    return ExampleOutcome(name, entity_type, uri, tuple(validation.of(model).validate(entity)))


def _try_metadata(name: str, entity: dict[str, Any], entity_type: str, uri: str, metadata: list[SchemaOutcome]) -> ExampleOutcome:
    """A catalogue record is tried as it is on the metadata schemas; one that takes it is enough."""
    kind = entity_type.partition(":")[2]
    candidates = [outcome for outcome in metadata if kind in Path(outcome.path).name.split(".")]
    if not candidates:
        return ExampleOutcome(name, entity_type, uri, reason=f"Não há esquema de metadados para “{entity_type}” nesta pasta.")
    reasons: list[str] = []
    for outcome in candidates:
        error = next(iter(Draft202012Validator(outcome.schema or {}).iter_errors(entity)), None)
        if error is None:
            return ExampleOutcome(name, entity_type, uri)
        reasons.append(f"{'.'.join(map(str, error.absolute_path)) or entity_type}: {error.message[:160]}")
    return ExampleOutcome(name, entity_type, uri, findings=(Finding(entity_type, "metadata", reasons[0], "Corrija o registo segundo o esquema de metadados."),))


def _with_example_facts(outcome: SchemaOutcome, examples: list[tuple[Path, Any]]) -> SchemaOutcome:
    """A model learns from its examples the units that its schema leaves out, and keeps one example."""
    model = outcome.model
    if model is None:
        return outcome
    own = [entity for _, entity in examples if isinstance(entity, dict) and entity.get("type") == model.type]
    if not own:
        return outcome
    codes = {name: str(thing["unitCode"]) for entity in own for name, thing in entity.items() if is_attribute(thing) and isinstance(thing.get("unitCode"), str)}
    properties = tuple(_with_unit(prop, codes.get(prop.name, "")) for prop in model.properties)
    return replace(outcome, model=replace(model, properties=properties, example=key_values(own[0])))


def _with_unit(prop: ModelProperty, code: str) -> ModelProperty:
    return replace(prop, unit=code) if not prop.unit and prop.role is Role.MEASURE and units.find(code) and not (code == "P1" and prop.maximum == 1) else prop
