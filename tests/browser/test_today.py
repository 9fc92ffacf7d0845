import pytest
from playwright.sync_api import expect
from tests.browser import board


@pytest.fixture
def town(new_tenant):
    tenant = new_tenant(name="Vila de Ensaio", extent=[board.WEST, board.SOUTH, board.EAST, board.NORTH], centre=[-8.9, 39.43])
    board.fill(tenant)
    return tenant


def test_it_works(page, server, town, sign_in, shoot, assert_accessible):
    board.speak(town, 2.31)
    sign_in(page, town)
    page.goto(f"{server}/{town.slug}/")
    expect(page.get_by_role("heading", name="Hoje", level=1)).to_be_visible()
    alarms = page.locator("#alarmes-hoje")
    expect(alarms.get_by_text("Ribeira — Ponte Velha")).to_be_visible()
    expect(alarms.get_by_text("2,31 m > 2,00 m")).to_be_visible()
    cards = page.locator(".indicator-grid .indicator")
    expect(page.locator(".indicator-grid .indicator[aria-busy]")).to_have_count(0, timeout=30_000)
    assert cards.count() == 8
    expect(page.get_by_role("article").filter(has_text="Ribeiras, nível mais alto")).to_contain_text("2,31")
    expect(page.locator("malha-map[data-state=drawn]")).to_be_visible(timeout=30_000)
    expect(page.locator("malha-chart[data-state=drawn]")).to_be_visible(timeout=30_000)
    shoot(page, "hoje", sizes=("phone", "laptop"), themes=("light", "dark"))
    shoot(page, "hoje", sizes=("wall",))
    assert_accessible(page)


def test_map_and_chart_have_a_table_twin(page, server, town, sign_in):
    sign_in(page, town)
    page.goto(f"{server}/{town.slug}/")
    expect(page.locator("malha-map[data-state=drawn]")).to_be_visible(timeout=30_000)
    page.locator("malha-map [data-map-table] summary").click()
    expect(page.locator("malha-map").get_by_role("link", name="Ponte Velha")).to_be_visible()
    page.locator("malha-chart summary").click()
    expect(page.locator("malha-chart table tbody tr").first).to_be_visible()


def test_legend_filters(page, server, town, sign_in, shoot, assert_accessible):
    sign_in(page, town)
    page.goto(f"{server}/{town.slug}/mapa/")
    expect(page.locator("malha-map[data-state=drawn]")).to_be_visible(timeout=30_000)
    page.locator("malha-map [data-map-table] summary").click()
    waste = page.locator("malha-map table").filter(has=page.locator("caption", has_text="Contentores"))
    expect(waste.locator("caption")).to_have_text("Contentores (40)")
    page.get_by_label("até 80 %").uncheck()
    expect(waste.locator("caption")).not_to_have_text("Contentores (40)")
    page.get_by_role("checkbox", name="Contentores", exact=True).uncheck()
    expect(waste).to_have_count(0)
    shoot(page, "mapa", sizes=("phone", "laptop"))
    assert_accessible(page)


def test_a_new_tenant_sees_five_steps(page, server, new_tenant, sign_in, shoot, assert_accessible):
    tenant = new_tenant(name="Vila Nova")
    sign_in(page, tenant)
    page.goto(f"{server}/{tenant.slug}/")
    expect(page.get_by_role("heading", name="Vila Nova: primeiro dia")).to_be_visible()
    expect(page.locator(".steps li")).to_have_count(5)
    expect(page.get_by_text("0 de 5 passos feitos")).to_be_visible()
    shoot(page, "primeiro-dia", sizes=("phone", "laptop"))
    assert_accessible(page)
    page.goto(f"{server}/{tenant.slug}/gestao/pacotes/")
    page.get_by_role("button", name="Ligar Resíduos").click()
    expect(page.get_by_text("Pacote ligado")).to_be_visible()
    shoot(page, "pacotes")
    assert_accessible(page)
    page.goto(f"{server}/{tenant.slug}/primeiro-dia/")
    expect(page.get_by_text("1 de 5 passos feitos")).to_be_visible()  # its alarms are not one's own yet


def test_without_a_sign_of_life_a_band_says_so(page, server, town, sign_in):
    sign_in(page, town)
    page.clock.install()
    page.route("**/events/stream", lambda route: route.abort())
    page.goto(f"{server}/{town.slug}/")
    band = page.locator("malha-live")
    expect(band).to_be_hidden()
    page.clock.fast_forward(20_000)
    expect(band).to_be_visible()
    expect(band).to_contain_text("Sem ligação desde as")


def test_a_record_shows_its_history(page, server, town, sign_in, shoot, assert_accessible):
    sign_in(page, town)
    page.goto(f"{server}/{town.slug}/dados/entidades/FloodMonitoring/")
    shoot(page, "registos")
    assert_accessible(page)
    page.get_by_role("link", name="Ponte Velha").click()
    expect(page.get_by_role("heading", name="Ponte Velha", level=1)).to_be_visible()
    expect(page.locator("malha-chart[data-state=drawn]")).to_be_visible(timeout=30_000)
    shoot(page, "registo")
    assert_accessible(page)
