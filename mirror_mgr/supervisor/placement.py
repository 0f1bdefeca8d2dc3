"""Which worker looks after which pool.  Pure.

Only spreads work: what keeps two workers out of one image is locks in RADOS.
"""

import hashlib
from typing import Dict, Iterable, List, Optional, Sequence, Tuple


def assign(pools: Iterable[int], workers: Sequence[str]) -> Dict[str, Optional[Tuple[int, ...]]]:
    """Given the ids of pools and of workers, return the pools of each worker, in order.

    One pool belongs to exactly one worker (rendezvous hashing): a worker more or less moves only
    the pools that it gets or had.  A worker that is alone gets None, every pool, so that it need
    not wait for the manager when a pool is made.
    """
    if len(workers) == 1:
        return {workers[0]: None}
    shares: Dict[str, List[int]] = {worker: [] for worker in workers}
    if workers:
        for pool in sorted(set(pools)):
            shares[max(workers, key=lambda worker: _weight(worker, pool))].append(pool)
    return {worker: tuple(share) for worker, share in shares.items()}


def _weight(worker: str, pool: int) -> bytes:
    """The same on every host and in every run, unlike hash()."""
    return hashlib.blake2b(('%s/%d' % (worker, pool)).encode(), digest_size=8).digest()
