"""What README and docs/ say is there, is there: commands, links, files, and the lists they repeat."""

import re
from pathlib import Path

import pytest

from inferno.artifact import kernel
from inferno.base.errors import UsageError
from inferno.base.setting_row import Setting
from inferno.console.options import HELP
from inferno.console.verbs.finding import find
from inferno.console.verbs.table import NAMES
from inferno.console.verbs.tasks import TASKS, TASKS_ALONE
from inferno.settings import BESIDE, ROWS

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]+\]\((?!https?://)([^)#]+)(#[^)]*)?\)")


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))


def headings(page: Path) -> set[str]:
    lines = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_command_named_exists(page: Path) -> None:
    named = set(re.findall(r"(?:^ {4}|`)(?:sudo )?make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert named - make_targets() == set()


# As typed in a block of code, or quoted: up to what a shell would take for the end, or the quote's.
TYPED = re.compile(
    r"(?:^ {4}|`)(?:[A-Z_]+=\S* |sudo |rig/rig run -- )*(infernoctl(?: task)?|doit) ([^`\n#|;&>]+)", re.MULTILINE
)
ALONE = re.compile(r"`([a-z-]+ [^`\n]*--[^`\n]+)`")  # create --tty


def not_there(page: str) -> list[str]:
    """What a page says of infernoctl and doit and their options that they do not have."""
    wrong = []
    alone = [("infernoctl", line) for line in ALONE.findall(page) if line.split()[0] in NAMES]
    for program, line in [*TYPED.findall(page), *alone]:
        words = re.split(r" {3,}", line)[0].split()
        if program != "infernoctl":
            words = [words[0].partition(":")[0], *words[1:]]
            if words[0] not in TASKS:
                continue  # doit's own: list, info, clean, …
            words = ["task", *words] if words[0] in TASKS_ALONE else words
        elif words[0].strip("-").isupper() or words[0].startswith("-"):
            continue  # VERB
        try:
            found = find(words)
        except UsageError as error:
            wrong.append(f"{program} {line}: {error}")
            continue
        options = [option.long for option in (*found.verb.options, HELP)]
        if found.verb.actions and [word for word in found.words if word.islower() and word[0] != "-"]:
            wrong.append(f"{program} {line}: {found.words[0]}")
        own = line.split(" -- ")[0]
        named = re.findall(r"(?<![\w-])--([a-z][a-z-]*)", own)
        wrong += [f"{program} {line}: --{word}" for word in named if word not in options]
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_verb_and_option_named_exists(page: Path) -> None:
    assert not_there(page.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "`infernoctl vms`",
        "    infernoctl list --jsno",
        "    sudo infernoctl images get x",
        "`doit create:web1 --cpus=2`",
        "`start -i --ttty`",
    ],
)
def test_a_verb_or_option_that_does_not_exist_is_seen(text: str) -> None:
    assert (
        len(not_there(f"see\n{text}\nor `infernoctl list --json`, `doit list` and `infernoctl exec web1 -- ls --all`"))
        == 1
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target, anchor in LINK.findall(page.read_text()):
        path = (page.parent / target).resolve()
        if not path.exists() or (anchor and anchor[1:] not in headings(path)):
            broken.append(f"{target}{anchor}")
    assert broken == []


def test_the_readme_names_every_make_command_and_every_page() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    missing = [target for target in make_targets() - {"help"} if f"make {target}" not in readme]
    missing += [page.name for page in (CHECKOUT / "docs").glob("*.md") if f"docs/{page.name}" not in readme]
    assert missing == []


def default(row: Setting) -> str:
    return row.shown or ("–" if row.default in (None, ()) else f"`{row.default}`")


def test_the_page_of_settings_has_the_table_of_the_rows() -> None:
    page = (CHECKOUT / "docs/settings.md").read_text()
    lines = [f"| `{row.name}` | {default(row)} | {row.doc} | {row.counts} |" for _, _, row in ROWS]
    table = "\n".join(["| name | default | is | a change counts for |", "|---|---|---|---|", *lines])
    assert f"\n{table}\n\n" in page, f"put this table into settings.md:\n{table}"
    assert [name for name in BESIDE if f"`{name}" not in page] == []
    [levels] = [row.choices for field, _, row in ROWS if field == "log_level"]
    assert [level for level in levels if f"| `{level}` | " not in page] == []


def test_ci_runs_the_readmes_test_command() -> None:
    script = (CHECKOUT / ".ci/run").read_text()
    assert re.search(r"^exec make test$", script, re.MULTILINE)


def test_set_up_installs_what_the_kernel_needs() -> None:
    [line] = re.findall(
        r'^need "the guest kernel\'s build" (.+)$', (CHECKOUT / "tools/setup").read_text(), re.MULTILINE
    )
    assert tuple(line.split()) == kernel.BUILD_PACKAGES


def test_the_changelog_keeps_its_form() -> None:
    lines = (CHECKOUT / "CHANGELOG.md").read_text().splitlines()
    sections = [line for line in lines if line.startswith("## ")]
    assert sections[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[(Unreleased|\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d)\]?", line) for line in sections)
    kinds = {line for line in lines if line.startswith("### ")}
    assert kinds <= {f"### {kind}" for kind in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")}
