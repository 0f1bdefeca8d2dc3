"""Operations are found in what an OSD of release 16 logs."""

import pytest

pytest.importorskip("ceph_argparse", reason="needs ceph-common")

from qa.operations import Operation, parse  # noqa: E402

PG = (
    "2026-11-23T13:10:18.379+0000 7f45edfee6c0 10 osd.0 pg_epoch: 17 pg[3.0( v 17'1 (0'0,17'1] "
    "lc 0'0 n=1 ps=[2~1]] "
)
END = " snapc 0=[] ondisk+read+known_if_redirected e17) v8 may_read -> read-ordered flags ondisk"


def line(request: str) -> str:
    return f"{PG}do_op osd_op(client.4137.0:8 3.0 3:161c3078:{request}{END}\n"


def operation(request: str) -> Operation:
    found = parse(line(request))
    assert found is not None
    return found


def test_an_operation_has_its_time_client_object_and_steps() -> None:
    found = operation("::rbd_header.1029b404ec06:head [create,call rbd.create in=59b]")
    assert found == (
        1795439418.379, 4137, "rbd_header.1029b404ec06", "create,call rbd.create in=59b"
    )


def test_an_object_of_a_namespace_and_a_snapshot_is_found() -> None:
    assert operation("ns::rbd_data.1029b404ec06.0000000000000001:1f [read 0~4096]").oid == (
        "rbd_data.1029b404ec06.0000000000000001"
    )


def test_the_kind_leaves_out_ids_and_lengths() -> None:
    request = "::rbd_mirror_snapshot.1029b404ec06.17.0:head [call rbd.get_size in=8b out=9b]"
    assert operation(request).kind == "rbd_mirror_snapshot.*.*.* [call rbd.get_size]"


def test_other_lines_tell_of_no_operation() -> None:
    assert parse(PG + "queue_async_read") is None
    assert parse("") is None
