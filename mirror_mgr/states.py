"""How a mirrored image stands at a site, as one word.

Status, health, panel and the workers' reports all use these words, and README.rst explains them to
users.
"""

PRIMARY = "primary"          # its data is written here
UP_TO_DATE = "up-to-date"    # the copy has all that the primary has mirror snapshots of
SYNCING = "syncing"          # a mirror snapshot is being copied
WAITING = "waiting"          # nothing is wrong, but something has to come first
DEMOTED = "demoted"          # primary at no site: it may be promoted at either
STOPPED = "stopped"          # an administrator stopped its replay
UNREPLAYED = "unreplayed"    # it is a copy, and no worker or daemon replays it
ERROR = "error"              # the last attempt failed; it is tried again
SPLIT_BRAIN = "split-brain"  # each side has changes that the other lacks

# The last is what is in the most need of a look.
ALL = (PRIMARY, UP_TO_DATE, SYNCING, WAITING, DEMOTED, STOPPED, UNREPLAYED, ERROR, SPLIT_BRAIN)


def entries_behind(count: int) -> str:
    """Return why a copy that follows a journal is not up to date."""
    return f"catching up, {count} {'entry' if count == 1 else 'entries'} behind"
