"""``handan publish``: the card of a run, and what of the run leaves this machine. Names are
escaped; files go by an allow-list of exact names and are searched for secrets first."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from handan import config, formatting, rundir
from handan.alignment.tables import tables
from handan.errors import UserError, printable
from handan.files import content_hash, read_json, read_jsonl, write_text
from handan.formatting import as_markdown, known_only, without
from handan.training.arms import described

CARD = "README.md"
RECORDS = {CARD, "run.json", "config.yaml"}
FILES = {"dataset": RECORDS | {"traces.jsonl"}, "model": RECORDS | {"alignment.json", "costs.csv"}}
FILES["model"] |= {"config.json", "generation_config.json", "adapter_config.json", "merges.txt"}
FILES["model"] |= {"model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json"}
FILES["model"] |= {"special_tokens_map.json", "added_tokens.json", "vocab.json", "tokenizer.model"}
FILES["model"] |= {"chat_template.jinja"}
WEIGHTS = re.compile(r"(adapter_)?model(-\d+-of-\d+)?\.safetensors")
QUARTILES = {"shortest": 0.0, "lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75}
QUARTILES |= {"longest": 1.0}
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)  # OWNER/NAME
MARK = re.compile(r"<!-- handan publish ([0-9a-f]+); an edited card is kept -->\n\Z")


def publish(run_dir: Path, repo: str | None, push: bool, private: bool) -> None:
    """Write the card of a run unless somebody edited it, list its files, upload if asked to."""
    if private and not push:
        raise UserError("--private is of a repository that --push_to_hub makes; give that too")
    if push and repo is None:
        raise UserError("--push_to_hub needs --repo OWNER/NAME")
    if repo is not None and not HUB_NAME.fullmatch(repo):
        raise UserError(f"--repo {repo}: give OWNER/NAME, of letters, digits, '-', '_' and '.'")
    rundir.refuse_links(run_dir)
    kind, path = kind_of(run_dir), run_dir / CARD
    if path.exists() and not is_own(path.read_text(encoding="utf-8")):
        print(f"{path}: edited by hand, so it is kept")
    else:
        card = make_card(run_dir, repo)
        with rundir.lock(run_dir, 0):
            write_text(path, card)
        print(f"{path}: written")
    names = files_of(run_dir)
    check_secrets(run_dir, names)
    for name in names:
        print(f"  {name}  {(run_dir / name).stat().st_size:,} bytes")
    if push and repo is not None:
        print(f"published: {_upload(run_dir, repo, kind, names, private)}")
    else:
        print(f"nothing was uploaded; with --push_to_hub these {len(names)} files would be")


def kind_of(run_dir: Path) -> str:
    """'model' for a trained and evaluated run, 'dataset' for a run that made traces."""
    path, give = run_dir / "run.json", "give the run directory of an arm or of traces"
    if not path.exists():
        raise UserError(f"{run_dir}: no run.json; {give}")
    run = read_json(path)
    if "traces" in run:
        return "dataset"
    if "training" not in run:
        raise UserError(f"{run_dir}: an evaluation of a model that was not trained here; {give}")
    if not run["training"].get("finished"):
        raise UserError(f"{run_dir}: its training is not finished; run the recipe again")
    if not (run_dir / "alignment.json").exists():
        raise UserError(
            f"{run_dir}: not evaluated yet, so a card would have no alignment table; run "
            f"handan evaluate --model {run_dir} --suite SUITE --output_dir {run_dir} first"
        )
    return "model"


def files_of(run_dir: Path) -> list[str]:
    """Names of the files of a run that are published, sorted."""
    kind = kind_of(run_dir)
    names = {path.name for path in run_dir.iterdir() if path.is_file()}
    weights = {name for name in names if WEIGHTS.fullmatch(name)}
    if kind == "model" and not weights:
        raise UserError(f"{run_dir}: no *.safetensors file, so there is no model to publish")
    return sorted(names & FILES[kind] | (weights if kind == "model" else set()))


def check_secrets(run_dir: Path, names: list[str]) -> None:
    """Stop if a file holds a token or key, naming the file and what was found, not its value."""
    from huggingface_hub import get_token

    token = get_token()
    stored = {"stored Hugging Face token": token} if token else {}
    for name in (name for name in names if not WEIGHTS.fullmatch(name)):
        if found := config.secrets_in((run_dir / name).read_bytes(), stored):
            cure = "take it out of the file, and revoke it if it was ever published"
            raise UserError(f"{run_dir / name}: holds {found[0]}; {cure}")


def _upload(run_dir: Path, repo: str, kind: str, names: list[str], private: bool) -> str:
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HTTPError  # of whichever client the hub's library uses

    if get_token() is None:
        raise UserError("no Hugging Face token; run `hf auth login` or set HF_TOKEN")
    hub = HfApi()
    try:
        url = hub.create_repo(repo, repo_type=kind, private=private or None, exist_ok=True)
        hub.upload_folder(
            repo_id=repo,
            repo_type=kind,
            folder_path=run_dir,
            allow_patterns=names,
            commit_message="Publish a run of handan",
        )
    except (HTTPError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"{repo}: the hub refused or could not be reached ({first})") from None
    return str(url)


def is_own(text: str) -> bool:
    """Tell whether a README.md was made by a program, ours or TRL, and not touched since."""
    if mark := MARK.search(text):
        return content_hash(text[: mark.start()].rstrip()) == mark[1]
    return "generated_from_trainer" in text


def make_card(run_dir: Path, repo: str | None) -> str:
    """The card of a run as Markdown with the hub's metadata in front."""
    from huggingface_hub import DatasetCardData, ModelCardData

    run, settings = read_json(run_dir / "run.json"), config.read_yaml(run_dir / "config.yaml")
    values: dict[str, Any] = {"run": run, "config": settings, "repo": repo}
    data: DatasetCardData | ModelCardData
    if (kind := kind_of(run_dir)) == "dataset":
        tags = ["handan", "reasoning-traces"]
        data = DatasetCardData(tags=tags, task_categories=["text-generation"])
        values |= {"made": run["traces"], "lengths": _lengths(run_dir / "traces.jsonl")}
    else:
        made, begun = run["training"], settings["training"]
        base = begun.get("model_name_or_path")
        # The hub knows no local directory as a base.
        on_hub = HUB_NAME.fullmatch(base) is not None and not Path(base).exists()
        adapter = (run_dir / "adapter_config.json").exists()
        tags = ["handan", "trl", printable(str(made["recipe"]))]
        of = {"base_model": base if on_hub else None, "pipeline_tag": "text-generation"}
        data = ModelCardData(library_name="peft" if adapter else "transformers", tags=tags, **of)
        measured = read_json(run_dir / "alignment.json")
        values |= {"made": made, "settings": begun, "trained_by": described(made["recipe"]).text}
        values |= {"tables": _tables(measured, run_dir), "notes": measured.get("notes", [])}
    loader = jinja2.FileSystemLoader(Path(__file__).with_name("cards"))
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = environment.keep_trailing_newline = True
    environment.finalize = lambda of: of if isinstance(of, Markup) else formatting.escape(of)
    environment.filters |= {"code": formatting.span, "block": _block, "listed": _listed}
    try:
        body = environment.get_template(f"{kind}.md.j2").render(values)
    except jinja2.UndefinedError as missing:
        said = f"run.json or config.yaml is not as this version writes it ({missing})"
        raise UserError(f"{run_dir}: {said}") from None
    text = f"---\n{data.to_yaml()}\n---\n\n{body}".rstrip()
    return f"{text}\n\n<!-- handan publish {content_hash(text)}; an edited card is kept -->\n"


def _tables(result: Mapping, run_dir: Path) -> list[Markup]:
    try:
        named = {table.name: table for table in tables(result)}
    except KeyError as missing:
        said = f"has no {missing}, as another version wrote it; run handan evaluate again"
        raise UserError(f"{run_dir / 'alignment.json'}: {said}") from None
    shown = [named[name] for name in ("alignment", "checks") if name in named]
    return [Markup(as_markdown(known_only(without(of, of.files_only)))) for of in shown]


def _lengths(path: Path) -> dict[str, Any]:
    rows = read_jsonl(path)
    prompts = {(row["task"], row["item"]) for row in rows}
    out: dict[str, Any] = {"traces": len(rows), "prompts": len(prompts)}
    # Imported text has no token count before a student's tokenizer is known.
    for unit in ("reasoning_tokens", "reasoning_characters"):
        lengths = sorted(row[unit] for row in rows if row.get(unit) is not None)
        if lengths:
            last = len(lengths) - 1
            out |= {f"{unit}, {name}": lengths[round(q * last)] for name, q in QUARTILES.items()}
    return out


def _block(value: object) -> Markup:
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return formatting.block(text.rstrip("\n"), "yaml")


def _listed(values: Mapping, above: str = "") -> Markup:
    lines: list[str] = []
    for key, value in values.items():
        name = f"{above}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            lines += filter(None, [_listed(value, f"{name}, ")])
        elif value is not None:
            if isinstance(value, list):
                value = ", ".join(map(str, value)) or "none"
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                value = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
            lines.append(f"- {formatting.escape(name)}: {formatting.escape(value)}")
    return Markup("\n".join(lines))
