"""Stop at an installed package whose licence is not one that we know to go with ours.

    python tools/licences.py

Reads what the packages say of themselves, so it needs no network. A new licence is looked at by a
person, and then stands here.
"""

import re
import sys
from importlib.metadata import Distribution, distributions

# Parts of licence expressions and of older free texts, in lower case.
ALLOWED = {
    *("mit", "mit license", "mit-cmu", "mit-0", "expat license"),
    *("apache-2.0", "apache license 2.0", "apache 2.0 license", "apache software license"),
    *(
        "apache software license 2.0",
        "apache-2.0 with llvm-exception",
        "apache license, version 2.0",
    ),
    *("bsd", "bsd license", "bsd-2-clause", "bsd-3-clause", "3-clause bsd license", "0bsd"),
    *(
        "isc",
        "isc license (iscl)",
        "zlib",
        "zlib/libpng license",
        "cc0-1.0",
        "bsl-1.0",
        "unlicense",
    ),
    *("psf-2.0", "python software foundation license", "python-2.0", "cnri-python"),
    *("mpl-2.0", "mozilla public license 2.0 (mpl 2.0)", "academic free license (afl)"),
}
# Looked at one by one: why each may be here all the same.
EXCEPTIONS = {
    "pingouin": "GPL-3.0; an oracle that tests compare with, never part of the package",
    "axe-playwright-python": "names none in its metadata; its licence file is MIT",
}
VENDORS = re.compile(r"nvidia-.*|cuda-.*")  # of CUDA, which a build of torch brings along on a GPU


def stated(package: Distribution) -> list[str]:
    """The parts of what a package says of its licence; one empty part if it says nothing."""
    fields = package.metadata
    text = fields.get("License-Expression")
    if text is None:
        classified = [c for c in fields.get_all("Classifier") or [] if c.startswith("License ::")]
        named = [c.rpartition(" :: ")[2] for c in classified if not c.endswith("OSI Approved")]
        text = "; ".join(named) or (fields.get("License") or "").strip().split("\n")[0]
    parts = re.split(r"\s+(?:AND|OR)\s+|;", text)
    return [part.strip(" ()") if "(" not in part.strip("( ") else part.strip() for part in parts]


def main() -> int:
    """Print what is not allowed; the exit code says whether anything is not."""
    bad = excepted = number = 0
    for package in distributions():
        name, number = package.metadata["Name"], number + 1
        if name.lower() in EXCEPTIONS:
            excepted += 1
            continue
        unknown = [part for part in stated(package) if part.lower() not in ALLOWED]
        if unknown and name != "handan" and not VENDORS.fullmatch(name):
            bad += 1
            print(f"{name}: licence '{unknown[0]}' is not in the list of {__file__}")
    if not bad:
        print(f"licences: {number} packages are in order, {excepted} of them as named exceptions")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
