"""Code lists: the allowed values of a property, with labels and a version."""

from __future__ import annotations

from dataclasses import dataclass

from malha.kernel.errors import MalhaError, NotFound


@dataclass(frozen=True, slots=True)
class Code:
    """One value of a list, byte for byte as the standard has it, with its label in both languages."""

    value: str
    pt: str
    en: str

    def in_language(self, language: str) -> str:
        """The label for `language` ("pt-pt", "en", …)."""
        return self.en if language.startswith("en") and self.en else self.pt


@dataclass(frozen=True, slots=True)
class CodeList:
    """A named, versioned list of codes."""

    name: str
    version: str
    pt: str
    en: str
    source: str
    codes: tuple[Code, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The values alone, in the order of the list."""
        return tuple(code.value for code in self.codes)

    def find(self, value: str) -> Code | None:
        """The code with exactly this value, if there is one."""
        return next((code for code in self.codes if code.value == value), None)


class CodeListError(MalhaError):
    """Something about code lists does not hold."""

    slug = "code-list"


class UnknownCodeList(CodeListError, NotFound):
    """No code list has that name."""

    slug = "unknown-code-list"
