import pytest

from mirror_mgr.admin.names import require_free
from mirror_mgr.admin.specs import parse_image
from mirror_mgr.errors import InvalidArgument
from mirror_mgr.worker.protocol import ImageReport


def test_an_image_that_stands_in_the_way_of_a_copy() -> None:
    with pytest.raises(InvalidArgument, match="rbd mv p/ns/x p/ns/NEWNAME"):
        require_free(parse_image("p/ns/x"), [ImageReport("p/ns/x", "g", "error", "taken")])


@pytest.mark.parametrize("report", [
    ImageReport("p/y", "g", "error", "no space"),
    ImageReport("p/ns/x", "g", "error"),
    ImageReport("p/x", "g", "syncing"),
])
def test_one_that_does_not(report: ImageReport) -> None:
    require_free(parse_image("p/x"), [report])
