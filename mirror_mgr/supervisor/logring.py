"""What a worker says for the manager's log, bounded between two ticks."""

import collections
import threading
from typing import Deque, List, Tuple

from ..oneline import lines

MOST_LINES = 200
MOST_CHARACTERS = 2000

_Line = Tuple[str, str]


class LogRing:
    """Keeps the newest lines, and counts those that it lost.  Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: Deque[_Line] = collections.deque(maxlen=MOST_LINES)
        self._taken = 0

    def put(self, level: str, text: str) -> None:
        with self._lock:
            self._lines.append((level, lines(text[:MOST_CHARACTERS])))
            self._taken += 1

    def drain(self) -> List[_Line]:
        """Return (level, text) of each line since the last call, the loss as one of them."""
        with self._lock:
            kept, taken = list(self._lines), self._taken
            self._lines.clear()
            self._taken = 0
        if taken > len(kept):
            kept.insert(0, ('warning', '%d lines left out' % (taken - len(kept))))
        return kept
