"""Files of trials as experiment software writes them: read rightly, or refused in one sentence."""

import re

import numpy as np
import pytest

from handan import norms
from handan.alignment.participants import participants_of_trials
from handan.errors import UserError
from handan.norms.compute import compute

HEADER = "task,item,participant,rt_ms,correct"
NUM_PEOPLE, NUM_ITEMS = 12, 10


def trials(seed=1, unit=1.0):
    """Rows (item, participant, time) of a complete design around a second."""
    rng = np.random.default_rng(seed)
    return [
        (f"i{i}", f"p {p}", round(unit * (900 + 60 * i + 80 * rng.random()), 4))
        for p in range(NUM_PEOPLE)
        for i in range(NUM_ITEMS)
    ]


ROWS = [f"sums,{item},{person},{rt},1" for item, person, rt in trials()]
PLAIN = "\n".join([HEADER, *ROWS]) + "\n"


def with_last(cells):
    """The plain file with these cells in the last row."""
    return "\n".join([HEADER, *ROWS[:-1], cells]) + "\n"


def timed(shown, header=HEADER):
    """The plain file with its times shown in another way."""
    rows = [f"sums,{item},{person},{shown(person, rt)},1" for item, person, rt in trials()]
    return "\n".join([header, *rows]) + "\n"


def quoted(text):
    lines = text.strip().split("\n")
    return "\r\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in lines) + "\r\n"


def computed(folder, content, **options):
    path = folder / "trials.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    compute(path, "lab", folder / "out", splits=20, **options)
    return norms.load("sums", "lab", folder / "out")


SECONDS = HEADER.replace("rt_ms", "rt_s")

READ = {
    "quotes and CRLF": quoted(PLAIN),
    "CR only": PLAIN.replace("\n", "\r"),
    "a byte order mark": "\ufeff" + PLAIN,
    "blank lines": PLAIN.replace("\n", "\n\n") + "\n,,,,\n",
    "a line of commas in the middle": PLAIN.replace(ROWS[5], ROWS[5] + "\n , ,,,"),
    "Gorilla's last line": PLAIN + "END OF FILE,,,,\n",
    "Gorilla's last line, short": PLAIN + "END OF FILE\n",
    "a header in capitals": PLAIN.replace(HEADER, "Task,Item,Participant,RT_ms,Correct"),
    "PsychoPy's last comma": PLAIN.replace("\n", ",\n"),
    "an index of pandas": "\n".join(
        ["," + HEADER, *(f"{number},{row}" for number, row in enumerate(ROWS))]
    ),
    "TRUE of R": PLAIN.replace(",1\n", ",TRUE\n"),
    "seconds": timed(lambda _, rt: rt / 1000, SECONDS),
}


@pytest.mark.parametrize("name", READ)
def test_a_file_of_a_tool_gives_the_means_of_the_plain_one(tmp_path, name):
    for folder in ("plain", "tool"):
        (tmp_path / folder).mkdir()
    plain = computed(tmp_path / "plain", PLAIN)
    assert computed(tmp_path / "tool", READ[name]) == plain


# Sentences that name the file, the line where there is one, the column and what to do.
REFUSED = {
    "null of jsPsych": (
        quoted(with_last("sums,i9,p 11,null,false")),
        r"line 121: rt_ms is 'null', not a plain number.* remove the row if it is no trial",
    ),
    "NA of R": (with_last("sums,i9,p 11,NA,NA"), r"line 121: rt_ms is 'NA', .*remove the row"),
    "NA for an answer": (with_last("sums,i9,p 11,950,NA"), r"line 121: correct is 'NA'; use true"),
    "nothing for a time-out": (with_last("sums,i9,p 11,,0"), r"line 121: empty rt_ms; .*remove"),
    "-1 for a time-out": (with_last("sums,i9,p 11,-1,0"), r"line 121: rt_ms is -1; .*remove"),
    "0 for a time-out": (with_last("sums,i9,p 11,0,0"), r"line 121: rt_ms is 0; .*remove"),
    "words for answers": (PLAIN.replace(",1\n", ",correct\n"), r"line 2: correct is 'corre"),
    "a list of PsychoPy": (
        timed(lambda _, rt: f"[{rt}]"), r"line 2: rt_ms is '\[.*\]', not a plain number.*write it"
    ),
    "a time of pandas": (
        timed(lambda _, rt: f"0 days 00:00:0{rt / 1000:.3f}", SECONDS),
        r"line 2: rt_s is '0 days .*', not a plain number such as 12 or 3.5; write it so",
    ),
    "commas between thousands": (
        timed(lambda _, rt: f'"{rt:,.1f}"'), r"rt_ms is '1,\d{3}\.\d', not a plain number"
    ),
    "points between thousands": (
        timed(lambda _, rt: f"{rt / 1000:.3f}" if rt >= 1400 else f"{rt:.0f}"),
        r"line \d+: rt_ms is 1\.4\d+, but participants of task 'sums' usually take 1\d+.*; "
        r"\d+ of 120 trials are over 300 times off: give all times in one unit and without marks",
    ),
    "tabs": (PLAIN.replace(",", "\t"), r"line 1: columns are separated by '\\t'; save it with"),
    "semicolons": (
        PLAIN.replace(",", ";").replace(".", ","), "line 1: columns are separated by ';'; save"
    ),
    "UTF-16": (PLAIN.replace(",", "\t").encode("utf-16"), "line 1: not UTF-8; save the file as"),
    "the first line of E-Prime": (
        "C:\\data\\exp.edat2\n" + PLAIN,
        "no column task, item, participant; .*in line 1, or remove what stands above the line that",
    ),
    "no header": ("\n".join(ROWS), "no column task, item, participant; .*rename or add it in l"),
    "two headers": (
        PLAIN.replace(HEADER, HEADER + ",Item").replace(",1\n", ",1,x\n"),
        "line 1: column 'item' appears twice; remove one",
    ),
    "rows after the end": (
        PLAIN.replace(ROWS[5], "END OF FILE\n" + ROWS[5]), "line 7: 'END OF FILE', but rows follow"
    ),
    "a short row": (PLAIN + "sums,i9\n", "line 122: 2 cells under 5 columns"),
    "four people in seconds": (
        timed(lambda person, rt: rt if int(person[2:]) < 8 else rt / 1000),
        r"line 82: rt_ms is 0\.\d+, but .*usually take 1\d+.*; the medians of 4 of 12 partici"
        "pants, such as 'p 8', are over 100 times off: give all times in one unit",
    ),
    "half of the people in seconds": (
        timed(lambda person, rt: rt if int(person[2:]) < 6 else rt / 1000),
        "the medians of 6 of 12 participants, such as",
    ),
    "one of many people in milliseconds": (
        timed(lambda person, rt: rt if person == "p 4" else rt / 1000, SECONDS),
        r"line 42: rt_s is 9\d\d\.?\d*, but .* 1 of 12 participants, such as 'p 4'",
    ),
    "a third of the items in seconds": (
        timed(lambda _, rt: rt if rt < 1300 else rt / 1000), r"\d+ of 120 trials are over 300 times"
    ),
    "microseconds": (
        timed(lambda _, rt: f"{rt * 1000:.0f}"),
        r"no usable trials for sums\.lab \(.*120 over 300 s.*the median is 1\d+\.\d+ s: is the u",
    ),
    "microseconds for seconds": (
        timed(lambda _, rt: f"{rt * 1000:.0f}", SECONDS), "the median rt_s of task 'sums' is 1.*e"
    ),
    "some microseconds beyond the ceiling": (
        timed(lambda _, rt: f"{rt * 260:.0f}"), "too few usable trials .* the median is 3.* s: is"
    ),
    "seconds for milliseconds": (
        timed(lambda _, rt: rt / 1000), "the median rt_ms of task 'sums' is 1.*, probably seconds"
    ),
    "long seconds for milliseconds": (
        timed(lambda _, rt: rt / 10), "the median rt_ms of task 'sums' is 1.*, probably seconds"
    ),
    "milliseconds for seconds": (
        timed(lambda _, rt: rt, SECONDS), "the median rt_s .*, probably milliseconds: name the"
    ),
    "fast milliseconds for seconds": (
        timed(lambda _, rt: rt / 5, SECONDS), "the median rt_s .* is 2.*, probably milliseconds"
    ),
    "a trial without its number": (
        PLAIN.replace("correct\n", "correct,trial\n").replace(",1\n", ",1,\n"), "line 2: trial is"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_could_be_misread_is_refused_with_line_column_and_cure(tmp_path, name):
    content, sentence = REFUSED[name]
    with pytest.raises(UserError) as caught:
        computed(tmp_path, content)
    assert str(caught.value).startswith(str(tmp_path / "trials.csv"))
    assert re.search(sentence, str(caught.value)), str(caught.value)
    assert not (tmp_path / "out").exists()


def deadline(correct):
    """Times cut at three seconds for half of the people on the last three items."""
    rows = [
        f"sums,{item},{person},3000,{correct}"
        if int(item[1:]) > 6 and int(person[2:]) % 2
        else f"sums,{item},{person},{rt},1"
        for item, person, rt in trials()
    ]
    return "\n".join([HEADER, *rows]) + "\n"


@pytest.mark.parametrize(("correct", "counted"), [("", 18), ("0", 0)])
def test_trials_cut_at_a_deadline_are_counted_and_said(tmp_path, capsys, correct, counted):
    computed(tmp_path, deadline(correct))
    printed = capsys.readouterr().out
    sentence = f"sums.lab: 18 trials on 3 items end at its longest time, 3 s, and {counted} of them"
    assert sentence in printed
    table = computed(tmp_path, deadline(correct), ceiling_s=2.9)
    assert table.trials == 102
    assert "deadline" not in capsys.readouterr().out.replace(printed, "")


def test_a_deadline_is_said_beside_costs_too(tmp_path):
    from handan.alignment.costs import as_table

    path = tmp_path / "trials.csv"
    path.write_text(deadline(""))
    rows = [{"task": "sums", "item": "i1", "reasoning_tokens": 3, "human_rt_s": 1}]
    _, notes = participants_of_trials(path, as_table(rows))
    assert any("18 trials on 3 items end at its longest time" in note for note in notes)


def test_a_deadline_that_a_screen_meets_to_a_frame_is_said_too(tmp_path, capsys):
    rng = np.random.default_rng(0)
    content = re.sub("3000", lambda _: f"{3000 - 16 * rng.random():.2f}", deadline("0"))
    computed(tmp_path, content)
    assert "18 trials on 3 items end at its longest time, 2.99" in capsys.readouterr().out


def test_times_without_a_deadline_are_not_taken_for_one(tmp_path, capsys):
    for seed in range(20):
        rows = [f"sums,{item},{person},{rt},1" for item, person, rt in trials(seed)]
        computed(tmp_path, "\n".join([HEADER, *rows]))
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize(("unit", "shown"), [(0.2, "0.2"), (200, "2")])
def test_a_median_that_few_tasks_have_is_named(tmp_path, capsys, unit, shown):
    computed(tmp_path, timed(lambda _, rt: rt * unit))
    assert f"sums.lab: the median response time is {shown}" in capsys.readouterr().out


def test_a_few_absurd_times_are_left_out_as_before(tmp_path, capsys):
    absurd = PLAIN + "sums,i1,p 0,1,1\nsums,i1,p 1,4000000,1\n"
    assert computed(tmp_path, absurd).items == computed(tmp_path, PLAIN).items
    assert "left out: 1 under 0.2 s, 1 over 300 s" in capsys.readouterr().out
