"""One worker process: its pipes, and the threads that keep them from ever blocking the manager."""

import os
import queue
import signal
import subprocess
import threading
import time
from typing import Callable, Optional

from ..errors import MalformedData
from ..worker.protocol import EXIT_FENCED, MAX_LINE, Message, decode, encode

MOST_UNSENT = 64             # messages to a worker that does not read
MOST_MALFORMED = 10          # lines that are no message: what runs there is no worker
MOST_LINES_A_SECOND = 2000   # a worker that says more would keep the manager busy
MOST_BYTES_A_SECOND = 2 << 20    # what is beyond waits in the pipe
STDERR_LINE = 2000
EXIT_SECONDS = 2.0           # from the end of its stdout to its own


class Process:
    """A started process.  It ends with its stdout: what is left then is killed.

    :ivar pid: process id
    :ivar status: that it ended with, negative for a signal; None before that
    :ivar ended: set when the process is gone and reaped, after `on_end` returned
    """

    def __init__(self, popen: 'subprocess.Popen[bytes]',
                 on_message: Callable[[Message], None],
                 on_stderr: Callable[[str], None],
                 on_end: Callable[[str], None]) -> None:
        """The callbacks are called on threads of this object; `on_end` with why it ended."""
        self.pid = popen.pid
        self.status: Optional[int] = None
        self.ended = threading.Event()
        self._popen = popen
        self._on_message = on_message
        self._on_stderr = on_stderr
        self._on_end = on_end
        self._unsent: 'queue.Queue[Optional[bytes]]' = queue.Queue(MOST_UNSENT)
        self._last_words = ''
        self._killed_for = ''
        self._reaped = False
        self._reaping = threading.Lock()
        self._threads = [
            threading.Thread(target=target, name='worker-%d-%s' % (self.pid, name), daemon=True)
            for name, target in (('stderr', self._read_stderr), ('stdout', self._read_stdout),
                                 ('stdin', self._write_stdin))]
        for thread in self._threads:
            thread.start()

    def send(self, message: Message) -> None:
        """Given a message, queue it.  A worker that leaves too many unread is killed."""
        try:
            self._unsent.put_nowait(encode(message))
        except queue.Full:
            self.kill('does not read its stdin')

    def kill(self, why: str) -> None:
        """Given the reason, end the process and whatever it started, at once."""
        with self._reaping:    # a number that was reaped may be another process by now
            if not self._reaped:
                self._killed_for = self._killed_for or why
                try:
                    os.killpg(self.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def join(self, seconds: float) -> None:
        """Wait for the threads of a process that has ended."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _write_stdin(self) -> None:
        stdin = self._popen.stdin
        assert stdin
        try:
            with stdin:
                for line in iter(self._unsent.get, None):
                    stdin.write(line)
                    stdin.flush()
        except OSError:
            pass    # the process ended, which the reader of its stdout notices

    def _read_stdout(self) -> None:
        try:
            self._read_messages()
        finally:
            if not self._exits_within(EXIT_SECONDS):
                self.kill('closed its stdout and did not end')
            status = self.status = self._reap()
            self._wake_writer()
            self._threads[0].join(1.0)    # for its last words, unless a child of it holds stderr
            self._on_end(self._why(status))
            self.ended.set()

    def _read_messages(self) -> None:
        stdout = self._popen.stdout
        assert stdout
        malformed = 0
        flood = _Flood()
        with stdout:
            for line in iter(lambda: stdout.readline(MAX_LINE + 1), b''):
                try:
                    self._on_message(decode(line))
                except MalformedData as error:
                    malformed += 1
                    if malformed >= MOST_MALFORMED or len(line) > MAX_LINE:
                        self.kill('does not speak the protocol: %s' % error)
                        return
                if flood.rises(len(line)):
                    self.kill('floods its stdout')
                    return

    def _read_stderr(self) -> None:
        stderr = self._popen.stderr
        assert stderr
        flood = _Flood()
        with stderr:
            for line in iter(lambda: stderr.readline(STDERR_LINE), b''):
                text = line.decode('utf-8', 'replace').rstrip()
                if text:
                    self._last_words = text
                    self._on_stderr(text)
                if flood.rises(len(line)):
                    self.kill('floods its stderr')
                    return

    def _exits_within(self, seconds: float) -> bool:
        """Wait without reaping, so that kill() can't meet a number used again."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                    return True
            except ChildProcessError:
                return True
            time.sleep(0.01)
        return False

    def _reap(self) -> int:
        self._exits_within(threading.TIMEOUT_MAX)
        with self._reaping:
            self._reaped = True
            return self._popen.wait()

    def _wake_writer(self) -> None:
        try:
            self._unsent.put_nowait(None)
        except queue.Full:
            pass    # then it is in a write, which fails now

    def _why(self, status: int) -> str:
        if self._killed_for and status == -signal.SIGKILL:
            return self._killed_for
        if status == EXIT_FENCED:
            return 'its client was blocklisted'
        if status < 0:
            return 'ended by signal %d' % -status
        return ': '.join(filter(None, ['ended with status %d' % status, self._last_words]))


class _Flood:
    """Counts lines, and tells when too many come in one second.

    What comes in few long ones takes no more than its share of the manager's time.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        self._now = now
        self._sleep = sleep
        self._lines = self._bytes = 0
        self._since = now()

    def rises(self, size: int) -> bool:
        """Given the size of a line that was dealt with."""
        self._lines += 1
        self._bytes += size
        if self._lines <= MOST_LINES_A_SECOND and self._bytes <= MOST_BYTES_A_SECOND:
            return False
        passed = self._now() - self._since
        if self._lines > MOST_LINES_A_SECOND and passed < 1.0:
            return True
        self._sleep(max(0.0, self._bytes / MOST_BYTES_A_SECOND - passed))
        self._lines, self._bytes, self._since = 0, 0, self._now()
        return False
