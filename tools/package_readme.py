"""The README as package indexes show it: there, links to files of this repository lead nowhere.

Hatchling calls it for every build. Such links become their text, and such pictures go.
"""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"!\[[^\]]*\]\((?!https?:)[^)]*\)\n?")
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)[^)]*\)")


class PackageReadme(MetadataHookInterface):
    """Sets ``readme`` of the package."""

    def update(self, metadata: dict) -> None:
        text = LINK.sub(r"\1", PICTURE.sub("", Path(self.root, "README.md").read_text("utf-8")))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
