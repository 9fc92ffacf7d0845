"""A changed secret of the installation loses nothing that was sealed with the one before, as long as that one is named."""

from dataclasses import replace

import pytest

from malha.context.federation import sealing
from malha.foundation.settings import service as settings
from malha.foundation.tokens import keys
from malha.share.datahub import signing
from malha.share.datahub.contracts import LinkRefused

CONF = settings.current()


@pytest.fixture
def use(monkeypatch):
    """Go on with other settings."""
    return lambda **changes: monkeypatch.setattr(settings, "current", lambda: replace(CONF, **changes))


def test_it_works(use):
    pairs = {"Authorization": "Bearer abc"}
    use(secret_key="antigo")
    sealed, link, pem = sealing.seal(pairs), signing.seal("file", {"a": 1}), keys.seal("uma chave", "antigo")
    use(secret_key="um-novo")
    assert sealing.unseal(sealed) == {}
    with pytest.raises(LinkRefused):
        signing.unseal("file", link)
    use(secret_key="um-novo", secret_keys_before=("outro", "antigo"))
    assert sealing.unseal(sealed) == pairs
    assert signing.unseal("file", link) == {"a": 1}
    assert keys.unseal(pem, "um-novo") == "uma chave"


def test_what_is_sealed_now_needs_no_older_secret(use):
    use(secret_key="um-novo", secret_keys_before=("antigo",))
    sealed = sealing.seal({"a": "b"})
    use(secret_key="um-novo")
    assert sealing.unseal(sealed) == {"a": "b"}


def test_the_secret_of_the_folder_goes_on_opening_once_a_setting_takes_its_place(use, tmp_path):
    use(data=tmp_path, secret_key="")
    sealed = keys.seal("uma chave", settings.secret_key())
    use(data=tmp_path, secret_key="definido")
    assert keys.unseal(sealed, settings.secret_key()) == "uma chave"
