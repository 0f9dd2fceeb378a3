"""The notebooks of the documents run, and their outputs are what they hold."""

import json
import os
import shutil
from pathlib import Path

import pytest
from embedded import ROOT
from run_notebooks import run

NOTEBOOKS = ROOT / "docs" / "notebooks"


def shown(notebook):
    """What every cell shows, without drawings: as text and as tables."""
    return [
        "".join(output.get("text") or output["data"]["text/plain"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
    ]


def test_the_first_look_shows_what_it_says():
    path = NOTEBOOKS / "first_look.ipynb"
    kept, found = json.loads(path.read_text()), run(path)
    assert len(shown(kept)) == 6
    assert shown(found) == shown(kept), "write it anew with tools/run_notebooks.py"


def test_outputs_of_notebooks_hold_no_error_and_no_place_of_a_machine():
    for path in NOTEBOOKS.glob("*.ipynb"):
        notebook = json.loads(path.read_text())
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert all(cell["execution_count"] for cell in cells)
        text = "\n".join(shown(notebook))
        assert "error" not in text.lower() and str(Path.home()) not in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first_look", "training_pair"])
def test_a_notebook_runs_in_a_kernel(name, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    import nbformat

    shutil.copytree(NOTEBOOKS, tmp_path / "own", ignore=shutil.ignore_patterns("runs"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(tmp_path / "own" / f"{name}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path / "own")}}
    nbclient.NotebookClient(notebook, timeout=1800, resources=resources).execute()
    assert "error" not in "\n".join(shown(notebook)).lower()
