"""Cards say what the run recorded, and what is published is a list of exact names."""

import base64
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from report_runs import cost_rows, trained, write_run

from handan.alignment.align import align
from handan.errors import UserError
from handan.files import write_json
from handan.publish import check_secrets, files_of, is_own, make_card, publish

SECRET = "planted-secret-5f1e"
FACTS = {
    "python": "3.11",
    "versions": {"handan": "0.1.0", "torch": None},
    "git": {"commit": "abc", "dirty": True},
    "hardware": {"cores": 2, "accelerators": []},
}
NOT_PUBLISHED = (
    "training_args.bin",
    "optimizer.pt",
    ".env",
    "generations.jsonl",
    "metrics.jsonl",
    "notes.txt",
    "checkpoint-2/model.safetensors",
    "checkpoint-2/optimizer.pt",
    "wandb/run/logs/debug.log",
)
PUBLISHED = ["README.md", "alignment.json", "chat_template.jinja", "config.json", "config.yaml"]
PUBLISHED += ["costs.csv", "model.safetensors", "run.json", "tokenizer.json"]


@pytest.fixture
def arm(tmp_path):
    """A trained and evaluated arm, beside files that are nobody's business."""
    rows = cost_rows("sft|*x*", 0.6, num_items=20)
    training = trained("sft_distill", "teacher") | FACTS | {"finished": True}
    folder = write_run(tmp_path / "arm", rows, arm="sft|*x*", training=training, start="hash")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["training"] |= {"model_name_or_path": "Qwen/Qwen2.5-1.5B", "model_revision": "main"}
    config["training"] |= {"note": "a ``` fence"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    run = json.loads((folder / "run.json").read_text())
    run["comparability"] |= {"suite_version": 3}
    write_json(folder / "run.json", run)
    write_json(folder / "alignment.json", align(rows, bootstrap=200, seed=0))
    for name in (*NOT_PUBLISHED, "model.safetensors", "config.json", "tokenizer.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "chat_template.jinja").write_text("")
    return folder


@pytest.fixture
def traces(tmp_path):
    """A run that made three traces."""
    folder = tmp_path / "traces"
    folder.mkdir()
    counts = {"responses": 5, "kept": 3, "dropped": {"wrong": 2}, "decontaminated": {"13-gram": 7}}
    made = FACTS | {"command": "recipes/traces.py", "counts": counts}
    write_json(folder / "run.json", {"arm": "r1", "traces": made})
    (folder / "config.yaml").write_text(yaml.safe_dump({"traces": {"temperature": 0.6}}))
    lengths = (10, 30, None)
    rows = [{"task": "t", "item": f"i{n}", "reasoning_tokens": n} for n in lengths]
    (folder / "traces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "generations.jsonl").write_text("")
    return folder


def test_a_model_card_holds_figures_settings_budget_and_limits(arm):
    card = make_card(arm, "me/arm")
    front = yaml.safe_load(card.split("---")[1])
    assert front["base_model"] == "Qwen/Qwen2.5-1.5B"
    assert front["tags"] == ["handan", "trl", "sft_distill"]
    row = next(line for line in card.splitlines() if "alpha" in line and "T=0" not in line)
    figures = json.loads((arm / "alignment.json").read_text())["models"]["sft|*x*"]["tasks"]
    shown = f"{figures['alpha']['r_loglog']:.2f}".replace("0.", ".", 1)
    assert "|  20 |" in row and f" {shown} \\[" in row
    assert "- trained tokens: 1,000" in card
    assert "- hardware, accelerators: none" in card
    assert "temperature 1.0, at most 64 tokens" in card
    assert "version 3" in card and "Teacher: `teacher`" in card
    assert "What the figures do not say" in card


def test_names_of_others_cannot_write_markdown(arm):
    card = make_card(arm, None)
    assert "# sft&#124;\\*x\\*\n" in card
    assert "| sft&#124;\\*x\\* " in card
    # The settings stand between more backticks than they hold.
    assert "\n````yaml\n" in card and "a ``` fence" in card


def test_a_dataset_card_counts_what_was_dropped_and_how_long_the_rest_is(traces):
    card = make_card(traces, "me/traces")
    for line in (
        "- traces: 3",
        "- reasoning tokens, longest: 30",
        "- dropped, wrong: 2",
        "- decontaminated, 13-gram: 7",
        "temperature: 0.6",
    ):
        assert line in card
    assert files_of(traces) == ["config.yaml", "run.json", "traces.jsonl"]


def test_only_named_files_are_published(arm, capsys):
    publish(arm, None, push=False, private=False)
    assert files_of(arm) == PUBLISHED
    said = capsys.readouterr().out
    assert "nothing was uploaded" in said and "optimizer" not in said


def test_an_edited_card_is_kept_and_any_other_is_made_anew(arm):
    card = arm / "README.md"
    card.write_text("tags:\n- generated_from_trainer\n")  # as TRL leaves one at every checkpoint
    publish(arm, None, push=False, private=False)
    made = card.read_text()
    assert is_own(made) and "# sft" in made
    publish(arm, "me/arm", push=False, private=False)
    assert "# me/arm" in card.read_text()
    card.write_text(card.read_text().replace("one seed", "one lucky seed"))
    publish(arm, None, push=False, private=False)
    assert "one lucky seed" in card.read_text()


@pytest.mark.parametrize("name", ["costs.csv", "config.yaml", "tokenizer.json"])
def test_a_secret_of_the_environment_stops(arm, monkeypatch, name):
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    check_secrets(arm, files_of(arm))
    with open(arm / name, "a") as file:
        file.write(f"\n# {SECRET}")
    with pytest.raises(UserError, match=f"{name}: holds SOME_API_KEY") as stopped:
        publish(arm, None, push=False, private=False)
    assert SECRET not in str(stopped.value)


def test_what_looks_like_a_token_stops(arm):
    (arm / "config.yaml").open("a").write("\nkey: hf_" + "a1" * 17)
    with pytest.raises(UserError, match="looks like an access token"):
        publish(arm, None, push=False, private=False)


def edit_run(folder, change):
    run = json.loads((folder / "run.json").read_text())
    change(run)
    write_json(folder / "run.json", run)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "run.json").unlink(), "no run.json; give the run directory"),
        (lambda f: (f / "alignment.json").unlink(), "not evaluated yet, so a card would have no"),
        (lambda f: (f / "model.safetensors").unlink(), "no model to publish"),
        (lambda f: edit_run(f, lambda r: r["training"].pop("finished")), "is not finished; run"),
        (lambda f: edit_run(f, lambda r: r.pop("training")), "was not trained here"),
        (lambda f: (f / "alignment.json").write_text('{"models": {}}'), "has no 'settings', as"),
        (lambda f: edit_run(f, lambda r: r["training"].pop("steps")), "not as this version write"),
    ],
)
def test_an_incomplete_run_is_told_in_one_sentence(arm, spoil, message):
    spoil(arm)
    with pytest.raises(UserError, match=message):
        publish(arm, None, push=False, private=False)


def test_the_hub_needs_a_name_and_a_token(arm, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(UserError, match="needs --repo OWNER/NAME"):
        publish(arm, None, push=True, private=False)
    with pytest.raises(UserError, match="give OWNER/NAME"):
        publish(arm, "just-a-name", push=True, private=False)
    with pytest.raises(UserError, match="no Hugging Face token; run `hf auth login`"):
        publish(arm, "me/arm", push=True, private=False)


def test_recipes_leave_publishing_to_the_command(tmp_path, monkeypatch):
    from trl import SFTConfig

    from handan.training.run import begin
    from handan.training.settings import RecipeArguments

    words = {"arm": "a", "prompts": "p", "suite": "s", "probe_steps": 0, "output_dir": tmp_path}
    words |= {"model_name_or_path": "m", "use_cpu": True, "bf16": False, "push_to_hub": True}
    options = [part for key, value in words.items() for part in (f"--{key}", str(value))]
    monkeypatch.setattr("sys.argv", ["recipe.py", *options])
    with pytest.raises(UserError, match="push_to_hub: not used here; publish the arm once"):
        begin("sft_distill", RecipeArguments, SFTConfig, (), lambda config, given: None)


class Hub(BaseHTTPRequestHandler):
    """The four requests of the hub's protocol that an upload of small files makes."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tokens.add(self.headers.get("Authorization"))
        here = f"http://{self.headers['Host']}"
        if self.path.endswith("/create"):
            self.server.created = json.loads(body)
            answer = {"url": f"{here}/me/arm"}
        elif "/preupload/" in self.path:
            names = [entry["path"] for entry in json.loads(body)["files"]]
            rest = {"uploadMode": "regular", "shouldIgnore": False}
            answer = {"files": [{"path": name, **rest} for name in names]}
        elif "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines()]
            for line in lines:
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.received[line["value"]["path"]] = content
            answer = {"commitUrl": f"{here}/me/arm/commit/abc", "commitOid": "abc"}
        else:
            answer = {"errors": [], "warnings": []}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        """Silence."""


def published(arm, port, **more):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")} | more
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(arm.parent / "hf")}
    words = ["publish", arm, "--repo", "me/arm", "--push_to_hub", "--private"]
    return subprocess.run(
        [sys.executable, "-m", "handan", *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
    )


def test_exactly_the_listed_bytes_reach_the_hub(arm):
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.tokens, server.received, server.created = set(), {}, None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = published(arm, server.server_address[1], HF_TOKEN=SECRET)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert server.created["visibility"] == "private" and server.created["name"] == "arm"
    assert server.tokens == {f"Bearer {SECRET}"}
    assert sorted(server.received) == PUBLISHED
    for name, content in server.received.items():
        assert content == (arm / name).read_bytes()
        assert SECRET.encode() not in content


def test_an_unreachable_hub_is_one_sentence(arm):
    done = published(arm, 9, HF_TOKEN=SECRET)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "me/arm: the hub refused or could not be reached" in done.stderr
    assert SECRET not in done.stdout + done.stderr
