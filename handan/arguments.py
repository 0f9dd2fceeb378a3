"""Arguments of the scripts: a YAML given with --config, and command-line keys that override it."""

import math
import sys
from pathlib import Path
from typing import Any

from handan import credentials
from handan.config import check_values, read_yaml
from handan.errors import UserError


def line_keys() -> set[str]:
    """Every key that is set on the command line."""
    return {a[2:].split("=")[0].replace("-", "_") for a in sys.argv[1:] if a.startswith("--")}


def given_keys() -> tuple[str, set[str]]:
    """Where this command's settings come from, and every key that is set there or on the line."""
    arguments, keys = sys.argv[1:], line_keys()
    if "--config" not in arguments:
        return "command line", keys
    position = arguments.index("--config") + 1
    if position == len(arguments):
        raise UserError("--config needs the path of a YAML file")
    return arguments[position], keys | set(map(str, read_yaml(Path(arguments[position]))))


def parse(
    kinds: tuple[type, ...], required: tuple[str, ...] = (), more: tuple[str, ...] = ()
) -> tuple[Any, ...]:
    """Fill dataclasses from ``--config FILE`` and the command line.

    Args:
        kinds: dataclasses whose fields are the known keys.
        required: keys that must be set although a library has a default, because they decide the
            result.
        more: words to add to the command line.

    Returns:
        One instance of each kind.

    Raises:
        UserError: a key is unknown, missing, of another kind, or has an impossible value.
    """
    from trl import TrlParser

    credentials.refuse_in_words(sys.argv[1:])
    place, given = given_keys()
    if "trust_remote_code" in line_keys():
        raise UserError(
            "--trust_remote_code: whose code is trusted is said in a YAML only, with the commit it "
            "is at"
        )
    if "env" in given:
        raise UserError(f"{place}: 'env' would change the environment; set variables there")

    class Parser(TrlParser):
        """TRL's parser, with errors of one line."""

        def error(self, message: str) -> Any:
            raise UserError(f"{place}: {message}")

    if place != "command line":
        check_values(read_yaml(Path(place)), kinds, place, words=True)
    absent = [key for key in required if key not in given]
    if absent and "help" not in given:
        raise UserError(f"{place}: set '{absent[0]}'; it decides the result and has no default")
    try:
        # Without abbreviations: a misspelt key must not pass for another one.
        parsed = Parser(kinds, allow_abbrev=False).parse_args_and_config([*sys.argv[1:], *more])
    except (ValueError, TypeError) as error:
        raise UserError(f"{place}: {' '.join(str(error).split())}") from None
    except ZeroDivisionError:
        raise UserError(
            f"{place}: a number that the trainer divides by is 0, such as num_generations or "
            "gradient_accumulation_steps; give at least 1"
        ) from None
    # argparse takes 'nan' on a command line for a number.
    for key, value in (item for part in parsed for item in vars(part).items()):
        if key in given and isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{place}: {key}: {value} is no finite number; give one")
    return parsed
