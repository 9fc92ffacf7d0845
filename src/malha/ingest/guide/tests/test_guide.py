"""The guided load by somebody who only reads the page and accepts what is suggested."""

from __future__ import annotations

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from malha.context.store import service as store
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.foundation.jobs import service as jobs
from malha.ingest.guide import steps


def said_by(page):
    """What a browser would send when nobody changes anything."""
    form = next(part for part in re.findall(r"<form[^>]*>(.*?)</form>", page, re.DOTALL) if "csrfmiddlewaretoken" in part and "Continuar" in part)
    data = {}
    for name, value in re.findall(r'<input type="(?:radio|checkbox)" name="([^"]+)" value="([^"]*)"[^>]*?\bchecked', form):
        data.setdefault(name, []).append(value)
    data |= dict(re.findall(r'<input type="(?:text|number)" name="([^"]+)" value="([^"]*)"', form))
    for name, body in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', body)
        data[name] = chosen.group(1) if chosen else ""
    return data


def walk(browser, place):
    """Answer every question as suggested; the last page."""
    for _ in range(12):
        page = browser.get(place).content.decode()
        if place.endswith("/confirmar/"):
            return place, page
        answer = browser.post(place, said_by(page))
        assert answer.status_code == 302, answer.content.decode()[:2000]
        place = answer["Location"]
    raise AssertionError("the questions do not end")


def test_it_works(new_tenant, signed):
    tenant = new_tenant(extent=[-8.75, 40.53, -8.52, 40.73], centre=[-8.65, 40.64])
    browser = signed(tenant)
    begun = browser.send("/dados/carregar/exemplo/")
    first = browser.get(begun["Location"])
    place, page = walk(browser, first["Location"])
    assert "23 linhas entram" in page
    assert "1 fica em espera" in page
    assert "a data não existe" in page
    loaded = browser.post(place)
    run_page = browser.get(loaded["Location"])
    assert "à espera de vez" in run_page.content.decode()
    run_id = int(re.search(r"/cargas/(\d+)/", loaded["Location"]).group(1))
    jobs.run_now("ingest.load", tenant_id=tenant.id, run_id=run_id)
    done = browser.get(loaded["Location"]).content.decode()
    assert "23 linhas entraram" in done
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        assert [(name, count) for name, count, _at in store.types(conn, tenant.id)] == [("ParquesInfantis", 23)]
    browser.post(f"{loaded['Location']}desfazer/")
    assert "foi desfeita" in browser.get(loaded["Location"]).content.decode()
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        assert [name for name, count, _at in store.types(conn, tenant.id) if count] == []


def test_the_next_file_with_that_header_needs_no_questions(new_tenant, signed):
    tenant = new_tenant(extent=[-8.75, 40.53, -8.52, 40.73], centre=[-8.65, 40.64])
    browser = signed(tenant)
    place, _page = walk(browser, browser.get(browser.send("/dados/carregar/exemplo/")["Location"])["Location"])
    browser.post(place)
    again = browser.get(browser.send("/dados/carregar/exemplo/")["Location"])
    assert again["Location"].endswith("/outra-vez/")  # an offer, not taken by itself
    again = browser.send(again["Location"], {"way": "use"})
    assert again["Location"].endswith("/confirmar/")
    assert "As respostas são as da outra vez" in browser.get(again["Location"]).content.decode()


def test_an_upload_that_is_no_table_says_so_and_keeps_nothing_half(new_tenant, signed):
    browser = signed(new_tenant())
    answer = browser.send("/dados/carregar/", {"file": SimpleUploadedFile("foto.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x00")})
    assert answer.status_code == 422
    assert "Isto não é uma tabela" in answer.content.decode()
    assert browser.send("/dados/carregar/").status_code == 422


def test_a_private_address_is_refused(new_tenant, signed):
    browser = signed(new_tenant())
    answer = browser.send("/dados/carregar/", {"url": "http://127.0.0.1:1/x.csv"})
    assert answer.status_code == 422
    assert "rede privada" in answer.content.decode()


def test_the_map_shows_the_rows_where_the_answers_put_them(new_tenant, signed):
    tenant = new_tenant(extent=[-8.75, 40.53, -8.52, 40.73], centre=[-8.65, 40.64])
    browser = signed(tenant)
    place = browser.send("/dados/carregar/exemplo/")["Location"].removesuffix("inicio/")
    browser.get(f"{place}lugar/")
    assert browser.get(f"{place}mapa.json").json()["layers"][0]["data"].endswith("lugares.geojson")
    features = browser.get(f"{place}lugares.geojson").json()["features"]
    assert len(features) == 23
    page = browser.get(f"{place}confirmar/").content.decode()
    assert "20 delas no mapa" in page
    assert len(re.findall(r"<li>[^<]*: 40[^<]*; -8[^<]*</li>", page)) == 20
    assert browser.get(f"{place}mapa.json?some").json()["layers"][0]["data"].endswith("lugares.geojson?some")
    assert len(browser.get(f"{place}lugares.geojson?some").json()["features"]) == 20
    assert all(-8.7 < feature["geometry"]["coordinates"][0] < -8.6 for feature in features)


def test_personal_columns_come_in_only_with_a_reason(new_tenant, signed):
    tenant = new_tenant()
    browser = signed(tenant)
    table = "Código;Requerente;NIF\n1;Ana Maria Silva;123456789\n2;João Pedro Costa;501442600\n3;Rita Sousa;123456789\n".encode()
    place = browser.send("/dados/carregar/", {"file": SimpleUploadedFile("pedidos.csv", table)})["Location"].removesuffix("inicio/")
    page = browser.get(f"{place}pessoas/").content.decode()
    assert "Razão para guardar “Requerente”" in page
    assert "Razão para guardar “NIF”" in page
    _place, last = walk(browser, f"{place}linha/")
    assert "Ficam de fora, por serem de pessoas: Requerente, NIF." in last


def test_who_may_not_load_is_told_so(new_tenant, signed):
    browser = signed(new_tenant(), RoleName.VIEWER)
    assert browser.open("/dados/carregar/").status_code == 403


@pytest.mark.parametrize("path", ["/dados/carregar/", "/dados/cargas/", "/dados/quarentena/", "/dados/fontes/", "/dados/fontes/ipma/"])
def test_pages_open_in_both_languages(new_tenant, signed, path):
    browser = signed(new_tenant())
    answer = browser.open(path)
    assert answer.status_code == 200
    posts = re.findall(r'<form[^>]*method="post"[^>]*>(.*?)</form>', answer.content.decode(), re.DOTALL)
    assert all("csrfmiddlewaretoken" in form for form in posts)
    browser.cookies["malha_language"] = "en"
    assert browser.open(path).status_code == 200


def test_every_question_has_its_own_address():
    keys = [step.key for step in steps.STEPS]
    assert len(keys) == len(set(keys))


def test_answers_of_the_other_time_are_offered(new_tenant, signed):
    tenant = new_tenant()
    browser = signed(tenant)

    def begin(name):
        given = SimpleUploadedFile(name, "Código;Nome;Valor\n1;Ria;3\n2;Mar;4\n".encode())
        return browser.send("/dados/carregar/", {"file": given})["Location"]

    first = begin("a.csv").removesuffix("inicio/")
    browser.send(f"{first}linha/", {"kind": "own", "name": "Rio", "model": ""})
    browser.send(f"{first}confirmar/")
    second = begin("b.csv")
    offer = browser.get(second)["Location"]
    assert offer.endswith("/outra-vez/")
    said = browser.get(offer).content.decode()
    assert "Usar as respostas de" in said
    assert "Começar de novo" in said
    used = browser.send(offer, {"way": "use"})["Location"]
    assert used.endswith("/confirmar/")
    assert "As respostas são as da outra vez" in browser.get(used).content.decode()
    third = browser.get(begin("c.csv"))["Location"]
    fresh = browser.get(browser.send(third, {"way": "fresh"})["Location"])["Location"]
    assert fresh.endswith("/linha/")
    _place, page = walk(browser, fresh)
    assert "As respostas são as da outra vez" not in page


def test_national_models_are_shown_by_example(new_tenant, signed):
    browser = signed(new_tenant())
    table = b"Nome;Temperatura;Humidade relativa;Estado\nA;12,5;0,7;1\nB;13,5;0,8;1\nC;14,5;0,9;0\n"
    place = browser.send("/dados/carregar/", {"file": SimpleUploadedFile("tempo.csv", table)})["Location"].removesuffix("inicio/")
    page = browser.get(f"{place}linha/").content.decode()
    assert "Ver um exemplo do modelo" in page
    looked = browser.post(f"{place}linha/", {"kind": "table", "name": "Tempo", "model": "NoiseLevelObserved", "look": "1"})
    assert looked["Location"].endswith("/linha/")
    page = browser.get(looked["Location"]).content.decode()
    shown = page[page.index('id="exemplo1"') :]
    assert "(NoiseLevelObserved)" in shown
    assert len(re.findall(r"<dt>", shown)) >= 3


def test_a_place_outside_the_municipality_is_asked_about(new_tenant, signed):
    browser = signed(new_tenant(extent=[-8.75, 40.53, -8.52, 40.73], centre=[-8.65, 40.64]))
    rows = "\n".join(f"P{n};{40.6 + n / 100:.2f};-8.6" for n in range(9)) + "\nP9;41.55;-8.42\nP10;41.56;-8.42"
    given = SimpleUploadedFile("pontos.csv", f"Código;Latitude;Longitude\n{rows}\n".encode())
    place = browser.send("/dados/carregar/", {"file": given})["Location"].removesuffix("inicio/")
    page = browser.get(f"{place}lugar/").content.decode()
    assert "Das primeiras linhas, 2 ficam fora do município" in page
    assert "As que ficam fora do município…" in page


def test_a_similar_header_is_no_answer(new_tenant, signed):
    tenant = new_tenant()
    browser = signed(tenant)

    def begin(name, header):
        rows = "\n".join(f"{n},Nome {n},Rua {n},{n}" for n in range(5))
        given = SimpleUploadedFile(name, f"{header}\n{rows}\n".encode())
        return browser.send("/dados/carregar/", {"file": given})["Location"]

    place, _page = walk(browser, browser.get(begin("museums.csv", "id,name,address,opened"))["Location"])
    browser.post(place)
    other = browser.get(begin("schools.csv", "id,name,address,pupils"))["Location"]
    assert other.endswith("/linha/")
    page = browser.get(other).content.decode()
    assert re.search(r'value="table"[^>]*checked', page)
    assert 'value="Schools"' in page
