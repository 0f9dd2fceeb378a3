import numpy as np
import pytest

from handan.alignment.costs import as_table, read_costs
from handan.errors import UserError

HEADER = "model,task,item,sample,reasoning_tokens,human_rt_s,correct,status\n"


@pytest.fixture
def write(tmp_path):
    """Writes text or bytes as costs.csv and returns its path."""

    def to_file(content):
        path = tmp_path / "costs.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to_file


def test_reads_a_row_with_all_its_values(write):
    costs = read_costs(write(HEADER + "m,add,1+1,0,12,3.5,True,complete\n"))
    text, numbers = costs.table.text, costs.table.numbers
    assert [text[name] for name in ("model", "task", "item", "sample")] == [
        *(["m"], ["add"], ["1+1"], ["0"])
    ]
    assert [numbers[name][0] for name in ("reasoning_tokens", "human_rt_s", "correct")] == [
        *(12, 3.5, 1)
    ]
    assert (text["status"], text["norms"]) == (["complete"], [""])
    assert all(np.isnan(numbers[name][0]) for name in ("step", "analytic_cost", "oracle_tokens"))
    assert costs.table.places[0].endswith("costs.csv, line 2")
    assert costs.notes == []


def test_only_required_columns_are_enough(write):
    costs = read_costs(write("task,item,reasoning_tokens,human_rt_s\nadd,a,3,1\nadd,b,4,2\n"))
    assert costs.table.text["model"] == ["model", "model"]
    assert np.isnan(costs.table.numbers["correct"]).all()


def test_greedy_responses_are_a_model_of_their_own_also_where_only_the_name_says_so(write):
    header = "model,decoding,task,item,reasoning_tokens,human_rt_s\n"
    rows = "m,sampled,add,a,3,1\nm,greedy,add,a,4,1\nm,,add,b,3,1\nm (T=0),,add,b,4,1\n"
    text = read_costs(write(header + rows)).table.text
    assert text["model"] == ["m", "m (T=0)"] * 2
    assert text["decoding"] == ["sampled", "greedy"] * 2
    with pytest.raises(UserError, match="line 2: decoding is 'hot'; use sampled, greedy"):
        read_costs(write(header + "m,hot,add,a,3,1\n"))


def test_byte_order_mark_windows_line_ends_and_whole_floats_are_accepted(write):
    text = "task,item,reasoning_tokens,human_rt_s\r\nadd, a ,3.0,1\r\n\r\n"
    table = read_costs(write(b"\xef\xbb\xbf" + text.encode())).table
    assert (table.text["item"], list(table.numbers["reasoning_tokens"])) == (["a"], [3])


def test_unknown_columns_are_ignored_and_named(write):
    costs = read_costs(write("task,item,reasoning_tokens,human_rt_s,mood,place\nadd,a,3,1,x,y\n"))
    assert len(costs.table) == 1
    assert costs.notes[0].endswith("ignored unknown columns: mood, place")


def test_rows_without_a_sample_column_are_numbered_and_counted(write):
    text = "task,item,reasoning_tokens,human_rt_s\nadd,a,3,1\nadd,b,4,2\nadd,a,5,1\n"
    costs = read_costs(write(text))
    assert costs.table.text["sample"] == ["0", "0", "1"]
    assert "1 rows that repeat an item" in costs.notes[0]


def test_line_numbers_count_lines_inside_quotes(write):
    text = 'task,item,reasoning_tokens,human_rt_s\nadd,"a\nb",3,1\nadd,c,-1,1\n'
    with pytest.raises(UserError, match="line 4: reasoning_tokens is -1"):
        read_costs(write(text))


BAD_FILES = {
    "empty file": ("", "costs.csv: empty"),
    "header alone": (HEADER, "no rows"),
    "semicolons": ("task;item;reasoning_tokens;human_rt_s\nadd;a;3;1\n", "separated by ';'"),
    "tabs": ("task\titem\treasoning_tokens\thuman_rt_s\n", r"separated by '\\t'"),
    "missing columns": ("task,reasoning_tokens,human_rt_s\n", "no column item; found: task,"),
    "no cost column": ("task,item,reasoning_tokens\nadd,a,3\n", "human_rt_s or analytic_cost"),
    "repeated column": ("task,item,item,reasoning_tokens,human_rt_s\n", "'item' appears twice"),
    "ragged row": (HEADER + "m,add,a,0,3,1\n", "line 2: 6 cells under 8 columns"),
    "open quote": (HEADER + 'm,add,"a,0,3,1,,\n', "not valid CSV"),
    "not UTF-8": (HEADER.encode() + b"m,add,\xe9,0,3,1,,\n", "line 2: not UTF-8"),
    "UTF-16": (HEADER.encode("utf-16"), "line 1: not UTF-8"),
    "empty task": (HEADER + "m,,a,0,3,1,,\n", "line 2: empty task"),
    "empty model": (HEADER + ",add,a,0,3,1,,\n", "line 2: empty model"),
    "empty tokens": (HEADER + "m,add,a,0,,1,,\n", "line 2: empty reasoning_tokens"),
    "NaN tokens": (HEADER + "m,add,a,0,nan,1,,\n", "reasoning_tokens is 'nan', not a plain"),
    "infinite time": (HEADER + "m,add,a,0,3,inf,,\n", "human_rt_s is 'inf', not a plain"),
    "overflowing time": (HEADER + "m,add,a,0,3,1e999,,\n", "human_rt_s is '1e999', not a plain"),
    "grouped digits": (HEADER + "m,add,a,0,1_000,1,,\n", "not a plain number"),
    "negative tokens": (HEADER + "m,add,a,0,-3,1,,\n", "reasoning_tokens is -3"),
    "zero time": (HEADER + "m,add,a,0,3,0,,\n", "human_rt_s is 0; logarithms need a positive"),
    "negative time": (HEADER + "m,add,a,0,3,-2,,\n", "human_rt_s is -2"),
    "no time": (HEADER + "m,add,a,0,3,,,\n", "fill in one of"),
    "unknown status": (HEADER + "m,add,a,0,3,1,,done\n", "status is 'done'; use complete"),
    "unknown correct": (HEADER + "m,add,a,0,3,1,maybe,\n", "correct is 'maybe'; use true"),
    "contradicting status": (HEADER + "m,add,a,0,3,1,,no_reasoning\n", "no_reasoning with 3"),
    "duplicate": (
        HEADER + "m,add,a,0,3,1,,\nm,add,b,0,3,1,,\nm,add,a,0,4,1,,\n",
        r"line 4: same model, .* as .*line 2",
    ),
    "two times for an item": (
        HEADER + "m,add,a,0,3,1,,\nm2,add,a,0,3,2,,\n",
        r"line 3: item 'a' costs people 2 but 1 at .*line 2",
    ),
}


@pytest.mark.parametrize("content, sentence", BAD_FILES.values(), ids=BAD_FILES)
def test_bad_input_is_one_sentence_with_its_place(write, content, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        read_costs(write(content))
    assert "costs.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_directory_are_told(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_costs(tmp_path / "none.csv")
    with pytest.raises(UserError, match="cannot be read"):
        read_costs(tmp_path)


def records(*changes):
    row = {"task": "add", "item": "a", "sample": 0, "reasoning_tokens": 3, "human_rt_s": 1.0}
    return [row | change for change in changes]


def test_records_are_read_like_rows_of_a_file():
    table = as_table(records({"step": None, "correct": True, "status": "truncated"}))
    assert np.isnan(table.numbers["step"][0])
    assert (table.numbers["correct"][0], table.text["status"]) == (1, ["truncated"])
    with pytest.raises(UserError, match="row 2 of the table: empty reasoning_tokens"):
        as_table(records({}, {"reasoning_tokens": float("nan")}))


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ([{}, {"item": "b", "human_rt_s": None, "analytic_cost": 2}], "given by analytic_cost but"),
        ([{"analytic_cost": 2}], "not both or none"),
        ([{"norms": "x"}, {"item": "b", "norms": "y"}], "norms of task 'add' are 'y' but 'x'"),
        ([{"human_rt_s": None, "analytic_cost": 1, "norms": "x"}], "norms are of people"),
        ([{"oracle_tokens": 5}, {"sample": 1, "oracle_tokens": 6}], "oracle_tokens of item 'a'"),
        ([{"oracle_tokens": 5}, {"item": "b", "oracle_tokens": None}], "all items of a task or"),
        ([{"participant": "p"}, {"item": "b", "participant": ""}], "without participant"),
        (
            [{"participant": "p"}, {"participant": "q", "reasoning_tokens": 4}],
            "for another participant",
        ),
    ],
)
def test_rows_that_contradict_each_other_are_refused(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        as_table(records(*changes))


def test_participants_of_an_item_may_differ_in_time():
    table = as_table(records({"participant": "p"}, {"participant": "q", "human_rt_s": 4.0}))
    assert list(table.numbers["human_rt_s"]) == [1.0, 4.0]
