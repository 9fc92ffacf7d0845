import pytest
from playwright.sync_api import expect
from tests.browser import board


@pytest.fixture
def town(new_tenant):
    tenant = new_tenant(name="Vila de Ensaio", extent=[board.WEST, board.SOUTH, board.EAST, board.NORTH], centre=[-8.9, 39.43])
    board.fill(tenant)
    return tenant


def test_it_works(page, server, town, sign_in, shoot, assert_accessible):
    """Raised by a live value, seen, taken, noted, ended."""
    sign_in(page, town)
    page.goto(f"{server}/{town.slug}/agir/alarmes/")
    expect(page.get_by_text("Nada a pedir alguém")).to_be_visible()
    assert board.speak(town, 2.31)
    page.evaluate("document.body.dispatchEvent(new CustomEvent('malha-alarm'))")  # what the stream says
    expect(page.locator(".alarm-figures")).to_contain_text("2,31\u00a0m > 2,00\u00a0m")
    expect(page).to_have_title("(1) Alarmes · Vila de Ensaio")
    shoot(page, "alarmes", sizes=("phone", "laptop"), themes=("light", "dark"))
    assert_accessible(page)
    page.get_by_role("button", name="Fico com isto").click()
    expect(page.get_by_role("heading", name="Ribeira — Ponte Velha")).to_be_visible()
    expect(page.get_by_text("Ana Ensaio ficou com isto às")).to_be_visible()
    expect(page.get_by_text("Fechar as passagens baixas")).to_be_visible()
    page.get_by_role("textbox", name="Nota").fill("Grades postas na passagem inferior.")
    page.get_by_role("button", name="Guardar nota").click()
    expect(page.get_by_text("Grades postas na passagem inferior.")).to_be_visible()
    shoot(page, "alarme", sizes=("phone", "laptop"), themes=("light", "dark"), full_page=True)
    assert_accessible(page)
    page.get_by_role("button", name="Terminar alarme").click()
    expect(page.locator("section[aria-labelledby=o-que] p").first).to_contain_text("Terminado")
    expect(page.locator(".story li")).to_have_count(4)
    page.goto(f"{server}/{town.slug}/agir/alarmes/?vista=terminados")
    expect(page.get_by_text("terminado por Ana Ensaio")).to_be_visible()


def test_make_a_rule_with_a_drawn_area(page, server, town, sign_in, shoot, assert_accessible):
    sign_in(page, town)
    page.goto(f"{server}/{town.slug}/agir/alarmes/regras/nova/")
    assert_accessible(page)
    page.get_by_role("link", name="Contentor de resíduos").click()
    page.get_by_label("Nome do alarme").fill("Contentores do centro")
    page.get_by_label("Medida").select_option("fillingLevel")
    page.locator("#id_bound").fill("0,9")
    page.get_by_label("Termina quando volta a").fill("0,95")
    page.get_by_label("Os que estão dentro de uma área que desenho").check()
    draw = page.get_by_role("button", name="Desenhar a área")
    draw.click(timeout=30_000)
    canvas = page.locator("malha-map canvas")
    box = canvas.bounding_box()
    for x, y in ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)):
        canvas.click(position={"x": box["width"] * x, "y": box["height"] * y})
    page.get_by_role("button", name="Terminar o desenho").click()
    assert "Polygon" in page.locator("#area-desenhada").input_value()
    page.get_by_role("button", name="Guardar alarme").click()
    expect(page.get_by_text("lado calmo do limite")).to_be_visible()  # 0,95 is beyond 0,9
    shoot(page, "regra", full_page=True)
    assert_accessible(page)
    page.get_by_label("Termina quando volta a").fill("0,7")
    page.get_by_role("button", name="Experimentar com o passado").click()
    expect(page.get_by_role("heading", name="Nos últimos 30 dias teria tocado")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Guardar alarme").click()
    expect(page.get_by_role("link", name="Contentores do centro")).to_be_visible()
    expect(page.get_by_text("área desenhada")).to_be_visible()
    shoot(page, "regras")
    assert_accessible(page)


def test_channels(page, server, town, sign_in, shoot, assert_accessible):
    sign_in(page, town)
    page.goto(f"{server}/{town.slug}/agir/alarmes/avisos/")
    page.get_by_label("Nome").fill("Piquete")
    page.get_by_label("Endereço").fill("piquete@exemplo.pt")
    page.get_by_role("button", name="Juntar canal").click()
    page.get_by_role("button", name="Enviar teste Piquete").click()
    expect(page.get_by_text("À espera")).to_be_visible()
    page.get_by_label("Como").select_option("webhook")
    page.get_by_label("Nome").fill("Dentro de casa")
    page.get_by_label("Endereço").fill("https://127.0.0.1/aviso")
    page.get_by_role("button", name="Juntar canal").click()
    expect(page.locator("#id_target_error")).to_contain_text("rede privada")
    shoot(page, "canais")
    assert_accessible(page)
