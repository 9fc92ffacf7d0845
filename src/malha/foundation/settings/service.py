"""Read Malha's settings from the environment, refusing by name what is unknown or unusable."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from malha.foundation.settings.contracts import FIELDS, Settings
from malha.kernel.errors import Misconfigured
from malha.kernel.text import msg

PREFIX = "MALHA_"


def read(environ: Mapping[str, str]) -> Settings:
    """The settings that `environ` describes.

    Every variable starts with `MALHA_`; `MALHA_NAME_FILE` reads the value of `MALHA_NAME` from a file
    (for secrets). Raises Misconfigured naming the variable that is unknown, unreadable or out of range.
    """
    values: dict[str, object] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name.endswith("_file") and name not in FIELDS:
            name, given = name.removesuffix("_file"), _from_file(variable, text)
        else:
            given = text
        field = FIELDS.get(name)
        if field is None:
            raise Misconfigured(msg("A variável {variable} não existe. Veja `./malha docs settings`."), variable=variable)
        try:
            values[name] = field.parse(given)
        except ValueError as reason:
            raise Misconfigured(
                msg("{variable}={text!r} não serve: {reason}."), variable=variable, text=given if not field.secret else "…", reason=reason
            ) from reason
    return Settings(**values)  # type: ignore[arg-type]  # every value was parsed by its own field


def _from_file(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as reason:
        raise Misconfigured(msg("{variable} aponta para {path!r}, que não se consegue ler: {reason}."), variable=variable, path=path, reason=reason) from reason


@cache
def current() -> Settings:
    """The settings of this process, read once."""
    return read(os.environ)


def secret_key() -> str:
    """The secret of this installation: the setting, else one made once and kept in the data folder (0600)."""
    conf = current()
    if conf.secret_key:
        return conf.secret_key
    place = _kept_secret(conf)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.touch(mode=0o600)
        place.write_text(secrets.token_urlsafe(48), encoding="utf-8")
    return place.read_text(encoding="utf-8")


def older_secrets() -> tuple[str, ...]:
    """Secrets that open what was sealed before, and seal nothing: those named, and the one of the data folder where a setting has taken its place."""
    conf = current()
    kept = _kept_secret(conf)
    own = (kept.read_text(encoding="utf-8"),) if conf.secret_key and kept.exists() else ()
    return tuple(dict.fromkeys(one for one in (*conf.secret_keys_before, *own) if one != conf.secret_key))


def _kept_secret(conf: Settings) -> Path:
    return conf.data / "secrets" / "django.key"
