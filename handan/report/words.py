"""Long sentences of reports (``words.yaml``); a '{place}' in one is filled where it is used."""

from pathlib import Path

from handan.config import read_yaml

WORDS = read_yaml(Path(__file__).with_suffix(".yaml"))
