"""What logs and crashes tell of trouble that is not Ceph's own."""

import json
import re
from pathlib import Path
from typing import Iterator

_TRACEBACK = "Traceback (most recent call last)"
_SIGNS = (_TRACEBACK, "internal error", "*** Caught signal")
_NEXT_LINE = re.compile(r"^\d{4}-\d\d-\d\dT", re.MULTILINE)


def trouble(text: str, of_manager: bool) -> Iterator[str]:
    """The places of a log that tell of trouble, but those of Ceph's own modules in a manager.

    Modules of Ceph 20 fail at each start of one.
    """
    for sign in _SIGNS:
        for found in re.finditer(re.escape(sign), text):
            at = found.start()
            end = _NEXT_LINE.search(text, at)
            whole = text[at:end.start() if end else len(text)]
            if not of_manager or sign != _TRACEBACK or "mirror_mgr" in whole:
                yield text[max(0, at - 300):at + 2500]


def is_of_a_stock_module(crash: Path) -> bool:
    """Whether the `meta` of a crash tells of one of Ceph's own modules."""
    try:
        return json.loads(crash.read_text()).get("mgr_module", "mirror_mgr") != "mirror_mgr"
    except (OSError, ValueError):
        return False
