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
