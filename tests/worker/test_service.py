import pytest

from mirror_mgr.worker.service import client_id, describe
from tests.worker.test_worker import FakePool


class Pool(FakePool):
    def counts(self, namespace):
        return {"image_assigned_count": len(namespace)}


@pytest.mark.parametrize("entity, shown", [
    ("client.rbd-mirror.b", "b"), ("client.rbd-mirror.b.c", "b.c"), ("client.admin", "admin")])
def test_a_worker_shows_itself_as_a_daemon_does(entity, shown):
    assert client_id(entity) == shown


def test_a_pool_in_the_service_map():
    assert describe(Pool(namespaces=("", "ns")), 4711) == {
        "name": "p", "callouts": {}, "instance_id": "4711", "leader": True,
        "image_assigned_count": 0, "namespaces": {"ns": {"image_assigned_count": 2}}}


def test_no_namespaces_no_key():
    assert "namespaces" not in describe(Pool(), 1)


def test_what_is_wrong_is_called_out():
    pool = Pool()
    pool.peer_error = "site 'b': no answer"
    pool.of_namespaces = {"ns": "not mirrored there", "": "nor there"}
    pool.leader.foreign = "client.4200 at 10.0.0.2:0/4200"
    try:
        found = describe(pool, 1)["callouts"]
    finally:
        pool.leader.foreign = None
    assert found["1"] == {"level": "error", "text": "site 'b': no answer"}
    assert found["2"] == {"level": "warning", "text": "namespace 'ns': not mirrored there"}
    assert found["3"] == {"level": "warning", "text": "default namespace: nor there"}
    assert found["4"]["level"] == "warning" and "client.4200" in found["4"]["text"]
