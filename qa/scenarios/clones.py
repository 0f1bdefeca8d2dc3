"""Clones of both formats and a clone of a clone, mirrored and failed over with their parent."""

from typing import Dict

from qa.images import opened
from qa.rounds import Rounds
from qa.scenarios.stage import Stage
from qa.sites import Site

FAMILY = ("golden", "old-style", "new-style", "grandchild")


def play(stage: Stage) -> None:
    """Write to all of them, flatten one, and change sides twice."""
    primary, copy = stage.site_a, stage.site_b
    _make(stage, primary)
    for name in FAMILY:
        stage.wait_equal(primary, copy, name)
    stage.say("a parent, its clones and a clone of a clone are equal at both sites")
    _change(stage, primary)
    _compare(stage, primary, copy)
    children = sorted(f"{c['pool']}/{c['image']}" for c in copy.rbd_json(
        "children", f"{stage.spec('golden')}@base"))
    assert children == [stage.spec("new-style"), stage.spec("old-style")], children
    stage.say("so they are after writes, discards and resizes; each copy is a clone of its "
              "parent's copy")
    for old, new in ((primary, copy), (copy, primary)):
        stage.fail_over(old, new)
        _change(stage, new)
        _compare(stage, new, old)
    stage.say("the family failed over as a whole, was written to there, and came back")
    primary.rbd("flatten", stage.spec("new-style"))
    stage.snapshot(primary, "new-style")
    stage.wait(lambda: "parent" not in copy.rbd_json("info", stage.spec("new-style")), "new-style")
    _compare(stage, primary, copy)
    stage.say("one was flattened, and so was its copy")


def _make(stage: Stage, site: Site) -> None:
    stage.create(site, "golden", 16)
    stage.write(site, "golden", 30)
    site.rbd("snap", "create", f"{stage.spec('golden')}@base")
    site.rbd("snap", "protect", f"{stage.spec('golden')}@base")
    stage.snapshot(site, "golden")
    for name, parent, form in (("old-style", "golden", "1"), ("new-style", "golden", "2"),
                               ("grandchild", "new-style", "2")):
        if parent != "golden":
            site.rbd("snap", "create", f"{stage.spec(parent)}@base")
            stage.snapshot(site, parent)
        site.rbd("clone", f"{stage.spec(parent)}@base", stage.spec(name),
                 "--rbd-default-clone-format", form)
        stage.command(site, "image", "enable", stage.spec(name), "snapshot")


def _change(stage: Stage, site: Site) -> None:
    for name in FAMILY:
        stage.write(site, name, 5)
        with opened(site, stage.pool, name, read_only=False) as image:
            for _ in range(3):
                offset = stage.rng.randrange(image.size())
                image.discard(offset, min(stage.rng.randint(1, 5 << 20), image.size() - offset))
            if name != "golden":
                image.resize(stage.rng.randrange(6, 20) << 20)
                image.create_snap(f"s{stage.rng.randrange(10**6)}")
        stage.snapshot(site, name)


def _compare(stage: Stage, primary: Site, copy: Site) -> None:
    for name in FAMILY:
        stage.wait_equal(primary, copy, name)
        theirs, ours = (_snapshots(stage, site, name) for site in (primary, copy))
        assert theirs == ours, (name, theirs, ours)


def _snapshots(stage: Stage, site: Site, name: str) -> Dict[str, str]:
    with opened(site, stage.pool, name) as image:
        return Rounds.user_digests(image)
