"""Numbers of addresses that are none, or too large: a page, never a fault of ours."""

import pytest
from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.identity.models import Person


@pytest.mark.parametrize("number", ["²", "-1", "9" * 20, "x", "%00"])
@pytest.mark.parametrize(
    "path",
    [
        "dados/sensores/?pagina=", "dados/ligacoes/todas/?desde=", "dados/subscricoes/?desde=", "dados/registos/WeatherObserved/?pagina=",
        "dados/exportar/?type=WeatherObserved&run=", "?dias=",
    ],
)  # fmt: skip
def test_it_works(new_tenant, path, number):
    tenant = new_tenant()
    person = Person.objects.create(email=f"{tenant.slug}@exemplo.pt", name="Ana")
    access.grant(person.pk, tenant.id, RoleName.TENANT_MANAGER)
    client = Client(headers={"host": "localhost"})
    client.force_login(person)
    assert client.get(f"/{tenant.slug}/{path}{number}").status_code in {200, 302, 400, 404}
