"""What findings say: for each, what is wrong and how to mend it, in both languages, in one table."""

from __future__ import annotations

from malha.vocabulary.models.contracts import Finding, Severity

#: sentence → (code, severity, what is wrong pt, how to mend pt, what is wrong en, how to mend en)
SENTENCES: dict[str, tuple[str, Severity, str, str, str, str]] = {
    "missing": ("missing", Severity.ERROR,
        "Falta “{path}”, que é obrigatória.", "Acrescente “{path}” com um valor real.",
        "“{path}” is missing, and it is mandatory.", "Add “{path}” with a real value."),
    "empty": ("empty", Severity.ERROR,
        "“{path}” vem sem valor ({value}).", "Escreva o valor de “{path}”; se não o há e a propriedade é opcional, retire-a.",
        "“{path}” has no value ({value}).", "Write the value of “{path}”; if there is none and the property is optional, leave it out."),
    "number": ("type", Severity.ERROR,
        "“{path}” tem de ser um número e veio {value}.", "Escreva só o número, sem aspas nem unidade, com ponto decimal (21.5).",
        "“{path}” has to be a number and came as {value}.", "Write only the number, without quotes or unit, with a decimal point (21.5)."),
    "integer": ("type", Severity.ERROR,
        "“{path}” tem de ser um número inteiro e veio {value}.", "Escreva um número sem casas decimais.",
        "“{path}” has to be a whole number and came as {value}.", "Write a number without decimals."),
    "boolean": ("type", Severity.ERROR,
        "“{path}” tem de ser true ou false e veio {value}.", "Escreva true ou false, sem aspas.",
        "“{path}” has to be true or false and came as {value}.", "Write true or false, without quotes."),
    "text": ("type", Severity.ERROR,
        "“{path}” tem de ser um texto e veio {value}.", "Escreva o valor entre aspas.",
        "“{path}” has to be a text and came as {value}.", "Write the value in quotes."),
    "object": ("type", Severity.ERROR,
        "“{path}” tem de ser um objeto com membros e veio {value}.", "Escreva os membros entre chavetas.",
        "“{path}” has to be an object with members and came as {value}.", "Write its members in braces."),
    "list": ("type", Severity.ERROR,
        "“{path}” tem de ser uma lista e veio {value}.", "Ponha o valor entre parênteses retos, mesmo que seja um só.",
        "“{path}” has to be a list and came as {value}.", "Put the value in square brackets, even a single one."),
    "kind": ("kind", Severity.ERROR,
        "“{path}” tem de ser {expected} e veio como {value}.", "Mude o “type” de “{path}” para {expected}.",
        "“{path}” has to be a {expected} and came as {value}.", "Change the “type” of “{path}” to {expected}."),
    "choice": ("choice", Severity.ERROR,
        "“{path}” não aceita {value}.", "Use um destes valores, tal como estão: {choices}.",
        "“{path}” does not take {value}.", "Use one of these values, exactly as written: {choices}."),
    "choice-near": ("choice", Severity.ERROR,
        "“{path}” não aceita {value}.", "Queria dizer “{near}”? O valor tem de ser igual letra por letra.",
        "“{path}” does not take {value}.", "Did you mean “{near}”? The value has to match letter by letter."),
    "low": ("range", Severity.ERROR,
        "“{path}” não pode ser menor do que {minimum} e veio {value}.", "Confirme o valor e a unidade{unit}.",
        "“{path}” cannot be less than {minimum} and came as {value}.", "Check the value and its unit{unit}."),
    "high": ("range", Severity.ERROR,
        "“{path}” não pode ser maior do que {maximum} e veio {value}.", "Confirme o valor e a unidade{unit}.",
        "“{path}” cannot be more than {maximum} and came as {value}.", "Check the value and its unit{unit}."),
    "pattern": ("format", Severity.ERROR,
        "“{path}” não tem a forma esperada: veio {value}.", "Escreva-a segundo o padrão {pattern}.",
        "“{path}” does not have the expected form: it came as {value}.", "Write it following the pattern {pattern}."),
    "instant": ("format", Severity.ERROR,
        "“{path}” não é uma data e hora: {value}.", "Escreva-a como 2026-11-23T14:05:00Z.",
        "“{path}” is not a date and time: {value}.", "Write it as 2026-11-23T14:05:00Z."),
    "instant-zone": ("format", Severity.WARNING,
        "“{path}” não diz o fuso horário: {value}.", "Acabe em Z (UTC) ou no desvio (+01:00); sem ele conta a hora do município.",
        "“{path}” does not say its time zone: {value}.", "End it in Z (UTC) or an offset (+01:00); without it the municipality's time is taken."),
    "date": ("format", Severity.ERROR,
        "“{path}” não é uma data: {value}.", "Escreva-a como 2026-11-23.",
        "“{path}” is not a date: {value}.", "Write it as 2026-11-23."),
    "uri": ("format", Severity.WARNING,
        "“{path}” não é um endereço completo: {value}.", "Comece por https:// ou urn:.",
        "“{path}” is not a complete address: {value}.", "Begin with https:// or urn:."),
    "geometry": ("geometry", Severity.ERROR,
        "“{path}” não é uma geometria GeoJSON: {reason}.", 'Escreva, por exemplo, {{"type": "Point", "coordinates": [-9.14, 38.71]}}.',
        "“{path}” is not a GeoJSON geometry: {reason}.", 'Write, for example, {{"type": "Point", "coordinates": [-9.14, 38.71]}}.'),
    "metres": ("geometry", Severity.ERROR,
        "As coordenadas de “{path}” parecem metros de uma projeção ({value}).", "Converta-as para longitude e latitude em graus (WGS 84 ou ETRS89).",
        "The coordinates of “{path}” look like projected metres ({value}).", "Convert them to longitude and latitude in degrees (WGS 84 or ETRS89)."),
    "swapped": ("geometry", Severity.WARNING,
        "A longitude e a latitude de “{path}” parecem trocadas ({value}).", "Em GeoJSON a longitude vem primeiro: [-9.14, 38.71].",
        "Longitude and latitude of “{path}” look swapped ({value}).", "In GeoJSON longitude comes first: [-9.14, 38.71]."),
    "crs": ("geometry", Severity.ERROR,
        "“{path}” diz um sistema de coordenadas que não se aceita: {value}.", "Use EPSG:4258 ou EPSG:4326.",
        "“{path}” names a coordinate system that is not accepted: {value}.", "Use EPSG:4258 or EPSG:4326."),
    "unit-unknown": ("unit", Severity.ERROR,
        "“{path}” usa a unidade {value}, que não é um código UN/CEFACT conhecido.", "Escreva o código da unidade, por exemplo {near}.",
        "“{path}” uses the unit {value}, which is no known UN/CEFACT code.", "Write the code of the unit, for example {near}."),
    "unit-odd": ("unit", Severity.WARNING,
        "“{path}” usa a unidade {value}, que não é um código UN/CEFACT conhecido.", "Confirme o código da unidade (até três letras ou algarismos).",
        "“{path}” uses the unit {value}, which is no known UN/CEFACT code.", "Check the code of the unit (up to three letters or digits)."),
    "unit-other": ("unit", Severity.ERROR,
        "“{path}” mede-se em {expected} e veio em {value}.", "Use {expected} ou outra unidade da mesma grandeza.",
        "“{path}” is measured in {expected} and came in {value}.", "Use {expected} or another unit of the same quantity."),
    "id": ("id", Severity.ERROR,
        "O “id” tem de ser um URI e veio {value}.", "Use urn:<organização>:{type}:<número local>.",
        "The “id” has to be a URI and came as {value}.", "Use urn:<organisation>:{type}:<local number>."),
    "id-form": ("id", Severity.WARNING,
        "O “id” {value} não segue o catálogo nacional.", "O catálogo pede urn:<organização>:{type}:<número local>.",
        "The “id” {value} does not follow the national catalogue.", "The catalogue asks for urn:<organisation>:{type}:<local number>."),
    "type": ("entity-type", Severity.ERROR,
        "O “type” tem de ser {type} e veio {value}.", "Escreva “type”: “{type}”.",
        "The “type” has to be {type} and came as {value}.", "Write “type”: “{type}”."),
    "items": ("type", Severity.ERROR,
        "“{path}” tem de ter pelo menos {minimum} elementos.", "Acrescente o que falta ou retire a propriedade.",
        "“{path}” needs at least {minimum} items.", "Add what is missing or leave the property out."),
    "repeated": ("type", Severity.ERROR,
        "“{path}” repete elementos.", "Deixe cada elemento uma só vez.",
        "“{path}” repeats items.", "Leave each item once."),
    "unknown": ("unknown", Severity.WARNING,
        "O modelo não tem “{path}”; fica guardada tal como veio.", "Se é um engano no nome, corrija-o.",
        "The model has no “{path}”; it is kept as it came.", "If the name is a mistake, correct it."),
    "unknown-near": ("unknown", Severity.WARNING,
        "O modelo não tem “{path}”; fica guardada tal como veio.", "Queria dizer “{near}”?",
        "The model has no “{path}”; it is kept as it came.", "Did you mean “{near}”?"),
    "rule": ("rule", Severity.ERROR,
        "As propriedades não batem certo entre si ({path}).", "O modelo exige: {rule}.",
        "The properties do not agree with each other ({path}).", "The model requires: {rule}."),
    "entity": ("entity", Severity.ERROR,
        "Isto não é uma entidade: veio {value}.", "Uma entidade é um objeto JSON com “id”, “type” e as suas propriedades.",
        "This is not an entity: it came as {value}.", "An entity is a JSON object with “id”, “type” and its properties."),
}  # fmt: skip

#: why a geometry is none: in English, by the Portuguese words that findings carry
REASONS = {
    "não é WKB": "it is no WKB",
    "as coordenadas estão vazias": "the coordinates are empty",
    "cada posição tem de ser [longitude, latitude] em números": "each position has to be [longitude, latitude] in numbers",
    "são precisas pelo menos 2 posições": "at least 2 positions are needed",
    "são precisas pelo menos 4 posições": "at least 4 positions are needed",
    "o contorno não fecha: a última posição tem de ser igual à primeira": "the ring is open: its last position has to be its first",
    "fora de 180° e 90°": "beyond 180° and 90°",
    "falta o tipo da geometria": "its type is missing",
}
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
    """The finding that says `sentence` about `path`."""
    code, severity, wrong, mend, _, _ = SENTENCES[sentence]
    said = {"path": path, **params}
    return Finding(path, code, wrong.format(**said), mend.format(**said), severity, {"sentence": sentence, **params})


def in_language(found: Finding, language: str) -> tuple[str, str]:
    """What is wrong and how to mend it, for `language` ("pt-pt", "en", …)."""
    sentence = str(found.params.get("sentence", ""))
    if not language.startswith("en") or sentence not in SENTENCES:
        return found.message, found.mend
    _, _, _, _, wrong, mend = SENTENCES[sentence]
    said = {
        "path": found.path,
        **{key: REASONS.get(str(value), value) if key == "reason" else value for key, value in found.params.items() if key != "sentence"},
    }
    return wrong.format(**said), mend.format(**said)
