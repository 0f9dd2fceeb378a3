import pytest

from handan.errors import UserError
from handan.files import append_jsonl, read_jsonl, write_csv, write_json
from handan.rundir import recover


def test_a_half_written_last_line_is_dropped_and_the_file_can_be_appended_to(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    append_jsonl(path, [{"item": "a"}, {"item": "b"}])
    with open(path, "a") as file:
        file.write('{"item": "c')
    assert [row["item"] for row in recover(path, ("item",))] == ["a", "b"]
    assert "dropped one half-written line" in capsys.readouterr().out
    append_jsonl(path, [{"item": "c"}])
    assert [row["item"] for row in read_jsonl(path)] == ["a", "b", "c"]


def test_a_torn_line_within_a_character_is_recovered(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_jsonl(path, [{"item": "邯"}])
    path.write_bytes(path.read_bytes() + '{"item": "鄲'.encode()[:-1])
    assert recover(path, ("item",)) == [{"item": "邯"}]


def test_a_repeated_key_stops(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_jsonl(path, [{"item": "a", "sample": 0}, {"item": "a", "sample": 0}])
    with pytest.raises(UserError, match="line 2: same item, sample as line 1"):
        recover(path, ("item", "sample"))


def test_a_damaged_complete_line_stops_and_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"item": "a"}\n{"item": oops}\n')
    with pytest.raises(UserError, match="line 2: not valid JSON"):
        recover(path, ("item",))


def test_nan_is_never_written_as_json(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"r": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_none_becomes_an_empty_cell(tmp_path):
    write_csv(tmp_path / "x.csv", ("a", "b"), [{"a": None, "b": 0}])
    assert (tmp_path / "x.csv").read_text() == "a,b\n,0\n"
