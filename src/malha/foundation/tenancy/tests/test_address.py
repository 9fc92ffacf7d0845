import struct
from uuid import uuid4

import pytest
from django.db import DatabaseError
from django.http import HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import get_script_prefix

from malha.foundation.tenancy import rules, service
from malha.foundation.tenancy.contracts import AddressTaken, UnusableArms
from malha.foundation.tenancy.middleware import TenantMiddleware

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + struct.pack(">II", 64, 80) + b"\x08\x06\x00\x00\x00" + b"\x00" * 40


def ask(path, host="localhost"):
    seen = {}

    def view(request):
        seen.update(tenant=request.tenant, path=request.path_info, prefix=get_script_prefix())
        return HttpResponse("ok")

    with override_settings(ALLOWED_HOSTS=["*"]):
        answer = TenantMiddleware(view)(RequestFactory().get(path, headers={"host": host}))
    return answer, seen


def test_it_works(new_tenant):
    tenant = new_tenant()
    answer, seen = ask(f"/{tenant.slug}/mapa/?x=1")
    assert answer.status_code == 200
    assert seen == {"tenant": tenant, "path": "/mapa/", "prefix": f"/{tenant.slug}/"}


def test_permalinks_survive_the_move_to_a_host_name_and_back(new_tenant):
    tenant = new_tenant()
    host = f"{uuid4().hex[:8]}.exemplo.pt"
    tenant = service.move_to_hostname(tenant.id, host)
    answer, _ = ask(f"/{tenant.slug}/mapa/?x=1")
    assert (answer.status_code, answer["Location"]) == (302, f"http://{host}/mapa/?x=1")
    answer, seen = ask("/mapa/", host)
    assert (answer.status_code, seen["tenant"].id, seen["prefix"]) == (200, tenant.id, "/")
    answer, _ = ask(f"/{tenant.slug}/mapa/?x=1", host)
    assert answer["Location"] == "/mapa/?x=1"
    service.move_to_hostname(tenant.id, "")
    answer, seen = ask(f"/{tenant.slug}/mapa/")
    assert seen["tenant"].id == tenant.id


def test_a_host_name_belongs_to_one(new_tenant):
    host = f"{uuid4().hex[:8]}.exemplo.pt"
    service.move_to_hostname(new_tenant().id, host)
    with pytest.raises(AddressTaken):
        service.move_to_hostname(new_tenant().id, host)


def test_an_unknown_address_has_no_tenant():
    _, seen = ask("/nao-existe/mapa/")
    assert seen["tenant"] is None
    assert seen["path"] == "/nao-existe/mapa/"


def test_arms_are_a_small_image(new_tenant):
    tenant = new_tenant()
    with service.scope(tenant.id):
        service.set_arms(tenant.id, PNG)
        media_type, data, digest = service.arms(tenant.id)
        assert (media_type, data) == ("image/png", PNG)
        assert service.by_id(tenant.id).theme["arms"] == f"/{tenant.slug}/armas/{digest[:16]}"
        service.set_arms(tenant.id, b"")
        assert service.arms(tenant.id) is None
        assert "arms" not in service.by_id(tenant.id).theme


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a" + b"\x00" * 40,
        b"",
        PNG[:20],
        b"\x00" * (rules.ARMS_BYTES + 1),
        PNG[:16] + struct.pack(">II", 9000, 9000),
    ],
)
def test_what_is_no_small_image_is_refused(data):
    with pytest.raises(UnusableArms):
        rules.image_type(data)


def test_an_accent_must_carry_white_text():
    assert rules.is_dark_enough("#034ad8")
    assert not rules.is_dark_enough("#fbcb3c")
    assert not rules.is_colour("red; }")


def test_one_tenant_cannot_rename_another(new_tenant):
    mine, other = new_tenant(), new_tenant(name="Outra")
    with service.scope(mine.id):
        service.rename(mine.id, name="Minha", accent="#034ad8")
    with pytest.raises(DatabaseError, match="did not affect any rows"), service.scope(mine.id):
        service.rename(other.id, name="Tomada")
    assert service.by_id(other.id).name == "Outra"
    assert service.by_id(mine.id).theme["accent"] == "#034ad8"
