"""What a `start` says and does once the VM runs: it returns, follows the VM's output, or becomes its input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inferno.base.errors import UsageError
from inferno.life.start import Start
from inferno.spec.create_options import Spec


@dataclass(frozen=True, slots=True)
class Wish:
    """`follows`: this process stays until the VM ends. `is_interactive`: our terminal or input is the process's.

    `keys` leave that terminal; None: the usual ones.
    """

    follows: bool
    is_interactive: bool
    keys: bytes | None = None


def check_input(name: str, spec: Spec, wish: Wish) -> None:
    """Before anything is changed: is there a terminal on both sides, or input that the process can be given?

    Raises UsageError.
    """
    from inferno.console.interact import check_ours

    if not wish.follows:
        raise UsageError(f"start:{name} --detach leaves nobody to give input", f"infernoctl attach -i {name}, later")
    if not (spec.tty or spec.interactive):
        hint = f"infernoctl create {name} -i; with a terminal: --tty"
        raise UsageError(f"the process of {name} has no standard input", hint)
    if spec.tty:
        check_ours("start")


def go_on(begun: Start, wish: Wish, say: Callable[[str], None]) -> int:
    """Say what runs; return the exit status, of the VM's process when this stays with it."""
    name = begun.vm.name
    if not begun.launched:
        say(f"{name} runs already, at {begun.vm.slot.guest}")
        from inferno.console.interact import join

        return join(begun.vm, wish.keys) if wish.is_interactive else 0
    tty = begun.record.spec.tty
    leaves = "; the keys of --detach-keys leave it running" if wish.keys else "; Ctrl-P Ctrl-Q leaves it running"
    leaves = leaves if tty else ""
    ends = leaves if wish.is_interactive else "; Ctrl-C stops it" if wish.follows else ""
    say(f"{name} runs at {begun.vm.slot.guest}{ends}")
    if begun.brought.unreachable:
        lost = ", ".join(begun.brought.unreachable)
        say(f"warning: {name} has no name server: guests do not reach {lost}; --dns or INFERNO_DNS gives one")
    if not wish.follows:
        return 0
    from inferno.console.foreground import attach
    from inferno.console.interact import interact

    return interact(begun, tty=tty, keys=wish.keys) if wish.is_interactive else attach(begun)
