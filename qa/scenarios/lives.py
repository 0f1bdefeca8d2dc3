"""What happens to an image at its primary happens to its copy: names, settings, trash, the end."""

from qa.scenarios.stage import Stage


def play(stage: Stage) -> None:
    """Follow one image through a life, and others to their ends."""
    primary, copy = stage.site_a, stage.site_b
    stage.create(primary, "disk")
    stage.snapshot(primary, "disk")
    stage.wait_equal(primary, copy, "disk")
    _change(stage)
    _end(stage)


def _change(stage: Stage) -> None:
    primary, copy = stage.site_a, stage.site_b
    spec = stage.spec("disk")
    primary.rbd("snap", "create", f"{spec}@monday")
    primary.rbd("snap", "protect", f"{spec}@monday")
    primary.rbd("image-meta", "set", spec, "owner", "accounting")
    primary.rbd("snap", "limit", "set", spec, "--limit", "7")
    primary.rbd("feature", "disable", spec, "fast-diff", "object-map")
    stage.write(primary, "disk")
    stage.snapshot(primary, "disk")
    stage.wait(lambda: "object-map" not in copy.rbd_json("info", spec)["features"], "disk")
    stage.wait_equal(primary, copy, "disk")
    assert copy.rbd("image-meta", "get", spec, "owner").strip() == "accounting"
    [snapshot] = copy.rbd_json("snap", "ls", spec)
    assert (snapshot["name"], snapshot["protected"]) == ("monday", "true"), snapshot
    stage.say("a protected snapshot, metadata and features came over")
    primary.rbd("feature", "enable", spec, "object-map", "fast-diff")
    primary.rbd("object-map", "rebuild", spec)
    primary.rbd("snap", "rename", f"{spec}@monday", f"{spec}@tuesday")
    primary.rbd("rename", spec, stage.spec("renamed"))
    stage.write(primary, "renamed")
    stage.snapshot(primary, "renamed")
    stage.wait(lambda: "renamed" in copy.rbd_json("ls", stage.pool), "renamed")
    stage.wait_equal(primary, copy, "renamed")
    spec = stage.spec("renamed")
    [snapshot] = copy.rbd_json("snap", "ls", spec)
    assert snapshot["name"] == "tuesday", snapshot
    stage.fail_over(primary, copy)
    copy.rbd("object-map", "rebuild", spec)  # as at the primary: new maps are invalid at first
    check = copy.run("rbd", "object-map", "check", spec)
    assert not check.returncode and not copy.rbd_json("info", spec)["flags"], check
    stage.fail_over(copy, primary)
    stage.say("so did new names, and an object map that was switched on again")


def _end(stage: Stage) -> None:
    primary, copy = stage.site_a, stage.site_b
    primary.rbd("snap", "unprotect", f"{stage.spec('renamed')}@tuesday")
    stage.create(primary, "binned")
    stage.create(primary, "kept")
    for name in ("binned", "kept"):
        stage.wait_equal(primary, copy, name)
    stage.command(primary, "image", "disable", stage.spec("renamed"))
    stage.wait(lambda: "renamed" not in copy.rbd_json("ls", stage.pool), "renamed")
    assert "renamed" in primary.rbd_json("ls", stage.pool)
    stage.say("where mirroring was disabled, the copy is gone and the image is not")
    primary.rbd("mirror", "image", "disable", stage.spec("binned"))
    primary.rbd("trash", "mv", stage.spec("binned"))
    stage.wait(lambda: "binned" not in copy.rbd_json("ls", stage.pool), "binned")
    assert "kept" in copy.rbd_json("ls", stage.pool)
    stage.say("so is the copy of an image in the trash; others are untouched")
