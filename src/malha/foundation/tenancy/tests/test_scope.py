from malha.foundation.tenancy import service


def test_it_works(new_tenant):
    tenant = new_tenant(name="Vila Nova", dico="9901")
    assert service.by_slug(tenant.slug) == tenant
    with service.scope(tenant.id):
        assert service.by_id(tenant.id).name == "Vila Nova"
