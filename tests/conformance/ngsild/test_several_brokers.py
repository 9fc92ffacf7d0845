"""GS CIM 009 §4.3.6 with real parties: the national platform and four municipal ones, each a process with a database of its own."""

import time

import httpx
import pytest

from malha.project.nodes import nodes

TYPE = "Medida"


def level(value, observed, **more):
    return {"type": "Property", "value": value, "observedAt": f"2026-01-01T{observed}:00Z", **more}


class Party:
    def __init__(self, node):
        self.node = node
        self.http = httpx.Client(base_url=f"{node.api}/", headers={"Authorization": f"Bearer {node.token}", "Accept": "application/json"}, timeout=30)

    def create(self, *entities):
        answer = self.http.post("entityOperations/upsert?local=true", json=list(entities))
        assert answer.status_code in {201, 204}, answer.text

    def register(self, other, **more):
        said = {
            "type": "ContextSourceRegistration", "endpoint": other.node.api, "information": [{"entities": [{"type": TYPE}]}],
            "operations": ["federationOps", "redirectionOps", "retrieveTemporal", "queryTemporal"],
            "contextSourceInfo": [{"key": "Authorization", "value": f"Bearer {other.node.token}"}],
        }  # fmt: skip
        made = self.http.post("csourceRegistrations", json={**said, **more})
        assert made.status_code == 201, made.text
        return made.headers["location"].rsplit("/", 1)[-1]

    def ask(self, **params):
        answer = self.http.get("entities", params={"type": TYPE, "options": "keyValues", **params})
        assert answer.status_code == 200, answer.text
        return {one["id"].rsplit(":", 1)[-1]: one for one in answer.json()}, [value.strip()[:3] for value in answer.headers.get_list("ngsild-warning")]


@pytest.mark.slow
def test_five_installations(tmp_path):
    names = ("pdp", "norte", "centro", "lento", "caido")
    with nodes(tmp_path, names, delays={"lento": 0.6}) as made:
        pdp, norte, centro, slow, dead = (Party(node) for node in made)
        for party in (norte, centro, slow, dead):
            party.create({"id": f"urn:x:{TYPE}:{party.node.name}", "type": TYPE, "nivel": level(1, "10:00"), "dono": party.node.name})
        norte.create({"id": f"urn:x:{TYPE}:comum", "type": TYPE, "nivel": level(1, "10:00"), "zona": "norte"})
        centro.create({"id": f"urn:x:{TYPE}:comum", "type": TYPE, "nivel": level(2, "11:00")})
        assert pdp.ask() == ({}, [])
        for party in (norte, centro, dead):
            pdp.register(party)
        patient = pdp.register(slow, management={"timeout": 200, "cooldown": 1})

        found, warnings = pdp.ask()
        assert (sorted(found), warnings) == (["caido", "centro", "comum", "norte"], ["199"])
        assert (found["comum"]["nivel"], found["comum"]["zona"]) == (2, "norte")
        assert pdp.ask(local="true") == ({}, [])

        pdp.http.patch(f"csourceRegistrations/{patient}", json={"management": {"timeout": 20_000}})
        found, warnings = pdp.ask(count="true")
        assert (sorted(found), warnings) == (["caido", "centro", "comum", "lento", "norte"], [])
        one = pdp.http.get(f"entities/urn:x:{TYPE}:lento?options=keyValues").json()
        assert one["dono"] == "lento"

        back = norte.register(pdp, information=[{"entities": [{"type": TYPE}]}])  # each looks at the other: no request goes round, and that is said
        found, warnings = pdp.ask()
        assert (sorted(found), warnings) == (["caido", "centro", "comum", "lento", "norte"], ["199"])
        name = pdp.http.get("info/sourceIdentity").json()["contextSourceAlias"]
        assert norte.http.patch(f"csourceRegistrations/{back}", json={"contextSourceAlias": name}).status_code == 204
        found, warnings = pdp.ask()
        assert (sorted(found), warnings) == (["caido", "centro", "comum", "lento", "norte"], [])
        assert "caido" in norte.ask()[0]

        dead.node.kill()
        deadline = time.monotonic() + 20
        while (answer := pdp.ask())[1] != ["199"] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert (sorted(answer[0]), answer[1]) == (["centro", "comum", "lento", "norte"], ["199"])

        moved = {"id": f"urn:x:{TYPE}:novo", "type": TYPE, "nivel": level(3, "12:00")}
        pdp.register(centro, mode="redirect", information=[{"entities": [{"type": TYPE, "id": moved["id"]}]}])
        assert pdp.http.post("entities", json=moved).status_code in {201, 207}
        assert "novo" in centro.ask(local="true")[0]
        assert "novo" not in pdp.ask(local="true")[0]
