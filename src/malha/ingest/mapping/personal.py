"""Guess which columns are about people, by their names and by check digits. Pure."""

from __future__ import annotations

import re

import pyarrow as pa

from malha.ingest.mapping.contracts import PersonalKind
from malha.kernel.text import normalise

_NISS_WEIGHTS = (29, 23, 19, 17, 13, 11, 7, 5, 3, 2)
_EMAIL = re.compile(r"^[^@\s;,]+@[^@\s;,]+\.[A-Za-z]{2,}$")
_PLATE = re.compile(r"^(?:[A-Z]{2}[- ]\d{2}[- ]\d{2}|\d{2}[- ]\d{2}[- ][A-Z]{2}|\d{2}[- ][A-Z]{2}[- ]\d{2}|[A-Z]{2}[- ]\d{2}[- ][A-Z]{2})$", re.IGNORECASE)
_PHONE = re.compile(r"^=?(?:\(?\+? ?(?:00)?351\)?[ .-]*)?[29]\d{2}[ .-]*\d{3}[ .-]*\d{3}$|^=?\(?\+? ?(?:00)?351\)?[ .-]*[23789]\d{8}$")
_NAMES = (
    (PersonalKind.NIF, r"\b(nif|contribuinte|nipc)\b"),
    (PersonalKind.NISS, r"\b(niss|seguranca social)\b"),
    (PersonalKind.IBAN, r"\b(iban|nib)\b"),
    (PersonalKind.PHONE, r"\b(telefones?|telemovel|telemoveis|tlm|tel|phone|mobile|contacto telefonico)\b"),
    (PersonalKind.EMAIL, r"\b(e mail|email|correio eletronico|correio electronico)\b"),
    (PersonalKind.PLATE, r"\b(matricula|license plate|placa)\b"),
    (PersonalKind.NAME, r"\b(municipe|requerente|titular|reclamante|utente|denunciante|proprietario|nome completo|nome do|apelido|trabalhador|funcionario|condutor|motorista|responsavel)\b"),
    (PersonalKind.OTHER, r"\b(cartao de cidadao|bilhete de identidade|data de nascimento|nascimento|birth)\b"),
)  # fmt: skip
_FIRST_NAMES = frozenset(
    [
        "ana",
        "maria",
        "joao",
        "jose",
        "antonio",
        "manuel",
        "francisco",
        "pedro",
        "paulo",
        "luis",
        "carlos",
        "rui",
        "miguel",
        "ricardo",
        "nuno",
        "tiago",
        "bruno",
        "jorge",
        "fernando",
        "joaquim",
        "sofia",
        "ines",
        "catarina",
        "marta",
        "rita",
        "sara",
        "joana",
        "teresa",
        "isabel",
        "helena",
        "margarida",
        "beatriz",
        "mariana",
        "leonor",
        "carolina",
        "susana",
        "sandra",
        "patricia",
        "claudia",
        "cristina",
        "paula",
        "filipa",
        "andreia",
        "vera",
        "daniel",
        "diogo",
        "goncalo",
        "duarte",
        "rafael",
        "andre",
        "filipe",
        "hugo",
        "sergio",
        "vitor",
        "mario",
        "alberto",
        "eduardo",
        "rosa",
        "fatima",
        "lurdes",
        "conceicao",
        "gloria",
        "alice",
        "madalena",
        "matilde",
        "afonso",
        "tomas",
        "martim",
        "rodrigo",
    ]
)


def nif_holds(text: str) -> bool:
    """Whether nine digits are a tax number: the last is the check digit modulo 11."""
    digits = re.sub(r"\D", "", text)
    if len(digits) != 9 or digits[0] == "0":
        return False
    rest = sum(int(digit) * (9 - place) for place, digit in enumerate(digits[:8])) % 11
    return int(digits[8]) == (0 if rest < 2 else 11 - rest)


def niss_holds(text: str) -> bool:
    """Whether eleven digits are a social security number."""
    digits = re.sub(r"\D", "", text)
    if len(digits) != 11 or digits[0] not in "12":
        return False
    return int(digits[10]) == 9 - sum(int(digit) * weight for digit, weight in zip(digits, _NISS_WEIGHTS, strict=False)) % 10


def iban_holds(text: str) -> bool:
    """Whether a text is an IBAN (ISO 13616): modulo 97 gives 1."""
    compact = re.sub(r"\s", "", text).upper()
    if not re.match(r"^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$", compact):
        return False
    return int("".join(str(int(sign, 36)) for sign in compact[4:] + compact[:4])) % 97 == 1


def guess(name: str, values: pa.Array) -> PersonalKind | None:
    """What a column tells about people, or None. Content decides before the name: a column “código” full of NIFs is personal."""
    texts = [str(value) for value in values.drop_null()[:300].to_pylist()]
    if texts:
        for kind, holds, share in (
            (PersonalKind.EMAIL, lambda text: bool(_EMAIL.match(text)), 0.5),
            (PersonalKind.IBAN, iban_holds, 0.5),
            (PersonalKind.PLATE, lambda text: bool(_PLATE.match(text)), 0.5),
            (PersonalKind.NISS, niss_holds, 0.8),
            (PersonalKind.NIF, nif_holds, 0.8),
            (PersonalKind.PHONE, lambda text: bool(_PHONE.match(text.strip())), 0.6),
            (PersonalKind.NAME, _person, 0.5),
        ):
            if sum(1 for text in texts if holds(text)) >= share * len(texts):
                return _phone_or_nif(kind, name)
    plain = re.sub(r"[^a-z0-9]+", " ", normalise(name))
    for kind, pattern in _NAMES:
        if re.search(pattern, plain):
            return kind
    return None


def _phone_or_nif(kind: PersonalKind, name: str) -> PersonalKind:
    """Nine digits that begin with 2 may be both: the name of the column decides."""
    plain = normalise(name).replace("_", " ")
    if kind is PersonalKind.NIF and re.search(r"tel|phone|movel|contacto", plain):
        return PersonalKind.PHONE
    return kind


def _person(text: str) -> bool:
    words = text.split()
    return 2 <= len(words) <= 7 and normalise(words[0]) in _FIRST_NAMES and not any(any(sign.isdigit() for sign in word) for word in words)
