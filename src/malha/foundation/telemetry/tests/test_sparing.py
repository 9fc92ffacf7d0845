from malha.foundation.telemetry.service import Sparing


def test_a_flood_fills_no_disk():
    now = [0.0]
    sparing = Sparing(2, 10.0, lambda: now[0])
    assert [sparing.passes() for _ in range(5)] == [0, 0, None, None, None]
    now[0] = 10.0
    assert [sparing.passes() for _ in range(3)] == [3, 0, None]
    now[0] = 20.0
    assert sparing.passes() == 1
