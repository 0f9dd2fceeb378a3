from dataclasses import dataclass

import pytest

from handan.config import load_yaml
from handan.errors import UserError


@dataclass(frozen=True)
class Inner:
    rate: float


@dataclass(frozen=True)
class Settings:
    name: str
    inner: Inner
    sizes: list[int]
    limit: int | None
    on: bool = True


GOOD = "name: x\ninner: {rate: 1}\nsizes: [1, 2]\nlimit: null\n"


def read(tmp_path, text):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return load_yaml(path, Settings)


def test_a_good_file_is_read_with_types(tmp_path):
    assert read(tmp_path, GOOD) == Settings("x", Inner(1.0), [1, 2], None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "extra: 1\n", "unknown key 'extra'; remove it"),
        (GOOD.replace("name: x\n", ""), "key 'name' is missing"),
        (GOOD.replace("rate: 1", "rat: 1"), "inner: unknown key 'rat'; did you mean 'rate'"),
        (GOOD.replace("rate: 1", "rate: fast"), "inner: rate: expected a number, found 'fast'"),
        (GOOD.replace("[1, 2]", "[1, a]"), r"sizes\[1\]: expected a whole number, found 'a'"),
        (GOOD.replace("[1, 2]", "[1, true]"), r"sizes\[1\]: expected a whole number, found True"),
        (GOOD.replace("limit: null", "limit: many"), "limit: expected a whole number"),
        (GOOD.replace("name: x", "name: null"), "name: expected text, found None"),
        ("- a\n", "expected 'key: value' lines"),
        ("a: [\n", "not valid YAML"),
        ("a: !!python/object/apply:os.system [true]\n", "not valid YAML"),
    ],
)
def test_a_bad_file_names_the_key(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.yaml: no such file"):
        load_yaml(tmp_path / "none.yaml", Settings)


LEVELS = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
MERGED = [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 12)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n".join(["a0: &a0 [x, x]", *LEVELS]), "its aliases stand for over 100,000 values"),
        ("\n".join(["a0: &a0 {x: 1}", *MERGED]), "its aliases stand for over 100,000 values"),
        ("name: &name [*name]", "an alias stands for something that it is part of"),
        ("name: " + "[" * 20_000, "nested too deeply"),
        ("name: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("name: [" + "x, " * 5_000 + "x]", r"expected text, found \['x', .*…$"),
    ],
)
def test_a_file_made_to_exhaust_or_to_run_something_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as stopped:
        read(tmp_path, f"{text}\n")
    assert len(str(stopped.value)) < 1_000


def test_aliases_may_stand_for_a_few_values(tmp_path):
    text = GOOD.replace("{rate: 1}", "&inner {rate: 1}")
    assert read(tmp_path, text).inner == Inner(1.0)
