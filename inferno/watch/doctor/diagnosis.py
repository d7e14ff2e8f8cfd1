"""Whether this host is fit for production: what Inferno needs, and Firecracker's rules, checked one by one.

The rules are those of Firecracker's docs/prod-host-setup.md, in its order; docs/doctor.md lists them. Everything is
read from the kernel's files, or from root's own trusted ones; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator

from inferno.life import host
from inferno.settings import Settings
from inferno.watch.doctor import disks, limits, machine, processes, room, tenants, trust
from inferno.watch.doctor.rule import NEEDED, Finding, Rule, look
from inferno.watch.doctor.world import World


def rules(world: World) -> list[Rule]:
    """Every rule, by its number; what Inferno needs to run at all comes first, as number 0."""
    needed = [Rule(NEEDED, True, check) for check in host.START]
    found = [*trust.rules(world), *processes.rules(world), *machine.rules(world)]
    found += [*limits.rules(world), *tenants.rules(world)]
    return [*needed, *room.rules(world), *disks.rules(world), *sorted(found, key=lambda rule: rule.number)]


def diagnose(settings: Settings) -> Iterator[Finding]:
    """One finding per rule, as each is known."""
    world = World.of(settings)
    for rule in rules(world):
        yield look(rule)
