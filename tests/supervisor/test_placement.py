from mirror_mgr.supervisor.placement import assign

WORKERS = ['mirror-mgr.0', 'mirror-mgr.1', 'mirror-mgr.2', 'mirror-mgr.3']
POOLS = range(1, 401)


def owners(workers):
    return {pool: worker for worker, share in assign(POOLS, workers).items() for pool in share}


def test_one_alone_looks_after_every_pool():
    assert assign(POOLS, WORKERS[:1]) == {'mirror-mgr.0': None}


def test_nobody():
    assert assign(POOLS, []) == {}


def test_no_pools():
    assert assign([], WORKERS[:2]) == {'mirror-mgr.0': (), 'mirror-mgr.1': ()}


def test_each_pool_has_one_owner():
    shares = assign(POOLS, WORKERS)
    assert sorted(pool for share in shares.values() for pool in share) == list(POOLS)
    assert all(50 < len(share) < 150 for share in shares.values())


def test_a_pool_named_twice_counts_once():
    assert assign([3, 3], WORKERS[:2]) == assign([3], WORKERS[:2])


def test_the_order_of_workers_does_not_matter():
    assert owners(WORKERS) == owners(WORKERS[::-1])


def test_a_worker_more_moves_only_pools_to_it():
    before, after = owners(WORKERS[:3]), owners(WORKERS)
    moved = {pool for pool in POOLS if before[pool] != after[pool]}
    assert moved == {pool for pool in POOLS if after[pool] == WORKERS[3]}


def test_the_same_on_every_host():
    assert assign([1, 2, 3, 4, 5, 6], WORKERS[:2]) == PROVEN


PROVEN = {'mirror-mgr.0': (1, 2), 'mirror-mgr.1': (3, 4, 5, 6)}
