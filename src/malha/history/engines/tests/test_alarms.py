"""What takes too long is interrupted, once, and nothing else is."""

import threading
import time

from malha.history.engines.alarms import Alarms


def _fails():
    raise RuntimeError("ended meanwhile")


def test_only_what_takes_too_long_is_rung():
    alarms, rung = Alarms(), list[str]()
    late = threading.Event()
    with alarms.after(30, lambda: rung.append("far")):
        with alarms.after(0.05, late.set):
            assert late.wait(5)
        with alarms.after(0.2, lambda: rung.append("off")):
            pass
        time.sleep(0.4)
    assert rung == []


def test_many_at_once_each_ring_once_though_one_fails():
    alarms, rung = Alarms(), list[int]()
    done = threading.Barrier(21, timeout=20)

    def one(n):
        with alarms.after(0.02 * (n % 5 + 1), _fails if n == 7 else lambda: rung.append(n)):
            time.sleep(0.5)
        done.wait()

    for n in range(20):
        threading.Thread(target=one, args=(n,), daemon=True).start()
    done.wait()
    assert sorted(rung) == [n for n in range(20) if n != 7]
    again = threading.Event()
    with alarms.after(0.01, again.set):
        assert again.wait(5)
