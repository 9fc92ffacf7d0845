"""The rail shows only rooms with something inside; the top bar moves between tenants."""

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.identity.models import Person
from malha.foundation.tenancy import service as tenancy
from malha.ui import navigation, search


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> navigation.Registry:
    empty = navigation.Registry()
    monkeypatch.setattr(navigation, "registry", empty)
    return empty


def request(path: str = "/") -> HttpRequest:
    made = RequestFactory().get(path)
    made.path_info = path
    return made


def test_it_works(registry: navigation.Registry) -> None:
    navigation.register("dados", "Ajuda", "ui:help")
    (link,) = navigation.rail(request())
    assert link.room.key == "dados"
    assert link.url == "/ajuda/"  # one page: straight to it


def test_a_room_with_several_pages_opens_its_index(registry: navigation.Registry) -> None:
    navigation.register("dados", "Ajuda", "ui:help")
    navigation.register("dados", "Procurar", "ui:search", order=1)
    (link,) = navigation.rail(request("/dados/"))
    assert (link.url, link.current) == ("/dados/", True)
    assert [entry.label for entry in link.entries] == ["Procurar", "Ajuda"]


def test_hidden_and_unserved_pages_do_not_show(registry: navigation.Registry) -> None:
    navigation.register("agir", "Não há", "nowhere:page")
    navigation.register("mapa", "Escondida", "ui:help", lambda _request: False)
    assert navigation.rail(request()) == []


def test_an_unknown_room_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown room"):
        navigation.register("cozinha", "x", "ui:help")


def test_administration_is_never_in_the_rail(registry: navigation.Registry) -> None:
    navigation.register("gestao", "Pessoas", "ui:help")
    assert navigation.rail(request()) == []
    assert [entry.label for entry in navigation.entries(request(), "gestao")] == ["Pessoas"]


def test_search_finds_pages_without_accents(registry: navigation.Registry) -> None:
    navigation.register("dados", "Definições", "ui:help", text="Preferências da página")
    groups = search.find(request(), "preferencias definicoes")
    assert [hit.title for group in groups for hit in group.hits] == ["Definições"]


def test_a_room_that_fails_does_not_silence_the_search(registry: navigation.Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    from malha.kernel.errors import Unavailable

    def broken(_request: HttpRequest, _text: str, _limit: int) -> list[search.Hit]:
        raise Unavailable("não")

    monkeypatch.setattr(search, "_providers", dict(search._providers))
    search.register("broken", "Avariada", broken)
    assert [group.label for group in search.find(request(), "xyz") if group.failed] == ["Avariada"]


def test_somebody_in_two_tenants_moves_in_the_top_bar(new_tenant) -> None:
    here, there, other = new_tenant(name="Aqui"), new_tenant(name="Acolá"), new_tenant(name="Alheia")
    person = Person.objects.create_user(f"{here.slug}@exemplo.pt")
    for tenant in (here, there):
        with tenancy.scope(tenant.id):
            access.grant(person.pk, tenant.id, RoleName.VIEWER)
    client = Client(headers={"host": "localhost"})
    client.force_login(person)
    page = client.get(f"/{here.slug}/ajuda/").content.decode()
    assert f'href="/{here.slug}/" aria-current="true">Aqui' in page
    assert f'href="/{there.slug}/">Acolá' in page
    assert other.slug not in page
