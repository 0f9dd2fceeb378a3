import pytest
import yaml
from embedded import ROOT, WEIGHTS

from handan.errors import UserError
from handan.evaluation import resource_estimate
from handan.evaluation.zoo import load_zoo, pair_rows
from handan.generation.formats import FORMATS

ZOOS = sorted((ROOT / "eval" / "zoo").glob("*.yaml"))
PAPER = ROOT / "eval" / "zoo" / "paper14.yaml"


@pytest.fixture(autouse=True)
def _in_the_clone(monkeypatch):
    monkeypatch.chdir(ROOT)  # directories in a zoo are relative to it


def written(tmp_path, change):
    zoo = yaml.safe_load((ROOT / "eval" / "zoo" / "tiny.yaml").read_text())
    change(zoo)
    (tmp_path / "zoo.yaml").write_text(yaml.safe_dump(zoo))
    return tmp_path / "zoo.yaml"


def test_the_study_has_fourteen_models_and_every_student_a_true_start():
    zoo = load_zoo(PAPER)
    of_study = [entry for entry in zoo.models if entry.in_study]
    roles = [entry.role for entry in of_study]
    assert len(of_study) == 14
    assert (roles.count("teacher"), roles.count("student"), roles.count("instruct")) == (2, 6, 6)
    assert all(entry.inferred for entry in of_study)
    by_name = {entry.name: entry for entry in zoo.models}
    for entry in (entry for entry in zoo.models if entry.role == "student"):
        assert by_name[entry.teacher].role == "teacher"
        assert by_name[entry.control].role == "instruct"
        assert entry.base in by_name
        # Only the largest student began with an Instruct model.
        assert (entry.base == entry.control) == (entry.name == "R1-Distill-Llama-70B")


@pytest.mark.parametrize("path", ZOOS, ids=lambda path: path.stem)
def test_entries_name_known_formats_and_sizes(path):
    for entry in load_zoo(path).models:
        assert entry.reasoning_format in FORMATS
        assert resource_estimate.find(entry.model) is not None, entry.model


def test_a_student_has_the_architecture_it_began_with():
    zoo = load_zoo(PAPER)
    by_name = {entry.name: entry for entry in zoo.models}
    for entry in (entry for entry in zoo.models if entry.base):
        own, base = (resource_estimate.find(e.model) for e in (entry, by_name[entry.base]))
        differ = {key for key in own.config if own.config[key] != base.config[key]}
        assert differ <= {"tie_word_embeddings"}


def test_pairs_name_both_kinds_of_baseline_and_both_decodings():
    rows = pair_rows(load_zoo(PAPER), greedy=True)
    sampled = [row for row in rows if not row["student"].endswith("(T=0)")]
    assert len(sampled) == 11 and len(rows) == 22
    bases = {row["base"] for row in sampled if row["student"] == "R1-Distill-Qwen-7B"}
    assert bases == {"Qwen2.5-7B-Instruct", "Qwen2.5-Math-7B"}
    assert rows[11]["teacher"] == "DeepSeek-R1 (T=0)"


def test_revisions_that_are_no_commits_are_not_pinned():
    entries = {e.name: e for e in load_zoo(ROOT / "eval" / "zoo" / "modern.yaml").models}
    assert entries["Qwen3-8B"].is_pinned
    assert not entries["Olmo-3-7B-Think"].is_pinned
    assert all(entry.is_pinned for entry in load_zoo(PAPER).models)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: z["models"][0].update(teacher="none"), "base: its teacher 'none' is not in"),
        (lambda z: z["models"][0].update(role="pupil"), "base: role 'pupil'; use teacher"),
        (lambda z: z["models"][0].update(role="student"), "a student needs a base"),
        (lambda z: z["models"][0].update(name="../x"), "must be fit for a directory"),
        (lambda z: z["models"][0].update(name="logs"), "must be fit for a directory"),
        (lambda z: z["models"][0].update(model="a/b"), "base: set 'revision' to a commit"),
        (lambda z: z["models"][0].update(colour="red"), r"models\[0\]: unknown key 'colour'"),
        (lambda z: z["models"].append(z["models"][0]), "each name only once"),
        (lambda z: z["models"][0].update(base="base"), "base are their own base"),
        (
            lambda z: (
                z["models"][0].update(base="base_constant"),
                z["models"][1].update(teacher="base"),
            ),
            "base, base_constant are their own base",
        ),
    ],
)
def test_a_wrong_zoo_is_one_sentence(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        load_zoo(written(tmp_path, change))


def test_an_unknown_name_is_refused():
    with pytest.raises(UserError, match="--only: no model 'Base' in the zoo; known: base, base_co"):
        load_zoo(ROOT / "eval" / "zoo" / "tiny.yaml").chosen(["Base"])


def test_a_directorys_size_is_read_from_it():
    sizes = resource_estimate.find(str(WEIGHTS / "base"))
    assert sizes.parameters == pytest.approx(342e3, rel=0.02)
    assert sizes.cache_bytes_per_token == 2 * 3 * 96 * 2
