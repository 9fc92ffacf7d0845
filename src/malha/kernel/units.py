"""Units of measure by their UN/CEFACT Recommendation 20 codes: symbol, name, quantity, and conversion within a quantity."""

from __future__ import annotations

from dataclasses import dataclass

from malha.kernel.errors import BadInput
from malha.kernel.text import msg


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit. `value × factor + offset` is the value in the base unit of its quantity."""

    code: str
    symbol: str
    pt: str
    en: str
    quantity: str
    factor: float = 1.0
    offset: float = 0.0

    def in_language(self, language: str) -> str:
        """The name of the unit for `language` ("pt-pt", "en", …)."""
        return self.en if language.startswith("en") else self.pt


class IncompatibleUnits(BadInput):
    """One unit cannot be turned into the other."""

    slug = "incompatible-units"


def _rows() -> tuple[tuple[str, str, str, str, str, float, float], ...]:
    return (
        # number
        ("C62", "", "unidade", "one", "ratio", 1.0, 0.0),
        ("P1", "%", "por cento", "percent", "ratio", 0.01, 0.0),
        ("59", "ppm", "partes por milhão", "parts per million", "ratio", 1e-6, 0.0),
        ("61", "ppb", "partes por mil milhões", "parts per billion", "ratio", 1e-9, 0.0),
        ("NIU", "", "unidades", "international units", "ratio", 1.0, 0.0),
        ("EA", "", "cada", "each", "ratio", 1.0, 0.0),
        # length, area, volume
        ("MTR", "m", "metro", "metre", "length", 1.0, 0.0),
        ("CMT", "cm", "centímetro", "centimetre", "length", 0.01, 0.0),
        ("MMT", "mm", "milímetro", "millimetre", "length", 0.001, 0.0),
        ("4H", "µm", "micrómetro", "micrometre", "length", 1e-6, 0.0),
        ("KMT", "km", "quilómetro", "kilometre", "length", 1000.0, 0.0),
        ("MTK", "m²", "metro quadrado", "square metre", "area", 1.0, 0.0),
        ("HAR", "ha", "hectare", "hectare", "area", 10_000.0, 0.0),
        ("KMK", "km²", "quilómetro quadrado", "square kilometre", "area", 1e6, 0.0),
        ("CMK", "cm²", "centímetro quadrado", "square centimetre", "area", 1e-4, 0.0),
        ("MTQ", "m³", "metro cúbico", "cubic metre", "volume", 1.0, 0.0),
        ("LTR", "L", "litro", "litre", "volume", 0.001, 0.0),
        ("MLT", "mL", "mililitro", "millilitre", "volume", 1e-6, 0.0),
        ("HMQ", "hm³", "hectómetro cúbico", "cubic hectometre", "volume", 1e6, 0.0),
        ("H19", "hm³", "hectómetro cúbico", "cubic hectometre", "volume", 1e6, 0.0),
        ("DMQ", "dm³", "decímetro cúbico", "cubic decimetre", "volume", 0.001, 0.0),
        ("CMQ", "cm³", "centímetro cúbico", "cubic centimetre", "volume", 1e-6, 0.0),
        # mass
        ("KGM", "kg", "quilograma", "kilogram", "mass", 1.0, 0.0),
        ("GRM", "g", "grama", "gram", "mass", 0.001, 0.0),
        ("MGM", "mg", "miligrama", "milligram", "mass", 1e-6, 0.0),
        ("TNE", "t", "tonelada", "tonne", "mass", 1000.0, 0.0),
        # time
        ("SEC", "s", "segundo", "second", "time", 1.0, 0.0),
        ("C26", "ms", "milissegundo", "millisecond", "time", 0.001, 0.0),
        ("MIN", "min", "minuto", "minute", "time", 60.0, 0.0),
        ("HUR", "h", "hora", "hour", "time", 3600.0, 0.0),
        ("DAY", "d", "dia", "day", "time", 86_400.0, 0.0),
        ("WEE", "sem.", "semana", "week", "time", 604_800.0, 0.0),
        ("MON", "mês", "mês", "month", "calendar", 1.0, 0.0),
        ("ANN", "ano", "ano", "year", "calendar", 12.0, 0.0),
        # speed, flow
        ("MTS", "m/s", "metro por segundo", "metre per second", "speed", 1.0, 0.0),
        ("KMH", "km/h", "quilómetro por hora", "kilometre per hour", "speed", 1 / 3.6, 0.0),
        ("KNT", "kn", "nó", "knot", "speed", 1852 / 3600, 0.0),
        ("H67", "mm/h", "milímetro por hora", "millimetre per hour", "speed", 0.001 / 3600, 0.0),
        ("MSK", "m/s²", "metro por segundo quadrado", "metre per second squared", "acceleration", 1.0, 0.0),
        ("MQS", "m³/s", "metro cúbico por segundo", "cubic metre per second", "flow", 1.0, 0.0),
        ("MQH", "m³/h", "metro cúbico por hora", "cubic metre per hour", "flow", 1 / 3600, 0.0),
        ("G51", "L/s", "litro por segundo", "litre per second", "flow", 0.001, 0.0),
        ("L2", "L/min", "litro por minuto", "litre per minute", "flow", 0.001 / 60, 0.0),
        ("E32", "L/h", "litro por hora", "litre per hour", "flow", 0.001 / 3600, 0.0),
        # temperature
        ("CEL", "°C", "grau Celsius", "degree Celsius", "temperature", 1.0, 0.0),
        ("KEL", "K", "kelvin", "kelvin", "temperature", 1.0, -273.15),
        ("FAH", "°F", "grau Fahrenheit", "degree Fahrenheit", "temperature", 5 / 9, -160 / 9),
        # pressure, force
        ("PAL", "Pa", "pascal", "pascal", "pressure", 1.0, 0.0),
        ("A97", "hPa", "hectopascal", "hectopascal", "pressure", 100.0, 0.0),
        ("KPA", "kPa", "quilopascal", "kilopascal", "pressure", 1000.0, 0.0),
        ("MPA", "MPa", "megapascal", "megapascal", "pressure", 1e6, 0.0),
        ("MBR", "mbar", "milibar", "millibar", "pressure", 100.0, 0.0),
        ("BAR", "bar", "bar", "bar", "pressure", 100_000.0, 0.0),
        ("ATM", "atm", "atmosfera", "standard atmosphere", "pressure", 101_325.0, 0.0),
        ("NEW", "N", "newton", "newton", "force", 1.0, 0.0),
        # concentration
        ("GQ", "µg/m³", "micrograma por metro cúbico", "microgram per cubic metre", "concentration", 1e-9, 0.0),
        ("GP", "mg/m³", "miligrama por metro cúbico", "milligram per cubic metre", "concentration", 1e-6, 0.0),
        ("M1", "mg/L", "miligrama por litro", "milligram per litre", "concentration", 0.001, 0.0),
        ("H29", "µg/L", "micrograma por litro", "microgram per litre", "concentration", 1e-6, 0.0),
        ("GL", "g/L", "grama por litro", "gram per litre", "concentration", 1.0, 0.0),
        ("A93", "g/m³", "grama por metro cúbico", "gram per cubic metre", "concentration", 0.001, 0.0),
        ("KMQ", "kg/m³", "quilograma por metro cúbico", "kilogram per cubic metre", "concentration", 1.0, 0.0),
        ("NTU", "NTU", "unidade nefelométrica de turvação", "nephelometric turbidity unit", "turbidity", 1.0, 0.0),
        ("Q30", "pH", "pH", "pH", "acidity", 1.0, 0.0),
        # sound, light, radiation, signal
        ("2N", "dB", "decibel", "decibel", "level", 1.0, 0.0),
        ("DBM", "dBm", "decibel-miliwatt", "decibel-milliwatt", "signal", 1.0, 0.0),
        ("LUX", "lx", "lux", "lux", "illuminance", 1.0, 0.0),
        ("LUM", "lm", "lúmen", "lumen", "luminous flux", 1.0, 0.0),
        ("B61", "lm/W", "lúmen por watt", "lumen per watt", "luminous efficacy", 1.0, 0.0),
        ("CDL", "cd", "candela", "candela", "luminous intensity", 1.0, 0.0),
        ("D54", "W/m²", "watt por metro quadrado", "watt per square metre", "irradiance", 1.0, 0.0),
        ("N48", "W/cm²", "watt por centímetro quadrado", "watt per square centimetre", "irradiance", 10_000.0, 0.0),
        ("B13", "J/m²", "joule por metro quadrado", "joule per square metre", "radiant exposure", 1.0, 0.0),
        ("BQL", "Bq", "becquerel", "becquerel", "activity", 1.0, 0.0),
        ("P71", "µSv/h", "microsievert por hora", "microsievert per hour", "dose rate", 1.0, 0.0),
        # angle
        ("DD", "°", "grau", "degree", "angle", 1.0, 0.0),
        ("C81", "rad", "radiano", "radian", "angle", 57.29577951308232, 0.0),
        # electricity and energy
        ("VLT", "V", "volt", "volt", "voltage", 1.0, 0.0),
        ("KVT", "kV", "quilovolt", "kilovolt", "voltage", 1000.0, 0.0),
        ("2Z", "mV", "milivolt", "millivolt", "voltage", 0.001, 0.0),
        ("AMP", "A", "ampere", "ampere", "current", 1.0, 0.0),
        ("4K", "mA", "miliampere", "milliampere", "current", 0.001, 0.0),
        ("OHM", "Ω", "ohm", "ohm", "resistance", 1.0, 0.0),
        ("WTT", "W", "watt", "watt", "power", 1.0, 0.0),
        ("KWT", "kW", "quilowatt", "kilowatt", "power", 1000.0, 0.0),
        ("MAW", "MW", "megawatt", "megawatt", "power", 1e6, 0.0),
        ("D46", "VA", "volt-ampere", "volt-ampere", "apparent power", 1.0, 0.0),
        ("KVA", "kVA", "quilovolt-ampere", "kilovolt-ampere", "apparent power", 1000.0, 0.0),
        ("D44", "var", "var", "var", "reactive power", 1.0, 0.0),
        ("KVR", "kvar", "quilovar", "kilovar", "reactive power", 1000.0, 0.0),
        ("K5", "kvar", "quilovar", "kilovar", "reactive power", 1000.0, 0.0),
        ("WHR", "Wh", "watt-hora", "watt hour", "energy", 3600.0, 0.0),
        ("KWH", "kWh", "quilowatt-hora", "kilowatt hour", "energy", 3.6e6, 0.0),
        ("MWH", "MWh", "megawatt-hora", "megawatt hour", "energy", 3.6e9, 0.0),
        ("JOU", "J", "joule", "joule", "energy", 1.0, 0.0),
        ("3B", "MJ", "megajoule", "megajoule", "energy", 1e6, 0.0),
        ("K3", "kvarh", "quilovar-hora", "kilovar hour", "reactive energy", 1.0, 0.0),
        ("C79", "kVAh", "quilovolt-ampere-hora", "kilovolt ampere hour", "apparent energy", 1.0, 0.0),
        ("AMH", "Ah", "ampere-hora", "ampere hour", "charge", 1.0, 0.0),
        ("HTZ", "Hz", "hertz", "hertz", "frequency", 1.0, 0.0),
        ("KHZ", "kHz", "quilohertz", "kilohertz", "frequency", 1000.0, 0.0),
        ("MHZ", "MHz", "mega-hertz", "megahertz", "frequency", 1e6, 0.0),
        ("RPM", "rpm", "rotação por minuto", "revolutions per minute", "rotation", 1.0, 0.0),
        ("D10", "S/m", "siemens por metro", "siemens per metre", "conductivity", 1.0, 0.0),
        ("G42", "µS/cm", "microsiemens por centímetro", "microsiemens per centimetre", "conductivity", 1e-4, 0.0),
        ("H61", "mS/cm", "milissiemens por centímetro", "millisiemens per centimetre", "conductivity", 0.1, 0.0),
        # soil tension is written in kilopascal, code 33 being its old form in the catalogue
        ("33", "kPa·m²/g", "quilopascal metro quadrado por grama", "kilopascal square metre per gram", "burst index", 1.0, 0.0),
        ("E91", "1/d", "por dia", "reciprocal day", "rate", 1 / 86_400, 0.0),
        ("C97", "1/s", "por segundo", "reciprocal second", "rate", 1.0, 0.0),
        # data and money
        ("AD", "B", "byte", "byte", "data", 1.0, 0.0),
        ("4L", "MB", "megabyte", "megabyte", "data", 1e6, 0.0),
        ("EUR", "€", "euro", "euro", "money", 1.0, 0.0),
    )


REGISTRY: dict[str, Unit] = {row[0]: Unit(*row) for row in _rows()}

#: what people write where a code belongs, in lower case
_SPELLINGS = {
    "%": "P1", "percent": "P1", "percentage": "P1", "deg": "DD", "degree": "DD", "degrees": "DD", "º": "DD", "°": "DD",
    "ºc": "CEL", "celsius degrees": "CEL", "celsius": "CEL", "°f": "FAH", "kelvin degrees (k)": "KEL", "w/m2": "D54", "kw/m2": "D54",
    "ug/m3": "GQ", "µg/m3": "GQ", "μg/m3": "GQ", "μg/m³": "GQ", "mg/m3": "GP", "mg/l": "M1", "ug/l": "H29", "v": "VLT", "volt": "VLT", "volts": "VLT",
    "ampers (a)": "AMP", "watts (w)": "WTT", "watts": "WTT", "kilowatts (kw)": "KWT", "db": "2N", "dba": "2N", "db(a)": "2N",
    "l": "LTR", "liters": "LTR", "litros": "LTR", "m3": "MTQ", "cubic meters": "MTQ", "m2": "MTK", "square meters": "MTK", "m3/s": "MQS", "m3/h": "MQH",
    "meter": "MTR", "meters": "MTR", "meter (m)": "MTR", "metres": "MTR", "metros": "MTR", "centimeters": "CMT", "kilometers": "KMT",
    "hours": "HUR", "horas": "HUR", "seconds": "SEC", "second (s)": "SEC", "segundos": "SEC", "minutes": "MIN", "minutos": "MIN",
    "liters per square meter": "MMT", "l/m2": "MMT", "hecto pascals": "A97", "mb": "MBR", "kilograms (kg)": "KGM", "kvarh": "K3",
    "lumens (lm)": "LUM", "€": "EUR", "eur": "EUR", "ton": "TNE", "toneladas": "TNE", "us/cm": "G42", "siemens per meter": "D10", "var": "D44", "va": "D46",
}  # fmt: skip


def _by_spelling() -> dict[str, str]:
    found: dict[str, str] = {}
    for unit in REGISTRY.values():
        for spelling in (unit.code, unit.symbol, unit.pt, unit.en):
            found.setdefault(spelling.lower(), unit.code)
    return found | _SPELLINGS


_SPELLED = _by_spelling()


def find(code: str) -> Unit | None:
    """The unit with exactly this code, None where there is none."""
    return REGISTRY.get(code)


def suggest(text: str) -> Unit | None:
    """The unit that somebody means by `text`: a symbol ("µg/m³"), a name ("metros") or a code in the wrong case ("kWH")."""
    code = _SPELLED.get(text.strip().lower()) if text.strip() else None
    return REGISTRY[code] if code else None


def compatible(one: str, other: str) -> bool:
    """Whether values can be converted between both codes; no code at all counts as a plain number."""
    first, second = find(one or "C62"), find(other or "C62")
    return first is not None and second is not None and first.quantity == second.quantity


def convert(value: float, from_code: str, to_code: str) -> float:
    """`value` in `from_code` said in `to_code`. Raises IncompatibleUnits."""
    if from_code == to_code:
        return value
    if not compatible(from_code, to_code):
        raise IncompatibleUnits(msg("Não se pode converter “{source}” em “{target}”."), source=from_code, target=to_code)
    source, target = REGISTRY[from_code or "C62"], REGISTRY[to_code or "C62"]
    return (value * source.factor + source.offset - target.offset) / target.factor
