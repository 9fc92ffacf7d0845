import time
from dataclasses import replace

import jwt
import pytest

from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.foundation.tokens import keys, service
from malha.foundation.tokens.contracts import KeyUnreadable, TokenRefused

SECRET = "segredo-de-ensaio"


@pytest.fixture
def conn():
    with database.connect(autocommit=True) as connection:
        service._private.clear()
        connection.execute("DELETE FROM signing_key_private")
        connection.execute("DELETE FROM signing_key")
        service._public.clear()
        yield connection
        service._private.clear()
        service._public.clear()
        connection.execute("DELETE FROM signing_key_private")
        connection.execute("DELETE FROM signing_key")


def issue(conn, **changes):
    said = {"subject": "client:abc", "tenants": [7], "capabilities": ["data.read"], **changes}
    return service.issue(conn, SECRET, **said)


def forge(conn, key=None, **changes):
    """A token signed by our key, or by `key`, whose claims somebody bent."""
    key = key or service.signing_key(conn, SECRET)
    moment = int(time.time())
    claims = {"iss": service.issuer(), "aud": "malha", "sub": "client:abc", "tenants": [7], "caps": [], "gen": 0, "exp": moment + 60} | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key.pem, algorithm="RS256", headers={"kid": key.kid})


def test_it_works(conn):
    claims = service.verify(conn, issue(conn, types=["Device"], name="Estação"))
    assert claims.subject == "client:abc"
    assert claims.tenants == (7,)
    assert claims.capabilities == {"data.read"}
    assert claims.types == {"Device"}
    assert claims.name == "Estação"


def test_lives_fifteen_minutes_at_most(conn):
    token = issue(conn, lifetime_seconds=10**6)
    assert service.verify(conn, token).expires_at.timestamp() - time.time() <= 15 * 60


@pytest.mark.parametrize("bent", [{"iss": "http://outra"}, {"aud": "outra"}, {"exp": int(time.time()) - 5}, {"gen": None}, {"tenants": None}, {"sub": None}])
def test_refuses_bent_claims(conn, bent):
    assert service.verify(conn, forge(conn))
    with pytest.raises(TokenRefused):
        service.verify(conn, forge(conn, **bent))


def test_says_in_words_what_is_wrong(conn):
    whole = forge(conn)
    head, body, signature = whole.split(".")
    for token, said in (
        (forge(conn, exp=int(time.time()) - 5), "expirou"),
        (forge(conn, iss="http://outra"), "de outra instalação"),
        (f"{head}.{body}.{signature[:-6]}AAAAAA", "foi alterado"),
        (whole[: len(whole) // 2], "não é um token inteiro"),
        ("abc.def.ghi", "não é um token inteiro"),
    ):
        with pytest.raises(TokenRefused, match=said):
            service.verify(conn, token)


def test_refuses_a_foreign_key(conn):
    kid, _, pem = keys.generate()
    ours = service.signing_key(conn, SECRET)
    for claimed in (kid, ours.kid):
        foreign = type(ours)(claimed, pem, ours.not_before, ours.expires_at, ours.created_at)
        with pytest.raises(TokenRefused):
            service.verify(conn, forge(conn, key=foreign))


def test_refuses_other_algorithms(conn):
    key = service.signing_key(conn, SECRET)
    claims = {"iss": service.issuer(), "aud": "malha", "sub": "client:abc", "tenants": [7], "caps": [], "gen": 0, "exp": int(time.time()) + 60}
    shared = jwt.encode(claims, "x" * 64, algorithm="HS256", headers={"kid": key.kid})
    bare = jwt.encode(claims, None, algorithm="none", headers={"kid": key.kid})
    for token in (shared, bare, "", "a.b.c", "disparate"):
        with pytest.raises(TokenRefused):
            service.verify(conn, token)


def test_revokes_by_generation(conn):
    subject = f"client:{time.time_ns()}"
    old = issue(conn, subject=subject)
    assert service.verify(conn, old)
    service.revoke(conn, subject)
    with pytest.raises(TokenRefused, match="revogado"):
        service.verify(conn, old)
    assert service.verify(conn, issue(conn, subject=subject)).generation == 1


def test_rotates(conn):
    old = issue(conn)
    first = service.signing_key(conn, SECRET).kid
    assert service.rotate(conn, SECRET) == first, "a young key needs no successor"
    conn.execute("UPDATE signing_key SET expires_at = now() + interval '1 day 5 minutes'")
    second = service.rotate(conn, SECRET)
    assert second != first
    assert service.signing_key(conn, SECRET).kid == first, "the next key is announced before it signs"
    conn.execute("UPDATE signing_key SET not_before = now() WHERE kid = %s", [second])
    service._private.clear()
    assert service.signing_key(conn, SECRET).kid == second
    assert service.verify(conn, old), "tokens of the older key last their fifteen minutes"


def test_private_parts_are_sealed(conn):
    issue(conn)
    sealed = bytes(conn.execute("SELECT sealed FROM signing_key_private").fetchone()[0])
    assert b"PRIVATE" not in sealed
    service._private.clear()
    with pytest.raises(KeyUnreadable):
        service.signing_key(conn, "outro segredo")


def test_what_was_sealed_before_opens_with_the_older_secrets(conn, monkeypatch):
    kid = service.signing_key(conn, SECRET).kid
    service._private.clear()
    with pytest.raises(KeyUnreadable):
        service.signing_key(conn, "um-novo")
    conf = settings.current()
    monkeypatch.setattr(settings, "current", lambda: replace(conf, secret_key="um-novo", secret_keys_before=("outro", SECRET)))
    assert service.signing_key(conn, "um-novo").kid == kid
    assert keys.unseal(keys.seal("x", "um-novo"), "um-novo") == "x"
