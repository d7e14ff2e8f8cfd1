"""The verbs that reach into a VM that runs."""

from __future__ import annotations

from inferno.console.options import Option
from inferno.console.verbs.verb import REACH, Verb

_WHO_AND_WHERE = (
    Option("user", "who it runs as; else as the image's process", metavar="USER[:GROUP]", short="u"),
    Option("workdir", "where it starts", metavar="DIR", short="w"),
    Option(
        "env",
        "added to the environment of the image's process; may be repeated",
        list,
        "NAME[=VALUE]",
        short="e",
    ),
)

VERBS = (
    Verb(
        "exec",
        REACH,
        "run a command in a VM",
        "NAME CMD...",
        (
            Option("interactive", "standard input goes to the command", bool, short="i"),
            Option("tty", "a terminal of its own", bool, short="t"),
            Option("detach", "return once it was executed; its output is thrown away", bool, short="d"),
            *_WHO_AND_WHERE,
        ),
        "exec_shell.exec_",
        more="Its streams, signals and exit status are ours.",
        examples="""\
infernoctl exec web1 -- nginx -t
infernoctl exec -it web1 sh
tar -c site | infernoctl exec -i web1 -- tar -x -C /srv""",
        forms=("[options] NAME [options] [--] CMD...",),
        words=1,
    ),
    Verb(
        "shell",
        REACH,
        "the best shell that the VM has: bash, zsh, ash or sh",
        "NAME",
        _WHO_AND_WHERE,
        "exec_shell.shell",
        examples="infernoctl shell web1 -u 0",
    ),
    Verb(
        "cp",
        REACH,
        "copy files between a VM (NAME:PATH) and this host",
        "FROM TO",
        (
            Option("archive", "owners and set-id bits too", bool, short="a"),
            Option("follow_link", "a link given as the source is followed", bool, short="L"),
        ),
        "cp.cp",
        more="Names are taken by the rules of docker cp; `-` is a tar archive.",
        examples="""\
infernoctl cp web1:/etc/nginx ./nginx
infernoctl cp ./site/. web1:/srv
infernoctl cp web1:/var/log - | tar -t""",
        forms=("[options] NAME:PATH PATH|-", "[options] PATH|- NAME:PATH"),
    ),
    Verb(
        "attach",
        REACH,
        "the output of a VM's process from now on, or with -i its terminal",
        "NAME",
        (
            Option(
                "interactive",
                "our terminal becomes that of the process (create --tty); Ctrl-P Ctrl-Q leaves it;"
                " without one, our input becomes the process's (create -i)",
                bool,
                short="i",
            ),
        ),
        "wait_attach.attach",
        more="It goes on until the VM ends; Ctrl-C leaves the VM running.",
        examples="infernoctl attach -i box",
    ),
    Verb(
        "ssh-config",
        REACH,
        "entries for ~/.ssh/config, for images with an sshd",
        "[NAME...]",
        (Option("user", "who to log in as (that of the image's process; root)", metavar="USER"),),
        "ssh_config.ssh_config",
        more="Of all VMs, or those named. Their network needs nothing: the connection goes over vsock.",
        examples="infernoctl ssh-config web1 >> ~/.ssh/config; ssh web1",
    ),
)
