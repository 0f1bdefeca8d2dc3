import pytest

from mirror_mgr.cluster.connection import blocklist_address


@pytest.mark.parametrize("addresses, expected", [
    ("10.0.0.1:0/123", "10.0.0.1:0/123"),
    ("v2:10.0.0.1:0/123", "10.0.0.1:0/123"),
    ("v1:10.0.0.1:0/123", "10.0.0.1:0/123"),
    ("[v2:10.0.0.1:0/123,v1:10.0.0.1:0/123]", "10.0.0.1:0/123"),
    ("[v1:10.0.0.1:0/123]", "10.0.0.1:0/123"),
    ("[fd00::1]:0/123", "[fd00::1]:0/123"),
    ("v2:[fd00::1]:0/123", "[fd00::1]:0/123"),
    ("[v2:[fd00::1]:0/123,v1:[fd00::1]:0/123]", "[fd00::1]:0/123"),
    ("[v2:[fd00::1]:0/123]", "[fd00::1]:0/123"),
])
def test_a_client_is_blocklisted_by_its_address_alone(addresses, expected):
    """As librados tells its own addresses, and as `ceph osd blocklist add` takes one."""
    assert blocklist_address(addresses) == expected
