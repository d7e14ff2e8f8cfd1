"""The verbs that look at VMs, and change nothing."""

from __future__ import annotations

from inferno.console.options import Option
from inferno.console.verbs.verb import JSON, LOOK, Verb

_JSON_ARRAY = JSON._replace(help="one JSON array, with all numbers, for programs")

_READ_LOGS = (
    Option("lines", "the last N lines; tail shows 20", metavar="N", short="n"),
    Option("follow", "and those that follow, until Ctrl-C", bool, short="f"),
    Option("vm", "the same as NAME; for a VM that is called like one of the verbs above", metavar="NAME"),
    Option("source", "stdout, stderr, init, kernel, kiln, firecracker, collector; by comma", metavar="LIST"),
    Option("level", "records of this level, and what is worse", choices=("debug", "info", "warn", "error")),
    Option("since", "90s, 10m, 2h or 1d ago, or 2026-11-24T14:17:02Z", metavar="TIME"),
    Option("until", "the same", metavar="TIME"),
    Option("grep", "messages in which this regular expression is found", metavar="RE"),
    JSON._replace(help="one JSON object per line, for programs"),
)
_LOGS = Verb(
    "logs",
    LOOK,
    "what VMs said; -f follows",
    "[NAME]",
    more="The last lines (tail), or all of them (show); of one VM, or of all.",
    default="tail",
    actions=(
        Verb(
            "tail",
            LOOK,
            "the last lines; what `logs` means alone",
            "[NAME]",
            _READ_LOGS,
            "logs.tail",
            examples="infernoctl logs web1 -f",
        ),
        Verb(
            "show",
            LOOK,
            "all lines",
            "[NAME]",
            _READ_LOGS,
            "logs.show",
            examples="infernoctl logs show --since 10m --level warn",
        ),
        Verb(
            "status",
            LOOK,
            "the log collector, and how much is kept",
            "",
            (JSON,),
            "logs.status",
            examples="infernoctl logs status",
        ),
        Verb(
            "restart",
            LOOK,
            "a new collector, after an update of Inferno; no line is lost",
            run="logs.restart",
            examples="infernoctl logs restart",
        ),
        Verb(
            "clear",
            LOOK,
            "delete the logs of a VM; without a name all logs",
            "[NAME]",
            (Option("vm", "the same as NAME", metavar="NAME"),),
            "logs.clear",
            examples="infernoctl logs clear web1",
        ),
    ),
    examples="""\
infernoctl logs web1 -f
infernoctl logs show --since 10m --level warn""",
)

VERBS = (
    Verb(
        "list",
        LOOK,
        "VMs, and whether they run",
        "",
        (
            JSON._replace(help="one JSON array, for programs; all of a VM: status"),
            Option("format", "the same, as a word", choices=("table", "json"), default="table"),
            Option(
                "state",
                "only those: created (never started), running, stopped",
                metavar="STATE",
                choices=("created", "running", "stopped"),
            ),
        ),
        "look.list_vms",
        aliases=("ls",),
        more="What the kernel says, not what was last heard of them.",
        examples="infernoctl list --json | jq -r '.[] | select(.state == \"running\") | .name'",
        instead="status",
    ),
    Verb(
        "status",
        LOOK,
        "one VM in full: its address, its limits, how its last run ended",
        "NAME",
        (
            JSON._replace(help="one JSON object, for programs; the keys are always the same"),
            Option("format", "the same, as a word", choices=("human", "json"), default="human"),
        ),
        "look.status",
        examples="infernoctl status web1 --json | jq -r .ip",
    ),
    _LOGS,
    Verb(
        "runs",
        LOOK,
        "when a VM ran, and how each run ended",
        "NAME",
        (JSON._replace(help="one JSON array, for programs; the keys are always the same"),),
        "runs.list_runs",
        more="The newest first, at most a hundred. They are forgotten with the VM.",
        examples="infernoctl runs web1 --json | jq '.[0].exit_code'",
    ),
    Verb(
        "stats",
        LOOK,
        "what VMs that run use of this host",
        "[NAME...]",
        (_JSON_ARRAY,),
        "stats.stats",
        more="The last column is what the guest says itself.",
        examples="infernoctl stats web1 web2",
    ),
    Verb(
        "top",
        LOOK,
        "what a VM uses, and what runs in it",
        "NAME",
        (JSON._replace(help="one JSON object, with all numbers, for programs"),),
        "stats.top",
        more="Its processes are listed by its own ps.",
        examples="infernoctl top web1",
    ),
    Verb(
        "ping",
        LOOK,
        "whether a guest answers over vsock, and how fast",
        "NAME",
        (
            Option("count", "so many times (1)", metavar="N", short="c", default="1"),
            Option("timeout", "how long each may take (2)", metavar="SECONDS", default="2"),
            JSON,
        ),
        "stats.ping",
        aliases=("vsock-ping",),
        more="It is the guest's init that answers.",
        examples="infernoctl ping web1 -c 100",
    ),
    Verb(
        "wait",
        LOOK,
        "wait until a VM ends, and end as its process did",
        "NAME",
        run="wait_attach.wait",
        more="The exit status is that of its process, 128+N for signal N.",
        examples="infernoctl start job1 --detach; infernoctl wait job1 && echo done",
    ),
    Verb(
        "why",
        LOOK,
        "what made the current version of a VM, and what would make the next",
        "NAME",
        (JSON,),
        "look.why",
        examples="infernoctl why web1    (and of one step: doit info create:web1)",
    ),
)
