from malha.context.broker import door
from malha.context.broker.quota import Quota


def test_it_works():
    now = [0.0]
    quota = Quota(5, lambda: now[0])
    assert [quota.wait_seconds(1) for _ in range(10)] == [0.0] * 10  # two seconds' worth at once
    assert quota.wait_seconds(1) == 0.2
    now[0] = 0.2
    assert quota.wait_seconds(1) == 0.0
    assert quota.wait_seconds(1) > 0


def test_one_tenant_leaves_the_others_theirs():
    quota = Quota(1, lambda: 0.0)
    while not quota.wait_seconds(1):
        pass
    assert quota.wait_seconds(2) == 0.0


def test_without_a_rate_nothing_is_counted():
    quota = Quota(0)
    assert all(quota.wait_seconds(1) == 0.0 for _ in range(1000))


def test_a_flood_is_told_when_to_come_back(client, new_tenant, monkeypatch):
    monkeypatch.setattr(door, "_quota", lambda: quota)
    quota = Quota(1, lambda: 0.0)
    flooding, calm = client.of(new_tenant()), client.of(new_tenant())
    answers = [flooding.get("types") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert answers[-1].headers["Retry-After"] == "1"
    assert calm.get("types").status_code == 200
