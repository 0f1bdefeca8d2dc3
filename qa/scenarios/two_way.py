"""Images that are primary at either site, in one pool, at the same time."""

from functools import partial

from qa.scenarios.stage import Stage
from qa.sites import Site


def play(stage: Stage, each: int = 3, rounds: int = 3) -> None:
    """Some images of each site, changed at both, then every one of them fails over at once."""
    sites = (stage.site_a, stage.site_b)
    homes = {f"{site.name}-{number}": site for site in sites for number in range(each)}
    for name, home in homes.items():
        stage.create(home, name)
    for _ in range(rounds):
        for name, home in homes.items():
            stage.write(home, name)
            stage.snapshot(home, name)
        for name, home in homes.items():
            stage.wait_equal(home, _other(stage, home), name)
    stage.say(f"{len(homes)} images in one pool, half of them from each site, are equal "
              f"after {rounds} rounds")
    for name, home in homes.items():
        stage.command(home, "image", "demote", stage.spec(name))
    for name, home in homes.items():
        away = _other(stage, home)
        stage.wait(partial(stage.try_command, away, "image", "promote", stage.spec(name)), name)
        stage.write(away, name)
        stage.snapshot(away, name)
    for name, home in homes.items():
        stage.wait_equal(_other(stage, home), home, name)
    stage.say("all changed sides at the same time, and are equal again")


def _other(stage: Stage, site: Site) -> Site:
    return stage.site_b if site is stage.site_a else stage.site_a
