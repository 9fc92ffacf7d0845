"""The end of the road: an export, an open dataset, and a second tenant that sees nothing of it."""

from __future__ import annotations

import csv
import io
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime

from malha.foundation.language.service import say
from malha.kernel.text import msg
from malha.project.verification.contracts import Comparison, Step
from malha.project.verification.loading import rows_of
from malha.project.verification.road import Road


def _session(road: Road, which: str) -> str:
    """The cookie of an analyst of one of the tenants, as if they had signed in."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore

    from malha.foundation.access import service as access
    from malha.foundation.access.contracts import RoleName
    from malha.foundation.identity import service as identity

    person = identity.create_person(f"analista.{which}@verificacao.example", name="Analista")
    access.grant(person.id, road.known[which].id, RoleName.ANALYST)
    user = get_user_model().objects.get(pk=person.id)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "malha.foundation.identity.backends.PersonBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return f"malha_session={session.session_key}"


def _page(address: str, cookie: str) -> bytes:
    request = urllib.request.Request(address, headers={"Cookie": cookie, "Accept": "text/html,*/*"})  # noqa: S310 -- our own address
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- our own address
        return bytes(answer.read())


def export(road: Road, step: Step) -> None:
    """A signed-in person exports; the file is opened by another reader and compared row by row with the source."""
    road.known["cookie"] = _session(road, "tenant")
    text = _page(f"{road.tenant_url()}/dados/exportar/ficheiro.csv?type=Facility", road.known["cookie"]).decode()
    lines = [line for line in io.StringIO(text) if not line.startswith("#")]
    exported = {row["id"].rsplit(":", 1)[1]: row for row in csv.DictReader(lines)}
    rows = {row["id"]: row for row in rows_of(road.inputs.places)}
    step.input = say(
        msg("{origin}: {file}, exportado em CSV por uma pessoa com sessão"), origin=road.inputs.origin_of(road.inputs.places), file=road.inputs.places.name
    )
    step.equal(say(msg("linhas")), road.known[road.inputs.places.name].created, len(exported))
    unlike = [
        key
        for key, row in exported.items()
        if row["name"].lstrip("'") != rows[key]["name"].strip() or (row["latitude"] and abs(float(row["latitude"]) - float(rows[key]["lat"])) > 1e-6)
    ]
    step.equal(say(msg("linhas diferentes do ficheiro")), [], unlike[:5])
    step.equal(say(msg("o ficheiro diz o filtro, o momento e a zona")), [True] * 3, [word in text for word in ("# Filtro:", "# Extraído em", "Europe/Lisbon")])


def catalogue(road: Road, step: Step) -> None:
    """The dataset is published and stands in the open catalogue, for anybody."""
    from malha.foundation.tenancy import service as tenancy
    from malha.share.opendata import service as opendata

    owner = road.known["tenant"]
    with tenancy.scope(owner.id):
        row = opendata.begin(owner, "Facility", person_id=None, title="Escolas")
        row.description_pt = "Escolas e onde ficam, para quem as procura."
        row.contact_name, row.contact_email = "Dados abertos", "dados@verificacao.example"
        row.save()
        opendata.publish(owner, row, person_id=None, actor="verify")
    road.known["dataset"] = row.slug
    listed = json.loads(road.get(f"/{owner.slug}/catalog.jsonld"))["dcat:dataset"]
    step.input = say(msg("o mesmo conjunto, sem sessão"))
    step.equal(say(msg("no catálogo")), [f"{road.tenant_url()}/dados-abertos/{row.slug}/"], [dataset["@id"] for dataset in listed])
    distributions = {d["dcterms:title"][0]["@value"]: d["dcat:downloadURL"]["@id"] for d in listed[0]["dcat:distribution"]}
    features = json.loads(road.get(distributions["GeoJSON"].removeprefix(road.url)))["features"]
    step.equal(say(msg("elementos no GeoJSON público")), road.known[road.inputs.places.name].created, len(features))


def walls(road: Road, step: Step) -> None:
    """Another municipality sees none of it, whichever door it tries."""
    from malha.foundation.access.contracts import Capability
    from malha.foundation.identity import machines
    from malha.foundation.tenancy import service as tenancy
    from malha.history.temporal import service as temporal
    from malha.history.temporal.contracts import Grain, SeriesQuery

    owner, other = road.known["tenant"], road.known["other"]
    with tenancy.scope(other.id):
        machine, secret = machines.create(other.id, name="Outro", capabilities=[Capability.DATA_READ], types=None, created_by=None)
    token = _token(road, machine.client_id, secret)
    cookie = _session(road, "other")
    own, foreign = f"/{other.slug}", f"/{owner.slug}"
    weather = SeriesQuery("WeatherObserved", "temperature", datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC), grain=Grain.RAW)
    refused = [401, 403, 404]
    step.input = say(msg("o segundo município, com token e com pessoa"))
    doors: list[tuple[str, object, Callable[[], object]]] = [
        (msg("NGSI-LD: entidades suas"), [], lambda: json.loads(road.get(f"{own}/ngsi-ld/v1/entities?type=Facility", token=token))),
        (msg("NGSI-LD: o endereço do outro"), refused, lambda: road.status(f"{foreign}/ngsi-ld/v1/entities?type=Facility", token=token)),
        (msg("história"), 0, lambda: sum(len(one.points) for one in temporal.series(other.id, weather))),
        (
            msg("história: o endereço do outro"),
            refused,
            lambda: road.status(
                f"{foreign}/ngsi-ld/v1/temporal/entities/urn:vila:FloodMonitoring:PonteVelha?timerel=before&timeAt=2100-01-01T00:00:00Z", token=token
            ),
        ),
        (msg("mosaico do outro"), refused, lambda: road.status(f"{foreign}/tiles/entities/Facility/0/0/0.mvt", token=token)),
        (msg("mosaico seu"), 0, lambda: len(road.get(f"{own}/tiles/entities/Facility/0/0/0.mvt", token=token))),
        (msg("catálogo"), [], lambda: json.loads(road.get(f"{own}/catalog.jsonld"))["dcat:dataset"]),
        (msg("página do conjunto"), 404, lambda: road.status(f"{own}/dados-abertos/{road.known['dataset']}/")),
        (msg("lista de registos"), False, lambda: b"Facility" in _page(f"{road.url}{own}/dados/entidades/", cookie)),
        (msg("lista do outro"), refused, lambda: _status(f"{road.url}{foreign}/dados/entidades/", cookie)),
        (msg("exportação"), 0, lambda: _rows(_page(f"{road.url}{own}/dados/exportar/ficheiro.csv?type=Facility", cookie))),
        (msg("exportação do outro"), refused, lambda: _status(f"{road.url}{foreign}/dados/exportar/ficheiro.csv?type=Facility", cookie)),
    ]
    for door, expected, ask in doors:
        what, found = say(door), ask()
        if expected is refused:
            step.comparisons.append(Comparison(what, refused, found, found in refused))
        else:
            step.equal(what, expected, found)


def _rows(text: bytes) -> int:
    lines = [line for line in text.decode().splitlines() if line and not line.startswith("#")]
    return len(lines) - 1


def _status(address: str, cookie: str) -> int:
    try:
        _page(address, cookie)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def _token(road: Road, client: str, secret: str) -> str:
    form = f"grant_type=client_credentials&client_id={client}&client_secret={secret}".encode()
    with urllib.request.urlopen(f"{road.tenant_url('other')}/identity/o/api/token", form, timeout=20) as answer:  # noqa: S310 -- our own address
        return str(json.load(answer)["access_token"])
