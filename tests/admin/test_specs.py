import pytest

from mirror_mgr.admin.specs import (
    ImageSpec,
    PoolSpec,
    parse_image,
    parse_pool,
    parse_whole_pool,
)
from mirror_mgr.errors import InvalidArgument


@pytest.mark.parametrize("text, pool, namespace", [
    ("p", "p", ""),
    ("p/ns", "p", "ns"),
    ("p/", "p", ""),
    ("p/a/b", "p/a", "b"),
    ("p q", "p q", ""),
    ("p@x", "p@x", ""),
    ("p\u00e9", "p\u00e9", ""),
    ("/x", "rbd", "x"),
    ("/", "rbd", ""),
    ("", "rbd", ""),
])
def test_pool(text: str, pool: str, namespace: str) -> None:
    assert parse_pool(text) == PoolSpec(pool, namespace)


@pytest.mark.parametrize("text", ["p/ns@x", "p/@", "p@x/n@"])
def test_no_namespace(text: str) -> None:
    with pytest.raises(InvalidArgument, match="namespace"):
        parse_pool(text)


@pytest.mark.parametrize("text", ["p/a/b", "p//x", "p@x", "@", "p@x/ns"])
def test_no_pool_to_change(text: str) -> None:
    with pytest.raises(InvalidArgument, match="pool"):
        parse_pool(text, strict=True)


def test_pools_to_change() -> None:
    for text in ("p", "p/ns", "p q", "", "/x", "p/"):
        assert parse_pool(text, strict=True) == parse_pool(text)


@pytest.mark.parametrize("text, spec", [
    ("p/x", ImageSpec("p", "", "x")),
    ("p/ns/x", ImageSpec("p", "ns", "x")),
    ("x", ImageSpec("rbd", "", "x")),
    ("p/a b", ImageSpec("p", "", "a b")),
    ("p/\u00e9", ImageSpec("p", "", "\u00e9")),
    ("p/a/b/c", ImageSpec("p", "a", "b/c")),
    ("p/", ImageSpec("rbd", "", "p/")),
    ("/x", ImageSpec("rbd", "", "/x")),
])
def test_image(text: str, spec: ImageSpec) -> None:
    assert parse_image(text) == spec


@pytest.mark.parametrize("text", ["", "p/x@snap", "p/ns/x@", "x@s", "p/x@a@b", "@"])
def test_no_image(text: str) -> None:
    with pytest.raises(InvalidArgument, match="image"):
        parse_image(text)


def test_peers_belong_to_a_whole_pool() -> None:
    assert parse_whole_pool("p") == PoolSpec("p")
    assert parse_whole_pool("") == PoolSpec("rbd")
    for text in ("p/ns", "p/", "/", "p@x"):
        with pytest.raises(InvalidArgument, match=f"'{text}'"):
            parse_whole_pool(text)


def test_specs_are_written_as_they_are_typed() -> None:
    assert str(PoolSpec("p")) == "p"
    assert str(parse_pool("p/ns")) == "p/ns"
    assert str(parse_image("p/ns/x")) == "p/ns/x"
    assert str(parse_image("p/x")) == "p/x"
