"""Stop at a pinned package with a known vulnerability, as far as the service that knows answers.

    python tools/audit.py

Says how many packages were looked up. Without a network that is none: then it prints so and does
not fail, as nothing is known; whoever publishes runs it where there is one.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The short one first: a service that knows none of it is not asked for the rest.
PINNED = ("requirements-build.txt", "requirements.txt")
SECONDS = 600


def main() -> int:
    """Print what was found; the exit code says whether anything was."""
    packages: list[dict] = []
    for name in PINNED:
        words = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--format=json"]
        words += ["--progress-spinner=off", "--timeout=10", "--requirement", str(ROOT / name)]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=SECONDS, check=False
            )
            packages += json.loads(done.stdout)["dependencies"]
        except subprocess.TimeoutExpired:
            print(f"audit: {name} was not audited, no answer within {SECONDS} s")
        except ValueError:
            why = (done.stderr.strip() or "no output").splitlines()[-1]
            print(f"audit: {name} was not audited, the service cannot be reached ({why[:200]})")
        if all("skip_reason" in package for package in packages):
            break
    return told(packages)


def told(packages: list[dict]) -> int:
    """Print what is known of packages, as pip-audit lists them; 1 if one is vulnerable."""
    known = [package for package in packages if "skip_reason" not in package]
    bad = 0
    for package in known:
        for found in package["vulns"]:
            bad += 1
            fixed = ", ".join(found["fix_versions"]) or "none"
            print(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
    print(
        f"audit: {len(known)} of {len(packages)} pinned packages that were asked for are known to "
        f"the service, {bad} vulnerabilities"
    )
    if not known:
        print("audit: nothing was audited")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
