"""Make, seal and open RSA keys. Source: RFC 7638 (thumbprint), RFC 7518 §3.3 (RS256, 2,048 bits or more)."""

from __future__ import annotations

import base64
import hashlib
import json

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwt.algorithms import RSAAlgorithm

from malha.foundation.settings import service as settings
from malha.foundation.tokens.contracts import KeyUnreadable
from malha.kernel.text import msg

BITS = 2048


def generate() -> tuple[str, str, str]:
    """A fresh key as (kid, public PEM, private PEM)."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    public = private.public_key()
    public_pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    private_pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return thumbprint(public), public_pem, private_pem


def thumbprint(public: rsa.RSAPublicKey) -> str:
    """The RFC 7638 thumbprint of a key, which is its `kid`."""
    jwk = json.loads(RSAAlgorithm.to_jwk(public))
    canonical = json.dumps({name: jwk[name] for name in ("e", "kty", "n")}, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()


def _box(secret: str) -> Fernet:
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"malha signing key").derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def seal(private_pem: str, secret: str) -> bytes:
    """The private part encrypted with the installation's secret."""
    return _box(secret).encrypt(private_pem.encode())


def unseal(sealed: bytes, secret: str) -> str:
    """The private PEM, sealed with this secret or with one before it. Raises KeyUnreadable when it was another."""
    try:
        return MultiFernet([_box(each) for each in (secret, *settings.older_secrets())]).decrypt(sealed).decode()
    except InvalidToken as reason:
        raise KeyUnreadable(
            msg(
                "As chaves que assinam foram guardadas com outro MALHA_SECRET_KEY. Ponha o anterior em MALHA_SECRET_KEYS_BEFORE, ou crie chaves novas com `./malha user keys`."
            )
        ) from reason
