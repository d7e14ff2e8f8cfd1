"""The table of verbs, whole: for help, hints and documentation. `finding` reads a command line with less of it."""

from inferno.console.verbs import host, life, look, reach, steps
from inferno.console.verbs.verb import Verb

VERBS: dict[str, Verb] = {
    verb.name: verb for verb in (*life.VERBS, *look.VERBS, *reach.VERBS, *host.VERBS, *steps.VERBS)
}
ALIASES: dict[str, str] = {alias: verb.name for verb in VERBS.values() for alias in verb.aliases}
NAMES: tuple[str, ...] = (*VERBS, *ALIASES)
