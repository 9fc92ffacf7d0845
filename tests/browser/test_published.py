"""The page of an open dataset in a browser, without signing in: its map holds every thing that was published."""

from playwright.sync_api import expect
from tests.browser import board

from malha.foundation.tenancy import service as tenancy
from malha.share.opendata import service as opendata


def test_the_map_of_a_dataset_draws_all_of_it(page, server, new_tenant, shoot, assert_accessible):
    town = new_tenant(name="Vila Aberta", extent=[board.WEST, board.SOUTH, board.EAST, board.NORTH], centre=[-8.9, 39.43])
    board.fill(town)
    with tenancy.scope(town.id):
        row = opendata.begin(town, "WasteContainer", person_id=None, title="Contentores")
        row.description_pt, row.contact_name, row.contact_email = "Onde estão os contentores.", "Câmara", "dados@vila.example"
        opendata.publish(town, row, person_id=None, actor="person:1")
    page.goto(f"{server}/{town.slug}/dados-abertos/{row.slug}/")
    expect(page.locator("malha-map[data-state=drawn]")).to_be_visible(timeout=30_000)
    page.locator("malha-map [data-map-table] summary").click()
    expect(page.locator("malha-map table caption")).to_contain_text("(40)")
    shoot(page, "dados-abertos-mapa", sizes=("phone", "laptop"))
    assert_accessible(page)
