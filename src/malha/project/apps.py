"""Django's name for the composition root: where the frame learns of rooms that stand beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from malha.foundation.access import offers
from malha.foundation.access.contracts import Capability
from malha.foundation.settings import service as settings
from malha.ui import navigation

if TYPE_CHECKING:
    from malha.foundation.access.queries import Door


class ProjectConfig(AppConfig):
    """The whole."""

    name = "malha.project"
    label = "project"

    def ready(self) -> None:
        navigation.register_tenants(tenant_links)
        offers.provide_types(entity_types)
        offers.provide_places(places, area_of_places)
        offers.provide_themes(themes)
        offers.provide_datasets(datasets)
        self._register_categories()
        navigation.register_ribbon(fictitious)
        navigation.register_operator(settings.current().operator_name, settings.current().operator_url)
        self._register_search()
        navigation.register(
            "dados", _("Ligações"), "connections:index", may(Capability.CLIENTS_MANAGE), text=_("Tudo o que fala com estes dados, e como corre."), order=89
        )
        navigation.register("dados", _("Programas"), "identity:machines", may(Capability.CLIENTS_MANAGE), text=_("Programas que leem ou escrevem."), order=90)
        navigation.register(
            "dados", _("Subscrições"), "subscriptions:list", may(Capability.CLIENTS_MANAGE), text=_("Quem é avisado do que muda, e se recebe."), order=91
        )
        for label, name, capability, text in (
            (_("Nome e brasão"), "administration:identity", Capability.TENANT_MANAGE, _("O que está no topo de todas as páginas.")),
            (_("Pessoas"), "identity:people", Capability.PEOPLE_MANAGE, _("Quem entra e com que função.")),
            (_("Quem gere o serviço"), "administration:delegation", Capability.TENANT_MANAGE, _("Delegar na comunidade, e retirar.")),
            (_("Acordos"), "administration:agreements", Capability.AGREEMENTS_MANAGE, _("Quem mais pode ver o quê, e quem já viu.")),
            (_("Registo de atos"), "administration:trail", Capability.AUDIT_READ, _("Quem fez o quê.")),
            (_("Criar município"), "identity:create_member", Capability.TENANT_CREATE, _("Um serviço novo para um membro.")),
        ):
            navigation.register("gestao", label, name, may(capability), text=text)

    def _register_categories(self) -> None:
        from malha.foundation.access import reach
        from malha.vocabulary.models import service as models  # once the apps are ready

        reach.provide_categories(models.types_of_theme)

    def _register_search(self) -> None:
        from malha.project import search  # once the apps are ready: it reads the rooms' services

        search.register()


def may(capability: Capability) -> Callable[[HttpRequest], bool]:
    """Whether the reader has `capability` here."""

    def visible(request: HttpRequest) -> bool:
        from malha.foundation.access import service as access

        return access.principal(request).may(capability)

    return visible


def fictitious(request: HttpRequest) -> str | None:
    """The ribbon of the demo town: nothing in it is true."""
    tenant = getattr(request, "tenant", None)
    if tenant and tenant.theme.get("ribbon"):  # a recording says of when it is
        return str(tenant.theme["ribbon"])
    return gettext("Vila fictícia: pessoas, lugares e números inventados para experimentar a Malha.") if tenant and tenant.is_demo else None


def tenant_links(request: HttpRequest) -> Iterable[navigation.TenantLink]:
    """The municipalities that the person moves between in the top bar: their own, and those that delegated."""
    from malha.foundation.access import service as access

    tenant = getattr(request, "tenant", None)
    person_id = access.principal(request).person_id
    if person_id is None:
        return
    for door in access.tenants_of(person_id):
        text = gettext("gerido por {name}").format(name=door.via) if door.via else ""
        yield navigation.TenantLink(door.name, _address(request, door), current=tenant is not None and tenant.id == door.id, text=text)


def _address(request: HttpRequest, door: Door) -> str:
    if door.hostname:
        return f"{request.scheme}://{door.hostname}/"
    from django.conf import settings

    here = getattr(request, "tenant", None)
    return f"{settings.PUBLIC_URL}/{door.slug}/" if here is not None and here.hostname else f"/{door.slug}/"


def entity_types(tenant_id: int, language: str) -> list[tuple[str, str]]:
    """The types that a tenant has data of, with how much, and then those that it has a model of."""
    from malha.context.store import service as store
    from malha.foundation.database import django as database
    from malha.kernel import formats
    from malha.kernel.text import sort_key
    from malha.vocabulary.models import service as models

    labels = {model.type: model.label.in_language(language) for model in models.all_models(tenant_id)}
    counts = {name: count for name, count, _changed in store.types(database.current(), tenant_id)}
    filled = [(name, f"{labels.get(name, name)} ({formats.number(count, language=language)})") for name, count in counts.items()]
    return sorted(filled, key=lambda one: sort_key(one[1])) + sorted(((n, t) for n, t in labels.items() if n not in counts), key=lambda one: sort_key(one[1]))


def themes(tenant_id: int, language: str) -> list[tuple[str, str]]:
    """The themes of the data models of which a tenant has data."""
    from malha.context.store import service as store
    from malha.foundation.database import django as database
    from malha.kernel.text import sort_key
    from malha.vocabulary.codelists import service as codelists
    from malha.vocabulary.models import service as models

    known = {code.value: code for code in codelists.get("theme").codes}
    used = {model.theme for name in store.type_names(database.current(), tenant_id) if (model := models.find(name, tenant_id)) and model.theme}
    named = [(key, known[key].in_language(language) if key in known else key) for key in used]
    return sorted(named, key=lambda one: sort_key(one[1]))


def datasets(tenant_id: int) -> list[tuple[str, str]]:
    """What a tenant prepares for the open portal, or has there."""
    from malha.foundation.tenancy import service as tenancy
    from malha.share.opendata import service as opendata

    return [(row.slug, row.title_pt or row.slug) for row in opendata.drafts(tenancy.by_id(tenant_id))]


def places(tenant_id: int) -> list[tuple[str, str]]:
    """The tenant's municipality and its parishes, where their boundaries are imported."""
    from malha.foundation.database import django as database
    from malha.foundation.tenancy import service as tenancy
    from malha.kernel.text import sort_key
    from malha.vocabulary.territory import service as territory
    from malha.vocabulary.territory.contracts import Level

    tenant = tenancy.by_id(tenant_id)
    if tenant.extent is None:
        return []
    west, south, east, north = tenant.extent
    found = territory.boundaries_in(database.current(), tenant_id, (west, south, east, north), levels=(Level.MUNICIPALITY, Level.PARISH))
    own = [one for one in found if not tenant.dico or one.code.startswith(tenant.dico)]
    return [(one.code, one.name) for one in sorted(own, key=lambda one: (one.level is not Level.MUNICIPALITY, sort_key(one.name)))]


def area_of_places(tenant_id: int, codes: list[str]) -> dict[str, Any] | None:
    """These boundaries as one shape, with its lines simplified to about ten metres."""
    import shapely
    from shapely.geometry import mapping, shape

    from malha.foundation.database import django as database
    from malha.vocabulary.territory import service as territory
    from malha.vocabulary.territory.contracts import Level

    conn = database.current()
    found = [territory.find_boundary(conn, tenant_id, Level.MUNICIPALITY if len(code) <= 4 else Level.PARISH, code) for code in codes]
    features: Any = territory.as_geojson(conn, found)["features"]
    whole = shapely.union_all([shape(one["geometry"]) for one in features]).simplify(0.0001)
    return None if whole.is_empty else dict(mapping(whole))
