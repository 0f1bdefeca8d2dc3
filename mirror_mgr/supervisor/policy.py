"""When to start, stop and kill a worker.  Pure: values and a monotonic time in, values out."""

import dataclasses
import enum
from typing import Optional, Tuple

BACKOFF_FIRST = 1.0
BACKOFF_LONGEST = 60.0
FENCED_SECONDS = 10.0       # a worker that was well for this long and then fenced is no failure
HEALTHY_SECONDS = 60.0      # a worker that ran this long starts again with the first back-off
FAILING_COUNT = 3
FAILING_WINDOW = 300.0
SILENCE_SECONDS = 30.0      # without a word from it, a worker hangs
STOP_SECONDS = 5.0          # to end in order after being asked
MOST_WORKERS = 64


class Action(enum.Enum):
    NOTHING = 'nothing'
    START = 'start'
    ASK_TO_STOP = 'ask to stop'
    KILL = 'kill'


@dataclasses.dataclass(frozen=True)
class Life:
    """One worker, whose processes come and go.  All times are monotonic seconds.

    :ivar started: when the process that is alive was started; None when there is none
    :ivar healthy: when it was first heard of after it had connected
    :ivar heard: when it last said anything
    :ivar asked: when it was asked to stop
    :ivar starts: how many processes there have been
    :ivar streak: failures since it last ran for `HEALTHY_SECONDS`
    :ivar failures: when it failed, the last few
    """

    started: Optional[float] = None
    healthy: Optional[float] = None
    heard: Optional[float] = None
    asked: Optional[float] = None
    starts: int = 0
    streak: int = 0
    failures: Tuple[float, ...] = ()


def next_action(life: Life, wanted: bool, now: float, awake: float) -> Action:
    """Given a worker and whether its process should run (on), return what to do.

    `awake` is since when the manager itself has been running without a long pause: what a worker
    said during the pause may not have been read yet.
    """
    if life.started is None:
        return Action.START if wanted and now >= start_due(life) else Action.NOTHING
    if life.asked is not None:
        return Action.KILL if now - life.asked >= STOP_SECONDS else Action.NOTHING
    if not wanted:
        return Action.ASK_TO_STOP
    heard = life.started if life.heard is None else life.heard
    if now - max(heard, awake) >= SILENCE_SECONDS:
        return Action.KILL
    return Action.NOTHING


def start_due(life: Life) -> float:
    """Given a worker with no process, return when the next may start: 1, 2, 4 ... 60 s after."""
    if not life.streak:
        return 0.0
    return life.failures[-1] + min(BACKOFF_LONGEST, BACKOFF_FIRST * 2 ** min(life.streak - 1, 16))


def keeps_failing(life: Life, now: float) -> bool:
    recent = [when for when in life.failures if now - when <= FAILING_WINDOW]
    return len(recent) >= FAILING_COUNT


def wanted_count(option: int) -> int:
    """Given the module option ``workers``, return how many should run."""
    return max(0, min(MOST_WORKERS, option))


def after_start(life: Life, now: float) -> Life:
    return dataclasses.replace(life, started=now, healthy=None, heard=None, asked=None,
                               starts=life.starts + 1)


def after_word(life: Life, now: float, connected: bool) -> Life:
    """Given a worker that said something, and whether it has connected to its cluster."""
    healthy = life.healthy if life.healthy is not None or not connected else now
    return dataclasses.replace(life, heard=now, healthy=healthy)


def after_ask(life: Life, now: float) -> Life:
    return dataclasses.replace(life, asked=now)


def after_end(life: Life, now: float, fenced: bool = False) -> Life:
    """Given a worker whose process ended: a failure, unless it was asked to stop.

    Nor is it one that its client was blocklisted (`fenced`), unless that is done again and again.
    """
    ended = dataclasses.replace(life, started=None, healthy=None, heard=None, asked=None)
    if life.asked is not None:
        return dataclasses.replace(ended, streak=0)
    if fenced and life.healthy is not None and now - life.healthy >= FENCED_SECONDS:
        return dataclasses.replace(ended, streak=0)
    return after_failure(ended, now, life.healthy is not None
                         and now - life.healthy >= HEALTHY_SECONDS)


def after_failure(life: Life, now: float, ran_well: bool = False) -> Life:
    """Given a worker that failed, or could not even be started, count that."""
    return dataclasses.replace(
        life,
        streak=1 if ran_well else life.streak + 1,
        failures=(life.failures + (now,))[-FAILING_COUNT:])


def forgiven(life: Life) -> Life:
    """Given a worker that the administrator restarts: its failures count no more."""
    return dataclasses.replace(life, streak=0, failures=())
