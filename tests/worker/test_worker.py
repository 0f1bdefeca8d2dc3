"""The process as a whole: what it tells, what it looks after, how it ends blocklisted."""

import asyncio

import pytest

from mirror_mgr import states
from mirror_mgr.errors import DeadlineExceeded, Fenced, InvalidArgument
from mirror_mgr.replay.trash import Sweep
from mirror_mgr.wire.constants import MirrorMode, TrashSource
from mirror_mgr.wire.header import MIRRORING
from mirror_mgr.wire.trash import TrashEntry
from mirror_mgr.worker import protocol, status
from mirror_mgr.worker import worker as worker_module
from mirror_mgr.worker.image import Mirrored
from mirror_mgr.worker.missing import Kept
from mirror_mgr.worker.protocol import Heartbeat, WorkerHello
from mirror_mgr.worker.removal_rules import Record
from mirror_mgr.worker.status import SyncHistory
from mirror_mgr.worker.worker import Worker, image_report, image_reports, pool_reports
from tests.worker.sites import FakeConnection, mirroring

MIB = 1 << 20


class FakeReplayer:
    def __init__(self, found, name="i", global_id="g"):
        self.name = name
        self.mirrored = Mirrored(global_id, "remote-id", None, None)
        self.status = found
        self.since = 1.5
        self.syncing = None
        self.copied_ns = None
        self.is_current = False
        self.history = SyncHistory()
        self.woken = 0

    def wake(self):
        self.woken += 1


class FakeLeader:
    leading, foreign = True, None


class FakePool:
    def __init__(self, *replayers, namespaces=("",)):
        self.pool_id = 2
        self.name = "p"
        self.leader = FakeLeader()
        self.peer_error = None
        self.namespaces = {name: None for name in namespaces}
        self.of_namespaces = {}
        self.all = list(replayers)
        self.of_missing = []
        self.sweep = Sweep()
        self.refreshed = 0

    def kept(self):
        return self.of_missing

    def troubles(self):
        return self.of_namespaces

    def deletions(self, namespace):
        return self.sweep

    def replayers(self):
        return [(item if isinstance(item, tuple) else ("", item)) for item in self.all]

    def refresh(self):
        self.refreshed += 1


def idle():
    return status.replaying(SyncHistory(), 5, 5, False)


class TestReports:
    def report(self, found, namespace="", **more):
        return image_report(FakePool(), namespace, FakeReplayer(found, **more))

    def test_an_image_that_is_replayed_needs_no_reason(self):
        found = self.report(idle())
        assert (found.spec, found.global_id, found.state) == ("p/i", "g", "up-to-date")
        assert (found.reason, found.since, found.copied, found.sync) == ("", 1.5, None, None)

    def test_an_image_in_a_namespace(self):
        assert self.report(idle(), "ns").spec == "p/ns/i"

    def test_an_image_whose_name_is_not_known_yet(self):
        assert self.report(status.starting(), name="").spec == "p/remote-id"

    def test_what_is_wrong_has_a_reason(self):
        for split_brain, state in ((True, states.SPLIT_BRAIN), (False, states.ERROR)):
            found = self.report(status.failed("gone", split_brain))
            assert (found.state, found.reason) == (state, "gone")

    def test_a_sync_in_figures(self):
        replayer = FakeReplayer(idle())
        replayer.copied_ns = 2_500_000_000
        replayer.syncing = status.Syncing(7, 9, 25.0, 100, 400, 50.0, 6.0)
        found = image_report(FakePool(), "", replayer)
        assert found.copied == 2.5
        assert found.sync == protocol.SyncReport(7, 25.0, 100, 400, 50.0, 6.0)

    def test_a_pool_counts_its_images_by_state(self):
        pool = FakePool(FakeReplayer(idle()), FakeReplayer(idle()),
                        FakeReplayer(status.failed("x")), ("ns", FakeReplayer(idle())),
                        namespaces=("", "ns", "empty"))
        pool.peer_error = "no answer"
        found = {report.name: report for report in pool_reports(pool)}
        assert found["p"].images == {"total": 3, "up-to-date": 2, "error": 1}
        assert found["p/ns"].images == {"total": 1, "up-to-date": 1}
        assert found["p/empty"].images == {"total": 0}
        assert {(r.leader, r.peer_error, r.id) for r in found.values()} == {(True, "no answer", 2)}

    def test_a_pool_that_is_not_replayed_is_told_of(self):
        [report] = pool_reports(FakePool(namespaces=()))
        assert (report.name, report.images) == ("p", {"total": 0})

    def test_each_namespace_has_its_own_trouble(self):
        pool = FakePool(namespaces=("", "a"))
        pool.of_namespaces = {"a": "not mirrored there", "b": "paired twice"}
        assert [(r.name, r.peer_error) for r in pool_reports(pool)] == [
            ("p", None), ("p/a", "not mirrored there"), ("p/b", "paired twice")]


    def test_copies_whose_primary_is_gone(self):
        """Held ones count among all; those that go last are named, as many as fit."""
        pool = FakePool()
        for number in range(8):
            record = Record(1000.0, number != 7, f"i{number}")
            pool.of_missing.append(("", Kept(
                f"g{number}", f"1{number}", record, 2000.0 + number,
                status.primary_gone(1000.0, 2000.0, record.held, "p"))))
        pool.sweep.kept = {f"2{number}": TrashEntry(
            TrashSource.MIRRORING, f"t{number}", 0, (3000 + number) * 10**9) for number in range(5)}
        [report] = pool_reports(pool)
        assert (report.removed_total, report.held_total) == (12, 7)
        assert len(report.removed) == protocol.REMOVED_PER_POOL
        assert report.removed[0] == protocol.RemovedReport("t4", "24", 3004.0)
        assert report.removed[-1].held and "i7" not in [one.name for one in report.removed]
        told = image_reports(pool)
        assert [(r.spec, r.state) for r in told[-2:]] == [
            ("p/i6", states.ERROR), ("p/i7", states.WAITING)]


def with_worker(body, options=None):
    async def main():
        return await body(Worker(None, "client.rbd-mirror.a", lambda message: None, options or {}))
    return asyncio.run(main())


class TestHeartbeat:
    def beat(self, worker):
        beat = worker._heartbeat()
        protocol.encode(beat)
        return beat

    def test_images_are_told_of_when_they_change(self):
        async def body(worker):
            one, two = FakeReplayer(idle(), global_id="1"), FakeReplayer(idle(), global_id="2")
            pool = FakePool(one, two)
            worker._pools[2] = (pool, None)
            assert {r.global_id for r in self.beat(worker).images} == {"1", "2"}
            assert self.beat(worker).images == ()
            two.status = status.failed("x")
            assert [r.global_id for r in self.beat(worker).images] == ["2"]
            two.syncing = status.Syncing(7, 9, 50.0)
            assert [r.sync.percent for r in self.beat(worker).images] == [50.0]
            one.is_current, one.copied_ns = True, 1
            assert [r.current for r in self.beat(worker).images] == [True]
            one.copied_ns = 2
            assert self.beat(worker).images == ()
            pool.all.remove(one)
            found = self.beat(worker)
            assert (found.images, found.removed) == ((), ("1",))
            assert self.beat(worker).removed == ()
        with_worker(body)

    def test_more_than_fit_follow_in_the_next(self):
        async def body(worker):
            count = 2 * protocol.IMAGES_PER_HEARTBEAT + 1
            worker._pools[2] = (FakePool(*(
                FakeReplayer(idle(), global_id=str(n)) for n in range(count))), None)
            sizes = [len(self.beat(worker).images) for _ in range(4)]
            assert sizes == [protocol.IMAGES_PER_HEARTBEAT] * 2 + [1, 0]
        with_worker(body)

    def test_counters(self):
        async def body(worker):
            replayer = FakeReplayer(idle())
            replayer.history.add(100, 1.0)
            replayer.history.add(11, 1.0)
            worker._pools[2] = (FakePool(replayer), None)
            await worker.budget.acquire(7)
            found = self.beat(worker).counters
            assert (found["bytes_copied"], found["syncs"], found["bytes_in_flight"]) == (111, 2, 7)
            assert all(isinstance(value, int) for value in found.values())
            assert 5 * MIB < found["rss_bytes"] < 4096 * MIB
        with_worker(body)


class TestOptions:
    def test_defaults(self):
        async def body(worker):
            assert worker.budget.limit == worker_module._BYTES_IN_FLIGHT_MIB * MIB
            assert worker._gates.syncing.size == worker_module._CONCURRENT_SYNCS
        with_worker(body)

    def test_those_given_at_the_start(self):
        async def body(worker):
            assert (worker.budget.limit, worker._gates.syncing.size) == (8 * MIB, 3)
        with_worker(body, {"bytes_in_flight_mib": 8, "concurrent_syncs": 3, "unheard_of": 1})

    def test_what_is_not_named_keeps_its_value(self):
        async def body(worker):
            worker.set_options({"concurrent_syncs": 2})
            assert (worker.budget.limit, worker._gates.syncing.size) == (8 * MIB, 2)
        with_worker(body, {"bytes_in_flight_mib": 8})

    def test_pools_that_are_replayed_hear_of_it(self):
        async def body(worker):
            gates = worker._gates
            worker.set_options({"concurrent_syncs": 2})
            assert gates.syncing.size == 2
        with_worker(body)

    def test_news_is_looked_at_at_once(self):
        async def body(worker):
            one, other = FakeReplayer(idle()), FakeReplayer(idle(), global_id="h")
            pool = FakePool(one, other)
            worker._pools[2] = (pool, None)
            worker.refresh()
            assert worker._news.is_set() and pool.refreshed == 1
            worker.refresh(["h", "unknown"])
            assert (one.woken, other.woken) == (0, 1)
        with_worker(body)


class FakeSite(FakeConnection):
    """The own site, with the pools p (2), q (3) and r (4), of which r is not mirrored."""

    def __init__(self, instance_id=1):
        super().__init__("local")
        self.instance_id = instance_id
        self.address = f"10.0.0.1:0/{instance_id}"
        self.names = {2: "p", 3: "q", 4: "r", 5: "never mirrored"}
        self.pool(2).omap_of[MIRRORING] = mirroring()
        self.pool(3).omap_of[MIRRORING] = mirroring(MirrorMode.POOL)
        self.pool(4).omap_of[MIRRORING] = mirroring(MirrorMode.DISABLED)


class TestPools:
    def mirrored(self, site=None):
        async def body(worker):
            return await worker._mirrored_pools(site or FakeSite())
        return with_worker(body)

    def test_those_that_are_mirrored(self):
        assert self.mirrored() == {2: "p", 3: "q"}

    def test_one_that_does_not_answer_hides_no_other(self):
        site = FakeSite()
        site.pool(2).error = DeadlineExceeded("x")
        assert self.mirrored(site=site) == {3: "q"}

    def test_one_that_answers_late_holds_up_no_other(self, monkeypatch):
        monkeypatch.setattr(worker_module, "_ANSWER_SECONDS", 0)
        pools = []

        async def body(worker):
            answer = asyncio.Event()

            async def is_mirrored(local, pool_id):
                pools.append(pool_id)
                if pool_id == 2:
                    await answer.wait()
                return True

            worker._is_mirrored = is_mirrored
            worker._pools[5] = (FakePool(), None)

            async def found():
                for _ in range(5):
                    last = await worker._mirrored_pools(FakeSite())
                return set(last)

            assert await found() == {3, 4, 5}
            worker._pools[2] = (FakePool(), None)
            assert await found() == {2, 3, 4, 5}
            assert pools.count(2) == 1, "it is asked no second time meanwhile"
            answer.set()
            del worker._pools[2]
            assert await found() == {2, 3, 4, 5}
        with_worker(body)


class FakeEntry:
    def __init__(self, local, client_id):
        pass

    async def update(self, pools):
        list(pools)


class TestConnections:
    """The pool replayers live until this client is blocklisted."""

    @pytest.fixture
    def replayers(self, monkeypatch):
        made = []

        class Replayer(FakePool):
            def __init__(self, local, pool_id, name, *ignored):
                super().__init__()
                self.local, self.pool_id, self.ended = local, pool_id, asyncio.Event()
                self.error = None
                made.append(self)

            async def run(self):
                await self.ended.wait()
                raise self.error

            def fail(self, error):
                self.error = error
                self.ended.set()

        monkeypatch.setattr(worker_module, "PoolReplayer", Replayer)
        monkeypatch.setattr(worker_module, "ServiceEntry", FakeEntry)
        monkeypatch.setattr(worker_module, "_RECONNECT_SECONDS", 0)
        return made

    def live(self, body):
        """Run a worker beside `body`, which gets it, its connections and what it says."""
        async def main():
            sites, said = [], []

            async def connect():
                sites.append(FakeSite(len(sites) + 1))
                return sites[-1]

            worker = Worker(connect, "client.rbd-mirror.a", said.append, {})
            running = asyncio.ensure_future(worker.run())
            try:
                await asyncio.wait_for(body(worker, sites, said), 10)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            assert all(site.closed for site in sites)
        asyncio.run(main())

    def test_blocklisted_it_ends_and_leaves_its_client_as_it_is(self, replayers):
        """A client is shut down with its process: until then what it queued could land."""
        site, said = FakeSite(1), []

        async def connect():
            return site

        async def main():
            worker = Worker(connect, "client.rbd-mirror.a", said.append, {})
            running = asyncio.ensure_future(worker.run())
            await until(lambda: len(replayers) == 2)
            replayers[0].fail(Fenced("x"))
            with pytest.raises(Fenced):
                await asyncio.wait_for(running, 10)
            assert not worker.pools and not site.closed
        asyncio.run(main())
        [hello] = [m for m in said if isinstance(m, WorkerHello)]
        assert (hello.address, hello.instance_id) == ("10.0.0.1:0/1", "1")
        assert any(isinstance(m, Heartbeat) for m in said)

    def test_a_site_that_can_not_be_reached_is_tried_again(self, replayers):
        sites = []

        async def connect():
            sites.append(FakeSite(len(sites) + 1))
            if len(sites) < 3:
                raise DeadlineExceeded("no monitor answers")
            return sites[-1]

        async def main():
            worker = Worker(connect, "client.rbd-mirror.a", lambda message: None, {})
            running = asyncio.ensure_future(worker.run())
            await until(lambda: len(replayers) == 2)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert sites[2].closed
        asyncio.run(main())

    def test_a_pool_that_fails_starts_again_alone(self, replayers):
        async def body(worker, sites, said):
            await until(lambda: len(replayers) == 2)
            replayers[0].fail(ZeroDivisionError("x"))
            await until(lambda: len(replayers) == 3)
            assert replayers[2].pool_id == replayers[0].pool_id and len(sites) == 1
        self.live(body)

    def test_a_pool_that_is_mirrored_no_more_is_let_go(self, replayers):
        async def body(worker, sites, said):
            await until(lambda: len(worker._pools) == 2)
            sites[0].pool(2).omap_of[MIRRORING] = mirroring(MirrorMode.DISABLED)
            worker.refresh()
            await until(lambda: set(worker._pools) == {3})
        self.live(body)

    def test_a_pool_that_is_renamed_is_known_by_its_new_name(self, replayers):
        async def body(worker, sites, said):
            await until(lambda: len(replayers) == 2)
            sites[0].names[2] = "renamed"
            worker.refresh()
            await until(lambda: replayers[0].name == "renamed")
            assert len(replayers) == 2
        self.live(body)


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


def test_a_heartbeat_that_can_t_be_sent_does_not_end_the_telling(monkeypatch):
    said = []

    def say(message):
        if message.images:
            raise InvalidArgument("heartbeat message of 5000000 bytes")
        said.append(message)

    async def main():
        worker = Worker(None, "client.rbd-mirror.a", say, {})
        report = image_report(FakePool(), "", FakeReplayer(idle()))
        monkeypatch.setattr(worker_module, "image_reports", lambda pool: [report])
        monkeypatch.setattr(worker_module, "pool_reports", lambda pool: [])
        worker._pools[2] = (FakePool(), None)
        telling = asyncio.ensure_future(worker._heartbeats())
        await asyncio.sleep(0)
        assert not telling.done()
        telling.cancel()
    asyncio.run(main())
    assert [list(beat.counters) for beat in said] and "rss_bytes" in said[0].counters
