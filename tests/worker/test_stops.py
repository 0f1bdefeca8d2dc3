import json

from mirror_mgr.worker.stops import ManualStops


def test_one_image():
    stops = ManualStops()
    stops.set("a", True)
    stops.set("a", True)
    assert stops.is_stopped("a") and not stops.is_stopped("b")
    stops.set("a", False)
    assert not stops.is_stopped("a")


def test_all_and_what_is_started_after_that():
    stops = ManualStops()
    stops.set("a", True)
    stops.set_all(True)
    assert stops.is_stopped("a") and stops.is_stopped("yet to come")
    stops.set("a", False)
    assert not stops.is_stopped("a") and stops.is_stopped("b")
    stops.set_all(False)
    assert not stops.is_stopped("b")


def test_they_are_handed_on():
    stops = ManualStops()
    stops.set_all(True)
    stops.set("a", False)
    taken = ManualStops.taken_over(json.loads(json.dumps(stops.handed_on())))
    assert taken.is_stopped("b") and not taken.is_stopped("a")
