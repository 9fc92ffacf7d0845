"""The real faults of a catalogue's files, as a table in Markdown: file, entity, property, what is wrong."""

from __future__ import annotations

from malha.vocabulary.models.contracts import Finding, Severity
from malha.vocabulary.models.importing import ExampleOutcome, Report

#: warnings that are faults of the file and not only a manner of writing
_TOLD = frozenset({"unknown-near", "instant-zone", "unit-odd", "swapped", "id-form"})
_HEAD = """# Faults in the files of the national catalogue of data models

Made by `./malha models faults FOLDER` from the folder that an operator imports; a test compares it with the files where the sample folder is present.
The sentences are those that a user reads (in Portuguese). *erro* keeps the entity out; *aviso* lets it in.
"""


def table(report: Report) -> str:
    """The document: schemas that gave no model, examples that were not tried, and every fault found in those that were."""
    lines = [_HEAD, f"Schemas: {len(report.schemas)}, of which {len(report.models)} became data models.", ""]
    lines += ["## Schemas that are no data model", "", "| file | reason |", "|---|---|"]
    lines += [f"| {outcome.path} | {_cell(outcome.reason)} |" for outcome in report.schemas if outcome.model is None]
    tried = [outcome for outcome in report.examples if not outcome.reason]
    accepted = sum(outcome.is_accepted for outcome in tried)
    lines += ["", "## Examples", "", f"Examples: {len(report.examples)}; tried {len(tried)}, accepted {accepted}, refused {len(tried) - accepted}.", ""]
    lines += ["### Not tried", "", "| file | type | reason |", "|---|---|---|"]
    lines += [f"| {outcome.path} | {outcome.type or '—'} | {_cell(outcome.reason)} |" for outcome in report.examples if outcome.reason]
    lines += ["", "### Faults", "", "| file | type | property | | what is wrong | how to mend it |", "|---|---|---|---|---|---|"]
    lines += [_row(outcome, found) for outcome in tried for found in outcome.findings if _is_told(found)]
    return "\n".join(lines) + "\n"


def _is_told(found: Finding) -> bool:
    return found.severity is Severity.ERROR or found.params.get("sentence") in _TOLD


def _row(outcome: ExampleOutcome, found: Finding) -> str:
    word = "erro" if found.severity is Severity.ERROR else "aviso"
    return f"| {outcome.path} | {outcome.type} | `{found.path}` | {word} | {_cell(found.message)} | {_cell(found.mend)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
