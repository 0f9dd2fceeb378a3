import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from disks import as_nobody, largest_file, one_sentence, own_disk, python
from embedded import ROOT

from handan.errors import UserError, disk_sentence
from handan.files import append, append_jsonl, read_jsonl, write, write_json
from handan.rundir import recover

ROW = {"item": "a", "text": "x" * 10_000}
FULL = r"cannot be written \(No space left on device\); free space and run the same command again"


def test_what_does_not_fit_on_a_full_disk_leaves_the_rows_before_it_whole(tmp_path):
    with own_disk(tmp_path / "disk", "128k") as disk:
        path = disk / "generations.jsonl"
        append_jsonl(path, [ROW] * 3)
        with pytest.raises(UserError, match=f"{path}: {FULL}"):
            append_jsonl(path, [ROW] * 20)
        assert read_jsonl(path) == [ROW] * 3
        append_jsonl(path, [ROW])  # a smaller batch still fits
        assert read_jsonl(path) == [ROW] * 4


def test_a_whole_file_that_does_not_fit_leaves_the_old_one_and_no_rest(tmp_path):
    with own_disk(tmp_path / "disk", "64k") as disk:
        path = disk / "alignment.json"
        write_json(path, {"r": 0.5})
        with pytest.raises(UserError, match=f"{path}: {FULL}"):
            write_json(path, {"r": "x" * 100_000})
        assert path.read_text() == '{\n "r": 0.5\n}\n'
        assert [entry.name for entry in disk.iterdir()] == ["alignment.json"]


def test_a_disk_that_turned_read_only_is_told_with_the_file(tmp_path):
    with own_disk(tmp_path / "disk", "64k") as disk:
        append_jsonl(disk / "rows.jsonl", [{"item": "a"}])
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for name in ("rows.jsonl", "new/rows.jsonl"):
            with pytest.raises(UserError, match=r"\(Read-only file system\); choose another path"):
                append_jsonl(disk / name, [{"item": "b"}])
        with pytest.raises(UserError, match=r"rows.jsonl: cannot be written \(Read-only"):
            write_json(disk / "rows.jsonl", {})
        assert read_jsonl(disk / "rows.jsonl") == [{"item": "a"}]


def test_a_limit_on_the_size_of_files_is_told_and_takes_no_row(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_jsonl(path, [ROW])
    with (
        largest_file(25_000),
        pytest.raises(UserError, match=r"rows.jsonl: .*\(File too large\); raise the limit"),
    ):
        append_jsonl(path, [ROW, ROW])
    assert read_jsonl(path) == [ROW]


def test_a_command_ends_with_one_sentence_when_its_disk_is_full(tmp_path):
    (tmp_path / "rows.jsonl").symlink_to("/dev/full")
    code = (
        "import sys; from pathlib import Path; from handan import errors, files\n"
        "errors.run_main(lambda: files.append_jsonl(Path(sys.argv[1]), [{'item': 'a'}]))"
    )
    told = one_sentence(python(code, tmp_path / "rows.jsonl"))
    assert re.search(f"handan: error: {tmp_path}/rows.jsonl: {FULL}", told)


def test_other_libraries_that_fill_a_disk_are_told_too(tmp_path):
    code = (
        "from handan import errors\n"
        "def fill():\n"
        "    with open('/dev/full', 'w') as file: file.write('x')\n"
        "errors.run_main(fill)"
    )
    told = one_sentence(python(code))
    assert "a file: cannot be read or written (No space left on device)" in told


def test_standard_output_on_a_full_disk_is_named(tmp_path):
    code = "from handan import errors; errors.run_main(lambda: print('a table'))"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert "standard output: cannot be read or written (No space left" in one_sentence(done)


def test_a_directory_without_permission_is_named():
    code = "errors.run_main(lambda: files.write_json(Path(sys.argv[1]), {}))"
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others altogether
        os.chmod(folder, 0o555)
        told = one_sentence(as_nobody(code, f"{folder}/run.json"))
    assert f"{folder}/run.json: cannot be written (Permission denied); change its perm" in told


def test_an_output_below_a_file_and_one_that_is_a_directory_are_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=rf"{tmp_path}/file is a file, not a directory"):
        append_jsonl(tmp_path / "file" / "run" / "rows.jsonl", [])
    (tmp_path / "folder").mkdir()
    for write_it in (write, append):
        with pytest.raises(UserError, match=r"folder: .*Is a directory.*give the path of a file"):
            write_it(tmp_path / "folder", b"x")


def test_a_directory_that_others_cannot_make_is_told_and_our_own_mistake_is_not(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError) as raised:
        os.makedirs(tmp_path / "file", exist_ok=True)  # as transformers makes its output_dir
    assert "is a file, not a directory" in disk_sentence(raised.value)
    with pytest.raises(FileExistsError) as raised:
        os.mkdir(tmp_path)
    assert disk_sentence(raised.value) is None
    assert disk_sentence(OSError("no number")) is None
    assert disk_sentence(OSError(errno.EACCES, "of a connection")) is None


def test_a_link_is_replaced_and_a_device_stays_one(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"of others")
    for name in ("run.json", "run.json.partial"):
        (tmp_path / name).symlink_to(outside)
    write(tmp_path / "run.json", b"new")
    assert (tmp_path / "run.json").read_bytes() == b"new"
    assert not (tmp_path / "run.json").is_symlink()
    assert outside.read_bytes() == b"of others"
    with pytest.raises(UserError, match=r"/dev/full: .*No space left"):
        write(Path("/dev/full"), b"x")
    write(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("call", ["os.replace", "os.fsync"])
def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(tmp_path, call):
    path = tmp_path / "run.json"
    write_json(path, {"step": 1})
    code = (
        "import os, signal, sys; from pathlib import Path; from handan.files import write_json\n"
        f"{call} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_json(Path(sys.argv[1]), {'step': 2})"
    )
    assert python(code, path).returncode == -signal.SIGKILL
    assert path.read_text() == '{\n "step": 1\n}\n'
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["run.json", "run.json.partial"]
    write_json(path, {"step": 3})
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_rows_of_a_writer_that_is_killed_are_whole_and_in_order(tmp_path):
    path = tmp_path / "rows.jsonl"
    code = (
        "import sys; from pathlib import Path; from handan.files import *\n"
        "from handan.rundir import recover\n"
        "path = Path(sys.argv[1])\n"
        "number = len(recover(path, ('number',)))\n"
        "while True:\n"
        "    append_jsonl(path, [{'number': number, 'text': 'x' * 1_000_000}])\n"
        "    number += 1"
    )
    rows = []
    for wait_s in (0.03, 0.011, 0.047):
        writer = subprocess.Popen([sys.executable, "-c", code, path], cwd=ROOT)
        before = len(rows)
        deadline = time.monotonic() + 300
        while not path.exists() or path.stat().st_size < (before + 2) * 1_000_000:
            assert time.monotonic() < deadline and writer.poll() is None
            time.sleep(0.001)
        time.sleep(wait_s)
        writer.kill()
        writer.wait()
        rows = recover(path, ("number",))
        assert [row["number"] for row in rows] == list(range(len(rows)))
        assert all(len(row["text"]) == 1_000_000 for row in rows)
        assert len(rows) > before


def test_names_are_on_disk_after_what_they_name(tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("no strace to see the calls with")
    code = (
        "import sys; from pathlib import Path; from handan.files import *\n"
        "write_json(Path(sys.argv[1], 'new', 'run.json'), {})\n"
        "append_jsonl(Path(sys.argv[1], 'new', 'rows.jsonl'), [{}])\n"
        "append_jsonl(Path(sys.argv[1], 'new', 'rows.jsonl'), [{}])"
    )
    trace = ["strace", "-y", "-o", tmp_path / "calls", "-e", "trace=fsync,/rename,/mkdir"]
    done = subprocess.run(
        [*trace, sys.executable, "-B", "-c", code, tmp_path], cwd=ROOT, capture_output=True
    )
    if done.returncode:
        pytest.skip(f"strace is not allowed here: {done.stderr.decode().strip()[:200]}")
    pattern = r'^(\w+)\((?:\d+<|[^"\n]*")[^">\n]*?([^"/>\n]+)[">]'
    assert re.findall(pattern, (tmp_path / "calls").read_text(), re.M) == [
        ("mkdir", "new"),
        ("fsync", tmp_path.name),
        ("fsync", "run.json.partial"),
        ("rename", "run.json.partial"),
        ("fsync", "new"),
        ("fsync", "rows.jsonl"),
        ("fsync", "new"),
        ("fsync", "rows.jsonl"),
    ]


def test_no_part_of_the_project_writes_files_in_another_way():
    # The writer itself, a lock, a number, a pipe, and a write that only asks whether it is refused.
    others = {"files.py", "rundir.py", "stopping.py", "math_worker.py", "saving.py"}
    ways = (
        r"(?<!files)\.write_(text|bytes)\(",
        r"open\([^\n]*\"[wax]b?\+?\"",
        r"\.savefig\(|to_csv\(",
    )
    pattern = re.compile("|".join(ways))
    sources = [path for path in (ROOT / "handan").rglob("*.py") if path.name not in others]
    assert len(sources) > 50
    found = [
        f"{path.name}: {line}"
        for path in sources
        for line in path.read_text().splitlines()
        if pattern.search(line)
    ]
    assert found == []
