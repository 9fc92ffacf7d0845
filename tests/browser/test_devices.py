"""*Sensores* in a browser: a door, a first message, what it means, the record it became, a broken one replaced."""

import re

import httpx

from malha.foundation.access.contracts import RoleName


def test_a_sensor_is_connected_by_somebody_who_reads_the_screen(server, page, new_tenant, sign_in, shoot, assert_accessible):
    tenant = new_tenant(name="Vila dos Sensores")
    sign_in(page, tenant, role=RoleName.TENANT_MANAGER)
    page.goto(f"{server}/{tenant.slug}/dados/sensores/")
    assert_accessible(page)
    page.get_by_role("link", name="Ligar sensores").first.click()
    page.get_by_label("Nome").fill("Estações da praia")
    page.get_by_label("MQTT: um broker que já tem").check()
    page.get_by_label("Computador").wait_for()
    page.get_by_label("Endereço HTTP").check()
    page.get_by_label("Computador").wait_for(state="hidden")
    assert_accessible(page)
    page.get_by_role("button", name="Abrir a porta").click()
    assert_accessible(page)
    shoot(page, "sensor-chave")
    address = page.locator("dd code").first.inner_text()
    key = page.locator("#chave").inner_text()
    page.get_by_role("link", name="Já a copiei").click()
    assert key not in page.content()
    address = re.sub(r"^https?://[^/]+", server, address)
    for n in range(3):
        sent = httpx.post(
            address,
            json={"deviceId": "boia-1", "temp": 18.5 + n, "hum": 60, "battery": 82, "rssi": -71, "time": 1795000000 + n},
            headers={"Authorization": f"Bearer {key}"},
        )
        assert sent.status_code == 202
    page.get_by_role("link", name="Sensores", exact=True).last.click()
    page.get_by_role("link", name="boia-1", exact=True).click()
    page.get_by_text("3 mensagens à espera de perfil").wait_for()
    assert_accessible(page)
    page.get_by_role("link", name="Escolher o perfil").click()
    page.get_by_label("De que fala o sensor?").select_option("WeatherObserved")
    page.get_by_role("button", name="Mostrar as propriedades").click()
    page.get_by_label("Nome do perfil").fill("Boia")
    page.get_by_label("O que temp quer dizer").select_option("temperature")
    page.get_by_label("O que hum quer dizer").select_option("relativeHumidity")
    assert_accessible(page)
    shoot(page, "sensor-perfil")
    page.get_by_role("button", name="Guardar e deixar entrar").click()
    page.get_by_text("3 mensagens que esperavam entraram.").wait_for()
    assert_accessible(page)
    shoot(page, "sensor")
    page.get_by_role("link", name="urn:malha:WeatherObserved:boia-1").click()
    page.get_by_text("20,5").first.wait_for()
    page.go_back()
    page.get_by_role("link", name="Trocar um avariado").click()
    page.get_by_label("Identificador do sensor novo").fill("boia-2")
    page.get_by_role("button", name="Trocar").click()
    page.get_by_text("continuam a mesma história").or_(page.get_by_text("continua a mesma história")).first.wait_for()
    page.goto(f"{server}/{tenant.slug}/dados/sensores/")
    page.get_by_role("link", name="boia-2", exact=True).wait_for()
    assert_accessible(page)
    shoot(page, "sensores")
