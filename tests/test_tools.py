"""The checks of licences and vulnerabilities, and what a package index is told."""

import re
from pathlib import Path

import audit
import licences
import package_readme
import yaml

from handan import __version__

ROOT = Path(__file__).parent.parent

KNOWN = {"name": "a", "version": "1", "vulns": []}
SKIPPED = {"name": "b", "version": "1", "skip_reason": "not found"}
FOUND = {"id": "CVE-1", "fix_versions": ["2"]}


def test_a_vulnerability_fails_and_is_named(capsys):
    assert audit.told([{**KNOWN, "vulns": [FOUND]}, SKIPPED]) == 1
    printed = capsys.readouterr().out
    assert (
        "a 1: CVE-1, fixed in 2" in printed
        and "1 of 2 pinned packages that were asked for" in printed
    )


def test_an_audit_of_nothing_says_so(capsys):
    assert audit.told([SKIPPED]) == 0
    assert "audit: nothing was audited" in capsys.readouterr().out
    assert audit.told([KNOWN]) == 0
    assert "nothing was audited" not in capsys.readouterr().out


def test_licences_here_are_in_order_and_others_are_not(monkeypatch, capsys):
    assert licences.main() == 0
    monkeypatch.setattr(licences, "EXCEPTIONS", {})
    assert licences.main() == 1
    assert "pingouin: licence 'GPL-3.0' is not in the list" in capsys.readouterr().out


def test_links_of_the_packaged_readme_lead_somewhere_on_a_package_index():
    metadata = {}
    package_readme.PackageReadme(str(ROOT), {}).update(metadata)
    text = metadata["readme"]["text"]
    assert "docs/training.md has" in text
    assert all(link.startswith("http") for link in re.findall(r"\]\(([^)]*)\)", text))


def test_the_citation_names_this_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
