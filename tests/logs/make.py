"""Makes the logs in this folder again; README.md says in which order and with which tools.

python tests/logs/make.py items          # items.csv and the data sets in tasks/
python tests/logs/make.py openai PORT    # openai/, from a server with an OpenAI-style API
python tests/logs/make.py mock           # inspect/mock.eval, from inspect_ai's mock model
python tests/logs/make.py human          # inspect/human.eval, by handan's own task
python tests/logs/make.py anthropic      # anthropic/batch.jsonl, by the types of its package
python tests/logs/make.py collect RAW    # lm_eval/ and inspect/, from RAW/lm_eval, RAW/inspect
"""

import json
import math
import random
import shutil
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
TASKS = {"binary_addition": 8, "binary_subtraction": 6}
MODEL = "handan/tiny/weights/base"
MOST_TOKENS = 56


def documents(task: str) -> list[dict]:
    lines = (HERE / "tasks" / f"{task}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def items() -> None:
    """Draw the items; what people needed comes from the packaged norms."""
    from handan import norms
    from handan.files import write_csv, write_jsonl
    from handan.tiny import evaluation_items as tasks

    rows = []
    for task, num_items in TASKS.items():
        people = norms.load(task)
        known = [item for item in tasks.TASKS[task].items() if item.key in people.items]
        drawn = random.Random(task).sample(known, num_items)
        write_jsonl(
            HERE / "tasks" / f"{task}.jsonl",
            ({"item": i.key, "question": i.question, "answer": i.answer} for i in drawn),
        )
        rows += [
            {
                "task": task,
                "item": item.key,
                "human_rt_s": round(math.exp(people.items[item.key].mean_log_rt), 4),
                "norms": people.source,
            }
            for item in drawn
        ]
    write_csv(HERE / "items.csv", list(rows[0]), rows)


def openai(port: str) -> None:
    """Ask a server: addition as plain dumps, subtraction in the lines of the Batch API.

    The server has no Batch API, so the frame of these lines is written here, around responses of
    the server. The last line is what it answers to a request it refuses.
    """
    from openai import APIStatusError, OpenAI

    client = OpenAI(base_url=f"http://localhost:{port}/v1", api_key="none")
    # `temperature` alone leaves this server greedy: sampling is switched on here.
    decoding = {"do_sample": True, "top_k": 0, "eos_token_id": 2, "pad_token_id": 0}

    def ask(question: str, seed: int, **more: object) -> dict:
        response = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": question}],
            max_completion_tokens=MOST_TOKENS,
            temperature=1.0,
            seed=seed,
            extra_body={"generation_config": json.dumps(decoding), **more},
        )
        return json.loads(response.model_dump_json())

    def respond(question: str) -> dict:
        response = client.responses.create(
            model=MODEL,
            input=question,
            max_output_tokens=2 * MOST_TOKENS,
            stream=False,
            extra_body={"generation_config": json.dumps(decoding)},
        )
        return json.loads(response.model_dump_json())

    def framed(custom_id: str, status_code: int, body: dict) -> dict:
        response = {"status_code": status_code, "request_id": custom_id, "body": body}
        return {"id": custom_id, "custom_id": custom_id, "response": response, "error": None}

    (HERE / "openai").mkdir(exist_ok=True)
    with open(HERE / "openai" / "responses.jsonl", "w") as file:
        for index, document in enumerate(documents("binary_addition")):
            for sample in range(2):
                row = {"task": "binary_addition", "item": document["item"], "sample": sample}
                row["response"] = ask(document["question"], 10 * index + sample)
                file.write(json.dumps(row) + "\n")
    with open(HERE / "openai" / "responses_api.jsonl", "w") as file:
        for document in documents("binary_addition"):
            name = f"binary_addition::{document['item']}::0"
            file.write(json.dumps(framed(name, 200, respond(document["question"]))) + "\n")
    with open(HERE / "openai" / "batch.jsonl", "w") as file:
        for index, document in enumerate(documents("binary_subtraction")):
            for sample in range(2):
                name = f"binary_subtraction::{document['item']}::{sample}"
                body = ask(document["question"], 100 + 10 * index + sample)
                file.write(json.dumps(framed(name, 200, body)) + "\n")
        try:
            ask("0", 0, no_such_field=1)
        except APIStatusError as error:
            name = "binary_subtraction::0000-0000::0"
            file.write(json.dumps(framed(name, error.status_code, error.response.json())) + "\n")


def mock() -> None:
    """A log with reasoning apart from the text, with counts, and with a sample that failed.

    What the mock model says is written here: the second epoch holds a response cut in its
    reasoning, one without reasoning, one whose reasoning is hidden, and an error.
    """
    import inspect_ai
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ContentReasoning, ContentText, ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate, solver

    samples = [
        Sample(id=d["item"], input=d["question"], target=d["answer"])
        for d in documents("binary_subtraction")
    ]

    def output(sample: Sample, thought: str | None, num_tokens: int, hidden=False, cut=False):
        blocks: list = [] if cut else [ContentText(text=str(sample.target))]
        if thought is not None:
            blocks.insert(0, ContentReasoning(reasoning=thought, redacted=hidden))
        said = ModelOutput.from_content("mock", blocks, "max_tokens" if cut else "stop")
        total = num_tokens + (0 if cut else 5)
        said.usage = ModelUsage(
            input_tokens=20,
            output_tokens=total,
            total_tokens=20 + total,
            reasoning_tokens=num_tokens,
        )
        return said

    @solver
    def fail_once():
        async def solve(state, generate):
            if state.epoch == 2 and state.sample_id == samples[3].id:
                raise RuntimeError("the tool broke")
            return state

        return solve

    thought = "0 - 0 = 0 ,"
    outputs = [output(s, " ".join([thought] * (n + 1)), 6 * n + 7) for n, s in enumerate(samples)]
    outputs += [
        output(samples[0], thought, MOST_TOKENS, cut=True),
        output(samples[1], None, 0),
        output(samples[2], "c2VjcmV0", 31, hidden=True),
        output(samples[4], thought, 7),
        output(samples[5], thought, 7),
    ]
    task = inspect_ai.Task(
        name="binary_subtraction",
        dataset=samples,
        solver=[fail_once(), generate()],
        scorer=match(location="exact"),
    )
    (log,) = inspect_ai.eval(
        task,
        model=get_model("mockllm/model", custom_outputs=outputs),
        epochs=2,
        max_samples=1,
        fail_on_error=False,
        log_dir=str(HERE / "inspect"),
        display="plain",
    )
    repack(Path(log.location), HERE / "inspect" / "mock.eval")


def human(log_dir: str = "") -> None:
    """A log of handan's task of inspect_ai: every second answer is right, one has no answer."""
    import inspect_ai
    from inspect_ai.model import ContentReasoning, ContentText, ModelOutput, ModelUsage, get_model

    from handan.readers.inspect_task import human as human_task

    task = human_task("tests/logs/tasks/human_suite.yaml")
    outputs = []
    for number, sample in enumerate([*task.dataset, *task.dataset]):  # epoch by epoch
        answer = sample.target.split(" | ")[0] if number % 2 else "I cannot say."
        blocks = [ContentReasoning(reasoning="so " * number), ContentText(text=answer)]
        said = ModelOutput.from_content("mock", blocks, "stop")
        counts = {"input_tokens": 20, "output_tokens": number + 5, "reasoning_tokens": number}
        said.usage = ModelUsage(**counts, total_tokens=number + 25)
        outputs.append(said)
    model = get_model("mockllm/model", custom_outputs=outputs)
    folder = log_dir or str(HERE / "inspect")
    (log,) = inspect_ai.eval(task, model=model, max_samples=1, log_dir=folder, display="plain")
    assert log.status == "success", log.error
    repack(Path(log.location), Path(folder) / "human.eval")


def repack(log: Path, target: Path) -> None:
    """Pack a log anew, without events and machine."""
    with zipfile.ZipFile(log) as archive:
        members = {name: json.loads(archive.read(name)) for name in archive.namelist()}
    log.unlink()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            if name.startswith("samples/"):
                member = without_machine(member)
            archive.writestr(name, json.dumps(member))


def anthropic() -> None:
    """Results of a batch as Anthropic's package has them; what they say is written here.

    One response each is cut in its thinking, without thinking, refused, of hidden thinking without
    a count, and failed; the others think in a summary, with a count.
    """
    from anthropic.types import Message, messages

    def message(document: dict, number: int, thought: int | None, **more) -> Message:
        summary = {"type": "thinking", "thinking": "Column by column.", "signature": "c2ln"}
        answer = {"type": "text", "text": document["answer"]}
        usage = {"input_tokens": 18, "cache_read_input_tokens": 3, "output_tokens": number}
        if thought is not None:
            usage["output_tokens_details"] = {"thinking_tokens": thought}
        content = [summary, answer] if thought != 0 else [answer]
        whole = {"id": "msg", "type": "message", "role": "assistant", "model": "claude"}
        whole |= {"content": content, "stop_reason": "end_turn", "usage": usage}
        return Message.model_validate(whole | more)

    documents_ = documents("binary_subtraction") + documents("binary_addition")
    found = [message(d, 60 + n, 50 + n) for n, d in enumerate(documents_)]
    cut = {"stop_reason": "max_tokens", "content": found[1].content[:1]}
    hidden = [{"type": "redacted_thinking", "data": "c2VjcmV0"}, *found[3].content[1:]]
    found[0] = message(documents_[0], 9, 0)
    found[1] = message(documents_[1], 56, 56, **cut)
    found[2] = message(documents_[2], 3, 0, stop_reason="refusal", content=[])
    found[3] = message(documents_[3], 60, None, content=hidden)
    folder = HERE / "anthropic"
    folder.mkdir(exist_ok=True)
    with open(folder / "batch.jsonl", "w") as file:
        for number, (document, said) in enumerate(zip(documents_, found, strict=True)):
            result: dict = {"type": "succeeded", "message": said}
            if number == 4:
                error = {"type": "overloaded_error", "message": "Overloaded"}
                result = {"type": "errored", "error": {"type": "error", "error": error}}
            line = messages.MessageBatchIndividualResponse.model_validate(
                {"custom_id": f"request-{number}", "result": result}
            )
            task = "subtraction" if number < TASKS["binary_subtraction"] else "addition"
            row = {"task": f"binary_{task}", "item": document["item"]}
            file.write(json.dumps(row | json.loads(line.model_dump_json())) + "\n")


def without_machine(sample: dict) -> dict:
    """A sample without its events and the paths in its traceback; the readers use neither."""
    sample |= {"events": []}
    if sample.get("error"):
        sample["error"] |= {"traceback": "(removed)", "traceback_ansi": "(removed)"}
    return sample


def collect(raw: str) -> None:
    """Take the logs of lm_eval and inspect_ai over, without machine and without events."""
    for name in ("lm_eval", "lm_eval_without_thinking"):
        shutil.rmtree(HERE / name, ignore_errors=True)
        shutil.copytree(next((Path(raw) / name).glob("*/")), HERE / name)
        for path in (HERE / name).glob("results_*.json"):
            results = json.loads(path.read_text())
            results["pretty_env_info"] = "(removed)"
            path.write_text(json.dumps(results, indent=2, ensure_ascii=False))
    for path in (Path(raw) / "inspect").iterdir():
        target = HERE / "inspect" / f"{path.stem.split('_')[1].replace('-', '_')}{path.suffix}"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
        if path.suffix == ".json":
            log = json.loads(path.read_text())
            log["samples"] = [without_machine(sample) for sample in log["samples"]]
            target.write_text(json.dumps(log, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    made = {one.__name__: one for one in (items, openai, mock, human, anthropic, collect)}
    made[sys.argv[1]](*sys.argv[2:])
