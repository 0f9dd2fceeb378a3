"""What leaves this machine when a run is published, and nothing else.

Without ``--push_to_hub`` the card is written and the files are listed. Files go by an allow-list
of exact names: no optimizer states, no pickled arguments, no logs. Whatever
goes is searched for secrets first.
"""

import re
from pathlib import Path

from handan import credentials, rundir
from handan.cards import HUB_NAME, is_own, kind_of, make_card
from handan.errors import UserError
from handan.records import write_text

CARD = "README.md"
RECORDS = {CARD, "run.json", "config.yaml"}
FILES = {
    "model": RECORDS
    | {"alignment.json", "costs.csv", "config.json", "generation_config.json"}
    | {"adapter_config.json", "model.safetensors.index.json"}
    | {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}
    | {"vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja"},
    "dataset": RECORDS | {"traces.jsonl"},
}
WEIGHTS = re.compile(r"(adapter_)?model(-\d+-of-\d+)?\.safetensors")


def files_of(run_dir: Path) -> list[str]:
    """Names of the files of a run that are published, sorted."""
    kind = kind_of(run_dir)
    names = {path.name for path in run_dir.iterdir() if path.is_file()}
    weights = {name for name in names if WEIGHTS.fullmatch(name)}
    if kind == "model" and not weights:
        raise UserError(f"{run_dir}: no *.safetensors file, so there is no model to publish")
    return sorted(names & FILES[kind] | (weights if kind == "model" else set()))


def check_secrets(run_dir: Path, names: list[str]) -> None:
    """Stop if a file holds a token or key.

    Raises:
        UserError: names the file and what was found, but not its value.
    """
    from huggingface_hub import get_token

    values = credentials.of_environment()
    if stored := get_token():
        values.setdefault("stored Hugging Face token", stored)
    for name in names:
        if WEIGHTS.fullmatch(name):
            continue
        content = (run_dir / name).read_bytes()
        found = [key for key, value in values.items() if value.encode() in content]
        if not found and credentials.SHAPES.search(content):
            found = ["something that looks like an access token"]
        if found:
            raise UserError(
                f"{run_dir / name}: holds {found[0]}; take it out of the file, and revoke it if it "
                "was ever published"
            )


def write_card(run_dir: Path, repo: str | None) -> bool:
    """Write README.md, unless somebody edited it; says whether it was written."""
    path = run_dir / CARD
    if path.exists() and not is_own(path.read_text(encoding="utf-8")):
        return False
    card = make_card(run_dir, repo)
    with rundir.lock(run_dir, 0):
        write_text(path, card)
    return True


def publish(run_dir: Path, repo: str | None, push: bool, private: bool) -> None:
    """Write the card of a run, list its files, and upload them if that is asked for.

    Raises:
        UserError: the run is not complete, holds a secret, or the hub refuses.
    """
    if private and not push:
        raise UserError("--private is of a repository that --push_to_hub makes; give that too")
    if push and repo is None:
        raise UserError("--push_to_hub needs --repo OWNER/NAME")
    if repo is not None and not HUB_NAME.fullmatch(repo):
        raise UserError(f"--repo {repo}: give OWNER/NAME, of letters, digits, '-', '_' and '.'")
    rundir.refuse_links(run_dir)
    kind = kind_of(run_dir)
    written = write_card(run_dir, repo)
    print(f"{run_dir / CARD}: {'written' if written else 'edited by hand, so it is kept'}")
    names = files_of(run_dir)
    check_secrets(run_dir, names)
    for name in names:
        print(f"  {name}  {(run_dir / name).stat().st_size:,} bytes")
    if push and repo is not None:
        print(f"published: {_upload(run_dir, repo, kind, names, private)}")
    else:
        print(f"nothing was uploaded; with --push_to_hub these {len(names)} files would be")


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
