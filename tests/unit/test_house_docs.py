"""What README and docs/ say is there, is there: commands, links, files, and the lists they repeat."""

import re
from pathlib import Path

import pytest

from inferno.artifact import kernel
from inferno.settings import explain_settings

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


def test_the_page_of_settings_has_all_of_them_and_their_defaults(tmp_path: Path) -> None:
    page = (CHECKOUT / "docs/settings.md").read_text()
    rows = [[cell.split(", ") for cell in line.split(" | ")] for line in page.splitlines() if line.startswith("| `")]
    told = {
        name.strip("|` "): default.strip("`")
        for names, defaults, _ in ((row[0], row[1], row[2:]) for row in rows)
        for name, default in zip(names, defaults * len(names), strict=False)
    }
    found = {each.name: each.value for each in explain_settings({}, tmp_path / "absent")}
    assert set(told) == set(found)
    paths = ("INFERNO_ROOT", "INFERNO_SHARE_DIR", "DB_PATH")
    assert {n: told[n].replace("–", "") for n in told if n not in paths} == {
        n: found[n] for n in found if n not in paths
    }


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
