"""What findings say: for each, what is wrong and how to mend it, in one table."""

from __future__ import annotations

from malha.foundation.language import service as words
from malha.kernel import text
from malha.kernel.text import msg
from malha.vocabulary.models.contracts import Finding, Severity

#: sentence → (code, severity, what is wrong, how to mend it); the English is in the catalogue of the room
SENTENCES: dict[str, tuple[str, Severity, str, str]] = {
    "missing": ("missing", Severity.ERROR, msg("Falta “{path}”, que é obrigatória."), msg("Acrescente “{path}” com um valor real.")),
    "empty": ("empty", Severity.ERROR,
        msg("“{path}” vem sem valor ({value})."),
        msg("Escreva o valor de “{path}”; se não o há e a propriedade é opcional, retire-a.")),
    "number": ("type", Severity.ERROR,
        msg("“{path}” tem de ser um número e veio {value}."),
        msg("Escreva só o número, sem aspas nem unidade, com ponto decimal (21.5).")),
    "integer": ("type", Severity.ERROR,
        msg("“{path}” tem de ser um número inteiro e veio {value}."),
        msg("Escreva um número sem casas decimais.")),
    "boolean": ("type", Severity.ERROR, msg("“{path}” tem de ser true ou false e veio {value}."), msg("Escreva true ou false, sem aspas.")),
    "text": ("type", Severity.ERROR, msg("“{path}” tem de ser um texto e veio {value}."), msg("Escreva o valor entre aspas.")),
    "object": ("type", Severity.ERROR,
        msg("“{path}” tem de ser um objeto com membros e veio {value}."),
        msg("Escreva os membros entre chavetas.")),
    "list": ("type", Severity.ERROR,
        msg("“{path}” tem de ser uma lista e veio {value}."),
        msg("Ponha o valor entre parênteses retos, mesmo que seja um só.")),
    "kind": ("kind", Severity.ERROR,
        msg("“{path}” tem de ser {expected} e veio como {value}."),
        msg("Mude o “type” de “{path}” para {expected}.")),
    "choice": ("choice", Severity.ERROR, msg("“{path}” não aceita {value}."), msg("Use um destes valores, tal como estão: {choices}.")),
    "choice-near": ("choice", Severity.ERROR,
        msg("“{path}” não aceita {value}."),
        msg("Queria dizer “{near}”? O valor tem de ser igual letra por letra.")),
    "low": ("range", Severity.ERROR,
        msg("“{path}” não pode ser menor do que {minimum} e veio {value}."),
        msg("Confirme o valor e a unidade{unit}.")),
    "high": ("range", Severity.ERROR,
        msg("“{path}” não pode ser maior do que {maximum} e veio {value}."),
        msg("Confirme o valor e a unidade{unit}.")),
    "pattern": ("format", Severity.ERROR, msg("“{path}” não tem a forma esperada: veio {value}."), msg("Escreva-a segundo o padrão {pattern}.")),
    "instant": ("format", Severity.ERROR, msg("“{path}” não é uma data e hora: {value}."), msg("Escreva-a como 2026-11-23T14:05:00Z.")),
    "instant-zone": ("format", Severity.WARNING,
        msg("“{path}” não diz o fuso horário: {value}."),
        msg("Acabe em Z (UTC) ou no desvio (+01:00); sem ele conta a hora do município.")),
    "date": ("format", Severity.ERROR, msg("“{path}” não é uma data: {value}."), msg("Escreva-a como 2026-11-23.")),
    "uri": ("format", Severity.WARNING, msg("“{path}” não é um endereço completo: {value}."), msg("Comece por https:// ou urn:.")),
    "geometry": ("geometry", Severity.ERROR,
        msg("“{path}” não é uma geometria GeoJSON: {reason}."),
        msg('Escreva, por exemplo, {{"type": "Point", "coordinates": [-9.14, 38.71]}}.')),
    "metres": ("geometry", Severity.ERROR,
        msg("As coordenadas de “{path}” parecem metros de uma projeção ({value})."),
        msg("Converta-as para longitude e latitude em graus (WGS 84 ou ETRS89).")),
    "swapped": ("geometry", Severity.WARNING,
        msg("A longitude e a latitude de “{path}” parecem trocadas ({value})."),
        msg("Em GeoJSON a longitude vem primeiro: [-9.14, 38.71].")),
    "crs": ("geometry", Severity.ERROR,
        msg("“{path}” diz um sistema de coordenadas que não se aceita: {value}."),
        msg("Use EPSG:4258 ou EPSG:4326.")),
    "unit-unknown": ("unit", Severity.ERROR,
        msg("“{path}” usa a unidade {value}, que não é um código UN/CEFACT conhecido."),
        msg("Escreva o código da unidade, por exemplo {near}.")),
    "unit-odd": ("unit", Severity.WARNING,
        msg("“{path}” usa a unidade {value}, que não é um código UN/CEFACT conhecido."),
        msg("Confirme o código da unidade (até três letras ou algarismos).")),
    "unit-other": ("unit", Severity.ERROR,
        msg("“{path}” mede-se em {expected} e veio em {value}."),
        msg("Use {expected} ou outra unidade da mesma grandeza.")),
    "id": ("id", Severity.ERROR, msg("O “id” tem de ser um URI e veio {value}."), msg("Use urn:<organização>:{type}:<número local>.")),
    "id-form": ("id", Severity.WARNING,
        msg("O “id” {value} não segue o catálogo nacional."),
        msg("O catálogo pede urn:<organização>:{type}:<número local>.")),
    "type": ("entity-type", Severity.ERROR, msg("O “type” tem de ser {type} e veio {value}."), msg("Escreva “type”: “{type}”.")),
    "items": ("type", Severity.ERROR,
        msg("“{path}” tem de ter pelo menos {minimum} elementos."),
        msg("Acrescente o que falta ou retire a propriedade.")),
    "repeated": ("type", Severity.ERROR, msg("“{path}” repete elementos."), msg("Deixe cada elemento uma só vez.")),
    "unknown": ("unknown", Severity.WARNING, msg("O modelo não tem “{path}”; fica guardada tal como veio."), msg("Se é um engano no nome, corrija-o.")),
    "unknown-near": ("unknown", Severity.WARNING, msg("O modelo não tem “{path}”; fica guardada tal como veio."), msg("Queria dizer “{near}”?")),
    "rule": ("rule", Severity.ERROR, msg("As propriedades não batem certo entre si ({path})."), msg("O modelo exige: {rule}.")),
    "entity": ("entity", Severity.ERROR,
        msg("Isto não é uma entidade: veio {value}."),
        msg("Uma entidade é um objeto JSON com “id”, “type” e as suas propriedades.")),
}  # fmt: skip

_SHOWN = 60


def show(value: object) -> str:
    """A value as a sentence quotes it, cut where it is long."""
    if isinstance(value, str):
        return f"“{value[:_SHOWN]}{'…' if len(value) > _SHOWN else ''}”"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return text[:_SHOWN] + ("…" if len(text) > _SHOWN else "")


def finding(sentence: str, path: str, **params: object) -> Finding:
    """The finding that says `sentence` about `path`; a parameter called `reason` is a sentence itself."""
    code, severity, wrong, mend = SENTENCES[sentence]
    said = {"path": path, **params}
    if "reason" in said:
        said["reason"] = text.worded(str(said["reason"]), str)
    return Finding(path, code, wrong.format(**said), mend.format(**said), severity, {"sentence": sentence, **params})


def kept(found: Finding) -> tuple[str, str]:
    """What is wrong and how to mend it, as sentences that can be stored and worded for each reader."""
    sentence = str(found.params.get("sentence", ""))
    if sentence not in SENTENCES:
        return found.message, found.mend
    _, _, wrong, mend = SENTENCES[sentence]
    said = {"path": found.path, **{key: value for key, value in found.params.items() if key != "sentence"}}
    return text.sentence(wrong, **said), text.sentence(mend, **said)


def in_language(found: Finding, language: str) -> tuple[str, str]:
    """What is wrong and how to mend it, for `language` ("pt-pt", "en", …)."""
    wrong, mend = kept(found)
    return words.word(wrong, language), words.word(mend, language)
