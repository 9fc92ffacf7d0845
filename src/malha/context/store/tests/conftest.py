"""What tests of the store share."""

from uuid import uuid4

import pytest

from malha.foundation.database import service as database


@pytest.fixture(scope="module")
def database_of_all():
    """(connection in autocommit, tenant id), one for all that is made up."""
    from malha.foundation.tenancy import service as tenancy
    from malha.foundation.tenancy.contracts import OrganisationKind

    tenant = tenancy.create_tenant(slug=f"ensaio-{uuid4().hex[:10]}", name="Vila", kind=OrganisationKind.MUNICIPALITY)
    with database.connect(autocommit=True) as conn:
        yield conn, tenant.id
