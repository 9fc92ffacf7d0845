"""Where an organisation may stand, and which addresses are free."""

from __future__ import annotations

import re

from malha.foundation.tenancy.contracts import COMMUNITIES, OrganisationKind, UnusableArms
from malha.kernel.text import msg

_K = OrganisationKind

#: who may stand directly under whom; the root is a nation, or nobody
PARENTS: dict[OrganisationKind, frozenset[OrganisationKind]] = {
    _K.NATION: frozenset(),
    _K.CENTRAL_BODY: frozenset({_K.NATION}),
    _K.INTERMUNICIPAL_COMMUNITY: frozenset({_K.NATION}),
    _K.METROPOLITAN_AREA: frozenset({_K.NATION}),
    _K.AUTONOMOUS_REGION: frozenset({_K.NATION}),
    _K.ASSOCIATION: frozenset({_K.NATION}),
    _K.MUNICIPALITY: COMMUNITIES | {_K.NATION},
    _K.SERVICE: frozenset({_K.MUNICIPALITY, _K.CENTRAL_BODY, _K.SERVICE}) | COMMUNITIES,
    _K.PARISH: frozenset({_K.MUNICIPALITY}),
    _K.COMPANY: frozenset({_K.NATION, _K.MUNICIPALITY}) | COMMUNITIES,
    _K.CONCESSIONAIRE: frozenset({_K.NATION, _K.MUNICIPALITY}) | COMMUNITIES,
    _K.SUPPLIER: frozenset(_K) - {_K.SUPPLIER},
}

#: first steps of addresses that the platform itself answers
RESERVED = frozenset(
    [
        "conta",
        "plataforma",
        "static",
        "media",
        "admin",
        "api",
        "ngsi-ld",
        "tiles",
        "events",
        "health",
        "temporal",
        "odata",
        "ogc",
        "delta-sharing",
        "hub",
        "history",
        "sensorthings",
        "agir",
        "dados",
        "mapa",
        "paineis",
        "gestao",
        "dados-abertos",
        "acessibilidade",
        "privacidade",
        "convite",
        "o",
        "identity",
        "well-known",
        "catalog",
        "catalogo",
        "correio",
        "i18n",
        "mail",
        "favicon",
        "robots",
    ]
)

ARMS_BYTES = 256 * 1024
ARMS_PIXELS = 2048
_PNG = b"\x89PNG\r\n\x1a\n"
_COLOUR = re.compile(r"#[0-9a-f]{6}")


def may_stand_under(kind: OrganisationKind, parent: OrganisationKind) -> bool:
    """Whether an organisation of `kind` may be a child of one of `parent`."""
    return parent in PARENTS[kind]


def image_type(data: bytes) -> str:
    """The media type of an image of arms: PNG, JPEG or WebP by its own first bytes, small in bytes and pixels.

    SVG is refused, since it can carry script. Raises UnusableArms.
    """
    if len(data) > ARMS_BYTES:
        raise UnusableArms(msg("A imagem tem {size} kB; o máximo são {limit} kB."), size=len(data) // 1024, limit=ARMS_BYTES // 1024)
    kind, size = _measure(data)
    if not size or not all(0 < side <= ARMS_PIXELS for side in size):
        raise UnusableArms(msg("A imagem tem de ser PNG, JPEG ou WebP, até {pixels} × {pixels} píxeis."), pixels=ARMS_PIXELS)
    return kind


def _measure(data: bytes) -> tuple[str, tuple[int, int] | None]:
    if data.startswith(_PNG) and data[12:16] == b"IHDR":
        return "image/png", (int.from_bytes(data[16:20]), int.from_bytes(data[20:24]))
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg", _jpeg_size(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp", _webp_size(data)
    return "", None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the first start-of-frame segment."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 + length
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    form = data[12:16]
    if form == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if form == b"VP8 " and len(data) >= 30:
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    if form == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    return None


def is_colour(text: str) -> bool:
    """Whether `text` is a colour as `#rrggbb`."""
    return bool(_COLOUR.fullmatch(text))


def is_dark_enough(colour: str) -> bool:
    """Whether white text on `colour` reaches 4.5:1 (WCAG 2.1, 1.4.3)."""
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) >= 4.5


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
