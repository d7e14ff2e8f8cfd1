"""What `infernoctl VERB --help` says of the verbs that are no tasks; a test holds each page to what the verb takes."""

from __future__ import annotations

PAGES = {
    "list": """\
usage: infernoctl list [options]    (or ls)

VMs, and whether they run: what the kernel says, not what was last heard of them

options:
  --json                     one JSON array, for programs; all of a VM: status
  --format table|json        the same, as a word
  --state STATE              only those: created (never started), running, stopped

infernoctl list --json | jq -r '.[] | select(.state == "running") | .name'""",
    "status": """\
usage: infernoctl status NAME [options]

one VM in full: its address, its limits, how its last run ended

options:
  --json                     one JSON object, for programs; the keys are always the same
  --format human|json        the same, as a word

infernoctl status web1 --json | jq -r .ip""",
    "logs": """\
usage: infernoctl logs [tail|show] [NAME] [options]
       infernoctl logs status [--json] | restart | clear [NAME]

what VMs said: the last lines (tail), or all of them (show); of one VM, or of all

  status                     the log collector, and how much is kept
  restart                    a new collector, after an update of Inferno; no line is lost
  clear                      delete the logs of a VM; without a name all logs

options of tail and show:
  -n, --lines N              the last N lines; tail shows 20
  -f, --follow               and those that follow, until Ctrl-C
  --vm NAME                  the same as NAME; for a VM that is called like one of the words above
  --source LIST              stdout, stderr, init, kernel, kiln, firecracker, collector; by comma
  --level LEVEL              debug, info, warn or error, and what is worse
  --since TIME               90s, 10m, 2h or 1d ago, or 2026-11-24T14:17:02Z
  --until TIME               the same
  --grep RE                  messages in which this regular expression is found
  --json                     one JSON object per line, for programs

infernoctl logs web1 -f
infernoctl logs show --since 10m --level warn""",
    "exec": """\
usage: infernoctl exec [options] NAME [options] [--] CMD...

a command in a VM that runs; its streams, signals and exit status are ours

options:
  -i, --interactive          standard input goes to the command
  -t, --tty                  a terminal of its own
  -d, --detach               return once it was executed; its output is thrown away
  -u, --user USER[:GROUP]    who it runs as; else as the image's process
  -w, --workdir DIR          where it starts
  -e, --env NAME[=VALUE]     added to the environment of the image's process; may be repeated

infernoctl exec web1 -- nginx -t
infernoctl exec -it web1 sh
tar -c site | infernoctl exec -i web1 -- tar -x -C /srv""",
    "shell": """\
usage: infernoctl shell NAME [options]

the best shell that the VM has: bash, zsh, ash or sh

options:
  -u, --user USER[:GROUP]    who it runs as; else as the image's process
  -w, --workdir DIR          where it starts
  -e, --env NAME[=VALUE]     added to its environment; may be repeated

infernoctl shell web1 -u 0""",
    "cp": """\
usage: infernoctl cp [options] NAME:PATH PATH|-
       infernoctl cp [options] PATH|- NAME:PATH

files between a VM that runs and this host, by docker cp's rules of names; `-` is a tar archive

options:
  -a, --archive              owners and set-id bits too
  -L, --follow-link          a link given as the source is followed

infernoctl cp web1:/etc/nginx ./nginx
infernoctl cp ./site/. web1:/srv
infernoctl cp web1:/var/log - | tar -t""",
    "ssh-config": """\
usage: infernoctl ssh-config [NAME...] [options]

entries for ~/.ssh/config, of all VMs or those named; their images need an sshd, and their network nothing

options:
  --user USER                who to log in as (that of the image's process; root)

infernoctl ssh-config web1 >> ~/.ssh/config; ssh web1""",
    "attach": """\
usage: infernoctl attach NAME [options]

the output of a VM's process from now on, until the VM ends; Ctrl-C leaves it running

options:
  -i, --interactive          our terminal becomes that of the process (create --tty); Ctrl-P Ctrl-Q leaves it;
                             without one, our input becomes the process's (create -i)

infernoctl attach -i box""",
    "wait": """\
usage: infernoctl wait NAME

until a VM ends; the exit status is that of its process (128+n for signal n)

infernoctl start job1 --detach; infernoctl wait job1 && echo done""",
    "stats": """\
usage: infernoctl stats [NAME...] [options]

what VMs that run use of this host; the last column is what the guest says itself

options:
  --json                     one JSON array, with all numbers, for programs""",
    "top": """\
usage: infernoctl top NAME [options]

what a VM uses, and what runs in it, as its own ps says

options:
  --json                     one JSON object, with all numbers, for programs""",
    "ping": """\
usage: infernoctl ping NAME [options]    (or vsock-ping)

whether a guest's init answers over vsock, and how fast

options:
  -c, --count N              so many times (1)
  --timeout SECONDS          how long each may take (2)
  --json                     one JSON object, for programs

infernoctl ping web1 -c 100""",
    "doctor": """\
usage: infernoctl doctor [options]

whether this host is fit for production, rule by rule, and the command that mends what is not;
exit status 1 when a rule that must hold does not

options:
  --json                     one JSON object, for programs

infernoctl doctor | grep -A3 FAILS""",
    "why": """\
usage: infernoctl why NAME [options]

what made the current version of a VM, and what would make the next

options:
  --json                     one JSON object, for programs

infernoctl why web1    (and of one step: doit info create:web1)""",
    "env": """\
usage: infernoctl env [print] [options]

the settings in force, and where they come from: the environment, /etc/inferno/env, or the default

options:
  --json                     one JSON object, for programs

INFERNO_ROOT=/srv/inferno infernoctl env""",
    "version": """\
usage: infernoctl version [options]

the version of Inferno

options:
  --json                     one JSON object, for programs""",
    "images": """\
usage: infernoctl images VERB

images that are here, what they hold, who uses them

  list     [--json]          the images that are here, the newest first (or ls)
  show     IMAGE [--json]    one in full
  process  IMAGE [--json]    what it runs: entrypoint, command, environment, user
  exposed  IMAGE [--json]    the ports it says it listens on
  pull     REF...            fetch and make its base, without a VM; its options: infernoctl images pull --help
  prune    [--dry-run] [--json]
                             remove what no VM uses
  check    IMAGE... | --all [--json]
                             read it whole, compare with the digests on record; what is damaged is made again

IMAGE is a reference as it was given to create, or a digest, or the beginning of one.

infernoctl images pull nginx:latest
infernoctl images show nginx --json | jq .process""",
}
PAGES["ls"], PAGES["vsock-ping"] = PAGES["list"], PAGES["ping"]
