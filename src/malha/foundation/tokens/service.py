"""Issue, verify and revoke access tokens; keep and rotate the keys that sign them.

Django-free: every function takes a psycopg connection. None of these tables belongs to a tenant.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jwt
import psycopg

from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.foundation.tokens import keys
from malha.foundation.tokens.contracts import AUDIENCE, LIFETIME_SECONDS, Claims, KeyUnreadable, PrivateKey, TokenRefused
from malha.kernel.text import msg
from malha.kernel.time import now

ALGORITHM = "RS256"
SIGNS_FOR = timedelta(days=30)
ACCEPTED_AFTER = timedelta(days=1)
ANNOUNCED_BEFORE = timedelta(minutes=10)
#: how long a process trusts the keys and generations that it read
REMEMBER_SECONDS = 30.0

#: what a token that is refused is told, by what is wrong with it
_WHY = (
    (jwt.ExpiredSignatureError, msg("O token expirou. Peça outro.")),
    (jwt.ImmatureSignatureError, msg("O token é de um instante que ainda não chegou: acerte o relógio de quem o pediu.")),
    ((jwt.InvalidIssuerError, jwt.InvalidAudienceError), msg("O token é de outra instalação, ou para outra coisa. Peça um a esta.")),
    (jwt.InvalidSignatureError, msg("O token foi alterado: a assinatura não é dele. Peça outro.")),
)
_UNREADABLE = msg("Isto não é um token inteiro. Veja se o copiou do princípio ao fim, ou peça outro.")

#: how long a revoked token may still be taken
REVOKED_SECONDS = 1.0

_raised: dict[str, tuple[float, dict[str, int]]] = {}
_public: dict[str, tuple[float, dict[str, str]]] = {}
_private: dict[str, tuple[float, list[PrivateKey]]] = {}


@cache
def _queries() -> dict[str, str]:
    text = (Path(__file__).parent / "sql" / "queries.sql").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split("-- name: ")[1:])
    return {name.strip(): body.strip() for name, _, body in parts}


def issuer() -> str:
    """The `iss` of every token: the public address of this installation."""
    conf = settings.current()
    return (conf.public_url or f"http://localhost:{conf.port}").rstrip("/")


def _place(connection: psycopg.Connection[Any]) -> str:
    """Two databases in one process (tests) never share what is remembered."""
    return f"{connection.info.host}:{connection.info.port}/{connection.info.dbname}"


def public_keys(connection: psycopg.Connection[Any], *, fresh: bool = False) -> dict[str, str]:
    """`kid` → PEM of the keys whose tokens are accepted, remembered for half a minute unless `fresh`."""
    place = _place(connection)
    read_at, known = _public.get(place, (0.0, {}))
    if fresh or time.monotonic() - read_at > REMEMBER_SECONDS:
        known = dict(connection.execute(_queries()["public_keys"]).fetchall())
        _public[place] = (time.monotonic(), known)
    return known


def private_keys(connection: psycopg.Connection[Any], secret: str) -> list[PrivateKey]:
    """Every key that may sign now or soon, made when there is none; remembered for half a minute."""
    place = _place(connection)
    read_at, known = _private.get(place, (0.0, []))
    if time.monotonic() - read_at > REMEMBER_SECONDS:
        known = _read_private(connection, secret)
        if _needs_successor(known):
            with database.connect(autocommit=True) as own:  # of its own: a key must not vanish with a request that fails
                rotate(own, secret)
            known = _read_private(connection, secret)
        _private[place] = (time.monotonic(), known)
    return known


def _read_private(connection: psycopg.Connection[Any], secret: str) -> list[PrivateKey]:
    found = []
    rows = connection.execute(_queries()["private_keys"]).fetchall()
    unreadable: KeyUnreadable | None = None
    for kid, sealed, not_before, expires_at, created_at in rows:
        try:
            found.append(PrivateKey(kid, keys.unseal(bytes(sealed), secret), not_before, expires_at, created_at))
        except KeyUnreadable as reason:
            unreadable = reason
    if unreadable is not None and not found:
        raise unreadable
    return found


def _needs_successor(known: list[PrivateKey]) -> bool:
    """Whether the newest key is near the end of its thirty days."""
    return not known or known[-1].expires_at - ACCEPTED_AFTER - ANNOUNCED_BEFORE <= now()


def rotate(connection: psycopg.Connection[Any], secret: str, *, at_once: bool = False) -> str:
    """Make the next key and return its `kid`; it signs in ten minutes, or now when there is none or `at_once`.

    Keys whose last token expired lose their private part.
    """
    with connection.transaction():
        connection.execute(_queries()["lock"])
        known = [] if at_once else _read_private(connection, secret)
        if known and not _needs_successor(known):
            return known[-1].kid  # another process was quicker
        kid, public_pem, private_pem = keys.generate()
        start = now() if not known or known[-1].expires_at - ACCEPTED_AFTER <= now() else now() + ANNOUNCED_BEFORE
        row = {"kid": kid, "public_pem": public_pem, "not_before": start, "expires_at": start + SIGNS_FOR + ACCEPTED_AFTER}
        connection.execute(_queries()["add_key"], row)
        connection.execute(_queries()["add_private_key"], {"kid": kid, "sealed": keys.seal(private_pem, secret)})
        connection.execute(_queries()["forget_keys"])
    _public.clear()
    _private.clear()
    return kid


def signing_key(connection: psycopg.Connection[Any], secret: str) -> PrivateKey:
    """The key that signs now: the newest that has begun."""
    begun = [key for key in private_keys(connection, secret) if key.not_before <= now()]
    if not begun:
        raise KeyUnreadable(msg("Nenhuma chave pode assinar agora. Acerte o relógio do servidor."))
    return begun[-1]


def issue(
    connection: psycopg.Connection[Any], secret: str, *, subject: str, tenants: Iterable[int], capabilities: Iterable[str],
    types: Iterable[str] | None = None, name: str = "", lifetime_seconds: int = LIFETIME_SECONDS, scoped: bool = False,
) -> str:  # fmt: skip
    """A token for `subject` in `tenants` (ids), for at most fifteen minutes."""
    moment = int(time.time())
    claims: dict[str, Any] = {"iat": moment, "exp": moment + min(lifetime_seconds, LIFETIME_SECONDS), "jti": uuid.uuid4().hex}
    claims |= claims_of(connection, subject=subject, tenants=tenants, capabilities=capabilities, types=types, name=name, scoped=scoped)
    key = signing_key(connection, secret)
    return jwt.encode(claims, _opened(key.pem), algorithm=ALGORITHM, headers={"kid": key.kid})


@lru_cache(maxsize=8)
def _opened(pem: str) -> Any:
    """The key that a PEM holds: opening one costs tens of milliseconds, since its numbers are checked."""
    return jwt.get_algorithm_by_name(ALGORITHM).prepare_key(pem)


def claims_of(
    connection: psycopg.Connection[Any], *, subject: str, tenants: Iterable[int], capabilities: Iterable[str],
    types: Iterable[str] | None = None, name: str = "", scoped: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """The claims that Malha adds to a token, whoever signs it."""
    claims: dict[str, Any] = {
        "iss": issuer(), "aud": AUDIENCE, "sub": subject, "tenants": [int(tenant) for tenant in tenants],
        "caps": sorted(str(capability) for capability in capabilities), "gen": generation(connection, subject),
    }  # fmt: skip
    if types is not None:
        claims["types"] = sorted(types)
    if name:
        claims["name"] = name
    if scoped:
        claims["scoped"] = True
    return claims


def verify(connection: psycopg.Connection[Any], token: str) -> Claims:
    """What `token` says, when one of our keys signed it for us, it is in time and was not revoked.

    Raises TokenRefused. Costs about 200 µs and one query; callers remember the answer by the token's hash.
    """
    try:
        kid = jwt.get_unverified_header(token).get("kid", "")
        known = public_keys(connection)
        if kid not in known:
            known = public_keys(connection, fresh=True)
        if kid not in known:
            raise TokenRefused(msg("O token foi assinado por uma chave que não é desta Malha. Peça outro."))
        options: Any = {"require": ["exp", "iss", "aud", "sub", "gen"]}
        said = jwt.decode(token, known[kid], algorithms=[ALGORITHM], issuer=issuer(), audience=AUDIENCE, options=options)
        claims = _claims(said)
    except (jwt.PyJWTError, KeyError, TypeError, ValueError) as reason:
        raise TokenRefused(next((said for kind, said in _WHY if isinstance(reason, kind)), _UNREADABLE)) from reason
    if claims.generation < generation(connection, claims.subject):
        raise TokenRefused(msg("O token foi revogado. Peça outro."))
    return claims


def _claims(said: dict[str, Any]) -> Claims:
    return Claims(
        subject=str(said["sub"]), tenants=tuple(int(tenant) for tenant in said["tenants"]), capabilities=frozenset(map(str, said["caps"])),
        generation=int(said["gen"]), expires_at=datetime.fromtimestamp(int(said["exp"]), UTC),
        types=frozenset(map(str, said["types"])) if said.get("types") is not None else None, name=str(said.get("name", "")),
        scoped=bool(said.get("scoped", False)),
    )  # fmt: skip


def generation(connection: psycopg.Connection[Any], subject: str) -> int:
    """The generation that the tokens of `subject` must have."""
    row = connection.execute(_queries()["generation"], {"subject": subject}).fetchone()
    return int(row[0]) if row else 0


def revoke(connection: psycopg.Connection[Any], subject: str) -> None:
    """Refuse, from now on, every token that `subject` holds; every process knows within a second."""
    connection.execute(_queries()["revoke"], {"subject": subject})


def lately_revoked(connection: psycopg.Connection[Any], *, fresh: bool = False) -> dict[str, int]:
    """The generations that were raised while a token of before could still live, by subject; asked once a second, or now with `fresh`."""
    place = _place(connection)
    read_at, known = _raised.get(place, (0.0, {}))
    if fresh or time.monotonic() - read_at > REVOKED_SECONDS:
        known = dict(connection.execute(_queries()["lately_revoked"], {"seconds": LIFETIME_SECONDS + 60}).fetchall())
        _raised[place] = (time.monotonic(), known)
    return known
