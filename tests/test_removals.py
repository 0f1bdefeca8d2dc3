"""No place removes anything but those that docs/removal.rst tells of."""

import ast
from pathlib import Path
from typing import Iterator

PACKAGE = Path(__file__).parents[1] / "mirror_mgr"

# What takes something away from a cluster, as it is called.
REMOVES = {
    "remove_object", "remove_snapshot", "remove_snap_id", "remove_snapshot_objects",
    "remove_superfluous", "remove_mapless_snapshot", "remove_snap", "remove_snap_by_id",
    "trash_remove", "dir_remove_image", "mirror_image_remove", "roll_back",
    "rollback_self_managed_snap", "remove_self_managed_snap", "client_unregister",
    "remove_omap_keys", "metadata_remove", "snapshot_remove", "parent_detach", "move_to_trash",
}

TOLD = {
    "cluster/pool.py",
    "replay/abandon.py", "replay/children.py", "replay/create.py", "replay/image.py",
    "replay/journal/bootstrap.py", "replay/journal/operations.py", "replay/journal/store.py",
    "replay/journal/target.py", "replay/naming.py", "replay/objects.py", "replay/restore.py",
    "replay/resync.py", "replay/rollback.py", "replay/snapshot.py", "replay/state.py",
    "replay/trash.py", "replay/unlink.py", "worker/image.py", "worker/journal_image.py",
    "worker/missing.py",
}


def removing(path: Path) -> Iterator[str]:
    """The removals that a module calls for."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
        whose = ast.unparse(node.func)
        if name in REMOVES or name == "remove" and (
                "pool." in whose or "data." in whose or "Operation" in whose):
            yield name


def test_only_what_is_told_of_removes() -> None:
    found = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")
             if any(removing(path))}
    assert found <= TOLD, f"tell of them in docs/removal.rst: {sorted(found - TOLD)}"
