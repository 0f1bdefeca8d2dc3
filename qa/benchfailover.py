"""The failover of a whole pool by the `rbd` CLI and by our commands, with the same replayers."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, List, Tuple

from qa.mirrored import add_pool
from qa.replayers import Worker
from qa.sites import Lab, Site
from qa.waiting import wait_for

SECONDS = 300.0
TOOLS: Dict[str, Tuple[str, ...]] = {
    "rbd": ("rbd", "mirror", "pool"),
    "ours": ("ceph", "rbd-mirror", "pool"),
}


def measure(lab: Lab, images: int) -> Dict[str, List[Dict[str, float]]]:
    """Fail a pool of small images over and back with each tool; return seconds by step.

    The lab has mirror_mgr, told to run no workers: both tools have the same one at each site.
    """
    workers = [Worker(site) for site in sites(lab)]
    for worker in workers:
        worker.start()
    try:
        return {tool: _there_and_back(lab, f"failover-{tool}", words, images)
                for tool, words in TOOLS.items()}
    finally:
        for worker in workers:
            worker.stop()


def sites(lab: Lab) -> Tuple[Site, Site]:
    return lab.sites["site-a"], lab.sites["site-b"]


def _there_and_back(lab: Lab, pool: str, words: Tuple[str, ...],
                    images: int) -> List[Dict[str, float]]:
    _fill(lab, pool, images)
    there = sites(lab)
    return [_fail_over(old, new, pool, words, images) for old, new in (there, there[::-1])]


def _fill(lab: Lab, pool: str, images: int) -> None:
    primary, copy = sites(lab)
    add_pool(lab, pool)

    def make(number: int) -> None:
        primary.rbd("create", f"{pool}/image{number}", "--size", "4M")
        primary.rbd("mirror", "image", "enable", f"{pool}/image{number}", "snapshot")

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(make, range(images)))
    _wait_states(copy, pool, {"replaying": images})


def _fail_over(old: Site, new: Site, pool: str, words: Tuple[str, ...],
               images: int) -> Dict[str, float]:
    print(f"{words[0]}: failover of {images} images to {new.name}", flush=True)
    started = time.monotonic()
    _run(old, *words, "demote", pool)
    demoted = time.monotonic()
    _wait_states(new, pool, {"unknown": images})
    synced = time.monotonic()
    _run(new, *words, "promote", pool)
    promoted = time.monotonic()
    _wait_states(old, pool, {"replaying": images})
    return {"demote": demoted - started, "last_sync": synced - demoted,
            "promote": promoted - synced, "whole": promoted - started}


def _run(site: Site, program: str, *words: str) -> None:
    done = site.run(program, *words)
    assert not done.returncode, done


def _wait_states(site: Site, pool: str, states: Dict[str, int]) -> None:
    def reached() -> bool:
        return bool(site.rbd_json("mirror", "pool", "status", pool)["summary"]["states"] == states)

    wait_for(reached, lambda: site.rbd("mirror", "pool", "status", pool), SECONDS,
             interval=0.05)
