from uuid import uuid4

import pytest
from django.test import Client


class Signed(Client):
    """A browser that is signed in to one tenant; paths are below its address."""

    def __init__(self, tenant, role="tenant_manager"):
        from django.contrib.auth import get_user_model

        from malha.foundation.access import service as access
        from malha.foundation.access.contracts import RoleName
        from malha.foundation.identity import service as identity

        super().__init__(SERVER_NAME="localhost")
        person = identity.create_person(f"p-{uuid4().hex[:10]}@exemplo.pt", name="Ana")
        access.grant(person.id, tenant.id, RoleName(role))
        self.force_login(get_user_model().objects.get(pk=person.id))
        self.tenant = tenant

    def open(self, path, **kwargs):
        return self.get(f"/{self.tenant.slug}{path}", **kwargs)

    def send(self, path, data=None, **kwargs):
        return self.post(path if path.startswith(f"/{self.tenant.slug}/") else f"/{self.tenant.slug}{path}", data or {}, **kwargs)


@pytest.fixture
def signed():
    return Signed
