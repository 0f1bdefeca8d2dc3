"""The primary site is lost, the other takes over by force; when it is back, it is made the copy."""

import time

from qa.scenarios.stage import Stage
from qa.waiting import wait_for

UNREACHABLE = "MIRROR_MGR_PEER_UNREACHABLE"


def play(stage: Stage, images: int = 3) -> None:
    """Lose site-a with writes that no snapshot has, go on at site-b, and get back."""
    names = [f"disk{number}" for number in range(images)]
    kept = {}
    for name in names:
        stage.create(stage.site_a, name)
        stage.write(stage.site_a, name)
        stage.snapshot(stage.site_a, name)
        stage.wait_equal(stage.site_a, stage.site_b, name)
        kept[name] = stage.digest(stage.site_a, name)
        stage.write(stage.site_a, name)
    stage.site_a.lose()
    try:
        refused = stage.site_b.run("ceph", "rbd-mirror", "pool", "promote", stage.pool)
        assert refused.returncode and "--force" in refused.stderr, refused
        start = time.monotonic()
        stage.command(stage.site_b, "pool", "promote", stage.pool, "--force")
        stage.say(f"{images} images were promoted by force in {time.monotonic() - start:.1f} s "
                  "with their primary site dead")
        for name in names:
            assert stage.digest(stage.site_b, name) == kept[name], name
            stage.write(stage.site_b, name)
        stage.say("each was exactly its last complete mirror snapshot, and takes writes")
        wait_for(lambda: UNREACHABLE in stage.site_b.ceph("health", "detail"),
                 lambda: stage.site_b.ceph("health", "detail"))
        stage.say("the health of the site that is left names the pool whose peer is gone")
    finally:
        stage.site_a.restore()
    before = {name: stage.digest(stage.site_a, name) for name in names}
    for name in names:
        stage.snapshot(stage.site_b, name)
    # Clients that died with the site count for half a minute more.
    wait_for(lambda: stage.try_command(stage.site_a, "pool", "demote", stage.pool))
    wait_for(lambda: all("split-brain" in str(stage.status(stage.site_a, name)) for name in names),
             lambda: stage.site_a.ceph("rbd-mirror", "pool", "status", stage.pool, "--detail"))
    assert before == {name: stage.digest(stage.site_a, name) for name in names}
    stage.say("the site that is back is told of the split-brain, and nothing was overwritten")
    for name in names:
        stage.command(stage.site_a, "image", "resync", stage.spec(name))
    for name in names:
        stage.wait_equal(stage.site_b, stage.site_a, name)
    stage.say("a resync made its images copies of the new primaries")
    stage.fail_over(stage.site_b, stage.site_a)
    for name in names:
        stage.wait_equal(stage.site_a, stage.site_b, name)
    stage.say("and an orderly failover brought them home")
