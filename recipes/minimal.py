"""The whole idea in one flat file: one base trained two ways, and where each spends its tokens.

    python recipes/minimal.py

A base of the embedded world is fine-tuned on a teacher's right traces (SFT), and, from the same
weights, trained by reinforcement with a verifiable reward (GRPO). All three then solve the problems
that people were timed on, and r says whether they think longer where people take longer. Plain
torch and transformers: no resume, no probes, no audit, one process, one seed, and no claim. The
full recipes are sft_distill.py and grpo.py; what they guard against is in docs/training.md.
"""

import argparse
import math
import random
from collections import defaultdict
from statistics import fmean

import torch
from scipy.stats import pearsonr
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, AutoTokenizer

from handan import files, norms
from handan.tiny.evaluation_items import TASKS, grade, held_out, identity_hash, item_from_problem
from handan.tiny.families import FAMILIES, random_problem

WEIGHTS = files.shipped("handan/tiny/weights") + "/"
TOKENIZER = AutoTokenizer.from_pretrained(WEIGHTS + "base", trust_remote_code=False)
THINK_END, EOS = TOKENIZER.convert_tokens_to_ids(["</think>", TOKENIZER.eos_token])


def load(name):
    return AutoModelForCausalLM.from_pretrained(WEIGHTS + name, trust_remote_code=False)


def training_items(number):
    """Problems of the widths that people were not given, and none that is an evaluation item."""
    items = {}
    while len(items) < number:
        problem = random_problem(random.choice(FAMILIES), random, widths=[1, 2, 3, 5, 6, 7])
        if identity_hash(problem.family, problem.key) not in held_out():
            items[problem.key] = item_from_problem(problem)
    return list(items.values())


def prompt_ids(item):
    """The question in the chat template, which opens the thinking span."""
    message = [{"role": "user", "content": item.question}]
    text = TOKENIZER.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    return TOKENIZER(text, add_special_tokens=False)["input_ids"]


@torch.no_grad()
def generate(model, items):
    """One sampled completion an item: its token ids, up to and including the end of sequence."""
    completions = []
    for first in range(0, len(items), 64):
        ids = [prompt_ids(item) for item in items[first : first + 64]]
        batch = TOKENIZER.pad({"input_ids": ids}, return_tensors="pt")
        out = model.generate(**batch, do_sample=True, top_k=0, max_new_tokens=256)
        completions += out[:, batch["input_ids"].shape[1] :].tolist()
    return [ids[: ids.index(EOS) + 1] if EOS in ids else ids for ids in completions]


def read(item, completion):
    """Reasoning tokens of a completion, and whether its answer is right: one rule for both arms."""
    if THINK_END not in completion or completion[-1] != EOS:
        return len(completion), False  # cut at the cap
    end = completion.index(THINK_END)
    answer = TOKENIZER.decode(completion[end + 1 :], skip_special_tokens=True)
    return end, grade(item, answer).correct


def step(model, optimizer, prompts, completions, advantages):
    """Raise the likelihood of each completion by its advantage; every token weighs the same.

    Dividing by the tokens of the whole batch, and not completion by completion, keeps the loss from
    favouring short right or long wrong responses: length is what is measured here.
    """
    rows = [torch.tensor(p + c) for p, c in zip(prompts, completions, strict=True)]
    ids = pad_sequence(rows, batch_first=True, padding_value=TOKENIZER.pad_token_id)
    begins, ends = (torch.tensor([[len(row)] for row in side]) for side in (prompts, rows))
    places = torch.arange(ids.shape[1])
    logits = model(input_ids=ids, attention_mask=(places < ends).long()).logits[:, :-1]
    log_probs = -cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    mask = ((places >= begins) & (places < ends))[:, 1:]
    loss = -(torch.tensor(advantages)[:, None] * log_probs * mask).sum() / mask.sum()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def sft(model, teacher, items, steps, batch_size):
    """Imitate the teacher's right completions."""
    pairs = zip(items, generate(teacher, items), strict=True)
    traces = [(prompt_ids(item), ids) for item, ids in pairs if read(item, ids)[1]]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.0)
    for _ in range(steps):
        prompts, completions = zip(*random.choices(traces, k=batch_size), strict=True)
        step(model, optimizer, prompts, completions, [1.0] * batch_size)


def grpo(model, items, steps, num_prompts, group_size):
    """Reward right answers, each beside the other completions of its prompt."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.0)
    for number in range(steps):
        batch = [i for i in random.sample(items, num_prompts) for _ in range(group_size)]
        completions = generate(model, batch)
        rewards = [read(i, ids)[1] for i, ids in zip(batch, completions, strict=True)]
        groups = torch.tensor(rewards, dtype=torch.float).view(num_prompts, group_size)
        centred = groups - groups.mean(1, keepdim=True)
        advantages = (centred / (groups.std(1, keepdim=True) + 1e-4)).flatten().tolist()
        step(model, optimizer, [prompt_ids(i) for i in batch], completions, advantages)
        print(f"grpo step {number + 1}: {fmean(rewards):.2f} right", flush=True)


def evaluate(name, model, samples):
    """Pearson r of mean log reasoning tokens with people's mean log response time, item by item."""
    for task in ("binary_addition", "binary_subtraction"):
        human = norms.load(task).items
        asked = [i for i in TASKS[task].items() if i.key in human for _ in range(samples)]
        log_tokens, right = defaultdict(list), []
        for item, ids in zip(asked, generate(model, asked), strict=True):
            tokens, correct = read(item, ids)
            log_tokens[item.key].append(math.log(max(tokens, 1)))
            right.append(correct)
        x = [fmean(values) for values in log_tokens.values()]
        found = pearsonr(x, [human[key].mean_log_rt for key in log_tokens])
        low, high = found.confidence_interval()
        print(
            f"{name:5} {task:19} r {found.statistic:+.2f} [{low:+.2f}, {high:+.2f}], {len(x)} "
            f"items, {fmean(right):.2f} right, about {math.exp(fmean(x)):.0f} tokens",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=30, help="of GRPO; SFT takes five times them")
    parser.add_argument("--samples", type=int, default=2, help="responses an evaluation item")
    options = parser.parse_args()
    random.seed(1), torch.manual_seed(1)
    items = training_items(25 * options.steps)
    arms = {name: load("base") for name in ("base", "sft", "grpo")}
    sft(arms["sft"], load("teacher_cold_start"), items, 5 * options.steps, batch_size=32)
    grpo(arms["grpo"], items, options.steps, num_prompts=16, group_size=8)
    for name, model in arms.items():
        evaluate(name, model, options.samples)
