"""What a step of the guided load has at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from django import forms

from malha.foundation.tenancy.contracts import Tenant
from malha.ingest.mapping.contracts import Answers
from malha.sources.tabular.contracts import TableShape, TextBatch
from malha.vocabulary.models.contracts import DataModel


@dataclass(frozen=True, slots=True)
class Table:
    """The file as it is understood so far: shape, first rows, answers, and the municipality."""

    tenant: Tenant
    shape: TableShape
    sample: TextBatch
    answers: Answers
    models: tuple[DataModel, ...]
    language: str


class Step(Protocol):
    """One question. `form` builds it with the answer that is suggested; `answer` puts what was said into the answers."""

    key: str

    def title(self) -> str:
        """The question."""
        ...

    def needed(self, table: Table) -> bool:
        """Whether this table needs the question."""
        ...

    def form(self, table: Table, data: object = None) -> forms.Form:
        """The question as a form."""
        ...

    def answer(self, table: Table, form: forms.Form) -> Answers:
        """The answers with this one in them."""
        ...
