"""Generation by a server that speaks OpenAI's chat completions: vLLM, SGLang, hosted, any."""

import asyncio
import importlib.metadata
import json
import os
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from handan import inputs
from handan.config import read_yaml, refuse_in_text
from handan.errors import UserError, printable
from handan.files import content_hash
from handan.generation import chat
from handan.generation.chat import FailedRequest
from handan.generation.engines import Completion, Drawn, Engine, EngineSettings
from handan.generation.formats import AUTO, FORMATS, ReasoningFormat, choose, choose_for
from handan.generation.loading import load_tokenizer
from handan.generation.prompting import Request

# Of a server without a key; the client wants one, and must not find another server's by itself.
NO_KEY = "none"
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 8.0  # before a failed request is tried again, doubled each time
NOT_ONE = "the response is not a chat completion with one choice"
CAPS = ("max_tokens", "max_completion_tokens")
# Fields of a request that are decided elsewhere, and neutral values of those that change lengths.
FIELDS = read_yaml(Path(__file__).with_name("server_fields.yaml"))

# What is judged on the responses of a run: fewer responses or items may be so by chance, and so
# may two samples of fewer tokens that are the same, or a recount that is less far off.
MIN_RESPONSES, MIN_ITEMS = 8, 16
MIN_TOKENS, MIN_RECOUNTED, RECOUNT_TOLERANCE = 16, 32, 0.1


@dataclass(frozen=True)
class Settings(EngineSettings):
    """Keys of ``eval/engines/openai.yaml``."""

    base_url: str  # up to and including ``/v1``
    model: str | None = None  # what the server calls the model; null: as ``--model``
    # Counts what the server does not; ``auto``: that of ``--model``; null: none.
    tokenizer: str | None = AUTO
    api_key_env: str | None = None  # the variable that holds the key; null without one
    concurrency: int = 32  # requests at a time
    timeout_s: float = 3600.0  # for one response, to its last byte
    max_retries: int = 8  # of a request that failed, with growing pauses
    max_response_mib: int = 64  # a longer answer of the server is refused
    cap_field: str = "max_tokens"  # what the server calls the cap: one of ``CAPS``
    extra_body: dict[str, Any] = field(default_factory=dict)  # further fields of every request


def check_server(settings: Settings) -> None:
    """Refuse settings that would not work, or would change lengths beside the suite."""
    refuse_in_text(settings.base_url, "base_url")
    if settings.cap_field not in CAPS:
        raise UserError(f"cap_field is '{settings.cap_field}'; use {' or '.join(CAPS)}")
    if min(settings.concurrency, settings.max_response_mib) < 1 or settings.timeout_s <= 0:
        raise UserError("concurrency, timeout_s and max_response_mib of the engine must be above 0")
    if settings.max_retries < 0:
        raise UserError(f"max_retries of the engine is {settings.max_retries}; give 0 or more")
    if not settings.base_url.startswith(("http://", "https://")):
        cure = "give the server's address up to and including /v1, such as http://127.0.0.1:8000/v1"
        raise UserError(f"base_url of the engine is '{settings.base_url}'; {cure}")
    for key, value in settings.extra_body.items():
        if key in FIELDS["decided"]:
            raise UserError(
                f"extra_body of the engine sets '{key}', which the suite or another key decides; "
                "remove it"
            )
        neutral = FIELDS["neutral"].get(key, [value])
        if value not in neutral:
            raise UserError(
                f"extra_body of the engine sets '{key}' to {value!r}, which makes responses longer "
                f"or shorter beside what the suite says; set it to {neutral[0]} or remove it"
            )


def open_engine(
    settings: Settings, model_name: str, revision: str | None, form: str, device: Any
) -> "OpenAIEngine":
    """Make a server ready; ``form`` is the name of its format, or ``auto``."""
    check_server(settings)
    variable = settings.api_key_env
    key = NO_KEY if variable is None else os.environ.get(variable, "")
    if not key:
        cure = "set it to the key of the server"
        raise UserError(f"the environment variable {variable} is not set; {cure}")
    if settings.tokenizer is None:
        if form not in FORMATS:
            raise UserError(
                "without a tokenizer there is no chat template to read a format from; pass "
                f"--reasoning_format NAME; known: {', '.join(FORMATS)}"
            )
        return OpenAIEngine(settings, settings.model or model_name, None, FORMATS[form], key)
    own = settings.tokenizer == AUTO
    name, revision = (model_name, revision) if own else (settings.tokenizer, None)
    try:
        tokenizer = load_tokenizer(name, revision, settings.trust_remote_code)
    except UserError as error:
        cure = "name the model's 'tokenizer' in the YAML of the engine"
        raise UserError(f"{error}; {cure}") from None
    chosen = choose_for(model_name, form, tokenizer) if own else choose(form, tokenizer)
    return OpenAIEngine(settings, settings.model or model_name, tokenizer, chosen, key)


class OpenAIEngine:
    """A server, as an engine; ``model`` is what the server calls it."""

    independent, remote = True, True

    def __init__(
        self, settings: Settings, model: str, tokenizer: Any, form: ReasoningFormat, key: str
    ) -> None:
        self.settings, self.model, self._key = settings, model, key
        self.tokenizer, self.form = tokenizer, form
        self.address: str | None = settings.base_url
        self.ends: list[int] = [] if tokenizer is None else sorted(tokenizer.all_special_ids)
        counts = None if tokenizer is None else content_hash(tokenizer.backend_tokenizer.to_str())
        self.fingerprint = content_hash([model, counts])
        # Not the address: a server that is started again elsewhere is the same.
        version = importlib.metadata.version("openai")
        self.identity: dict[str, Any] = {"engine": "openai", "openai": version, "model": model}
        self.identity |= {"tokenizer": counts, "cap_field": settings.cap_field}
        self.identity["extra_body"] = settings.extra_body

    def stream(self, batches: Iterable[Sequence[Request]], seed: int) -> Iterator[list[Drawn]]:
        found = self._stream(chain.from_iterable(batches), seed)

        async def following() -> list[Drawn] | None:
            return await anext(found, None)

        with asyncio.Runner() as runner:
            while (group := runner.run(following())) is not None:
                yield group

    async def _stream(self, todo: Iterator[Request], seed: int) -> AsyncIterator[list[Drawn]]:
        """Keep ``concurrency`` requests under way; after one has failed no other is begun."""
        from openai import AsyncOpenAI

        settings = self.settings
        drawn: asyncio.Queue[Drawn | None] = asyncio.Queue()
        failed = False
        async with AsyncOpenAI(
            api_key=self._key,
            base_url=settings.base_url,
            timeout=settings.timeout_s,
            max_retries=settings.max_retries,
            http_client=bounded_client(settings.timeout_s, settings.max_response_mib * 2**20),
        ) as client:

            async def work() -> None:
                nonlocal failed
                while not failed and (request := next(todo, None)) is not None:
                    found: Completion | UserError
                    try:
                        found = await self._complete_one(client, request, seed)
                    except UserError as error:
                        failed, found = True, error
                    drawn.put_nowait((request, found))

            workers = asyncio.gather(*(work() for _ in range(settings.concurrency)))
            workers.add_done_callback(lambda _: drawn.put_nowait(None))
            group = []
            while (one := await drawn.get()) is not None:
                group.append(one)
                if len(group) == MIN_RESPONSES:  # enough to be judged before they are kept
                    yield group
                    group = []
            if group:
                yield group
            await workers

    async def _complete_one(self, client: Any, request: Request, seed: int) -> Completion:
        """Ask for one completion; a request that fails with status 200 is repeated like others."""
        retries, said = self.settings.max_retries, ""
        for number in range(retries + 1):
            if number:
                await asyncio.sleep(min(FIRST_PAUSE_S * 2 ** (number - 1), MAX_PAUSE_S))
            try:
                return completion_of(await self._ask(client, request, seed))
            except FailedRequest as error:
                said = self._without_key(str(error))
        url = self.settings.base_url
        raise UserError(f"{url} gives no response, after {retries} retries: {said}")

    async def _ask(self, client: Any, request: Request, seed: int) -> dict:
        """Return the body of one response; ``extra_body`` has precedence over the format."""
        from openai import APIConnectionError, APIStatusError

        settings, url, decoding = self.settings, self.settings.base_url, request.decoding
        template = {"chat_template_kwargs": dict(self.form.template)} if self.form.template else {}
        # Servers that render gpt-oss by code of their own look for its effort here.
        if effort := self.form.template.get("reasoning_effort"):
            template["reasoning_effort"] = effort
        body = {
            "model": self.model,
            "messages": self.form.messages(request.question),
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "seed": request.seed(seed),
            settings.cap_field: decoding.max_new_tokens,
            "extra_body": template | settings.extra_body,
        }
        try:
            content = (await client.chat.completions.with_raw_response.create(**body)).content
        except APIStatusError as error:
            said = self._without_key(str(error.message))
            if error.status_code in range(300, 400):
                said = f"it redirects (status {error.status_code}); set base_url to where it is"
            raise UserError(f"{url} refuses: {said}") from None
        except APIConnectionError as error:
            cause, tries = error.__cause__ or error, f"after {settings.max_retries} retries"
            why = f"{type(cause).__name__}: {cause}"
            raise UserError(f"{url} does not answer, {tries} ({why})") from None
        if self._key != NO_KEY and self._key.encode() in content:
            raise UserError(f"{url} sends the key back in its answer")
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            if content.lstrip()[:1] in (b"", b"{"):
                raise FailedRequest("the body of the response is empty or breaks off") from None
            found = None
        if not isinstance(found, dict):
            cure = "give the address of chat completions, up to and including /v1, as 'base_url'"
            raise UserError(f"{url} answers with something that is not JSON; {cure}")
        return found

    def _without_key(self, said: str) -> str:
        said = said if self._key == NO_KEY else said.replace(self._key, "(the key)")
        return " ".join(said.split())[:300]


def completion_of(found: dict) -> Completion:
    """Read a server's response as a completion."""

    def ids(what: str, value: Any) -> list[int] | None:
        tokens = [inputs.count(what, one) for one in inputs.expect(what, value or [], list)]
        return [token for token in tokens if token is not None] or None

    try:
        choices = chat.choices_of(found)
        if not choices:
            raise FailedRequest(f"{NOT_ONE}: it has none")
        if len(choices) > 1:
            raise UserError(f"it has {len(choices)} choices")
        usage = chat.usage_of(found)
        said = chat.said_by(choices[0], usage)
        served_by = inputs.text("model", found.get("model")) or None
        return Completion(
            ids=ids("token_ids", choices[0].get("token_ids")),
            ended=chat.ended(said.finish),
            prompt_ids=ids("prompt_token_ids", found.get("prompt_token_ids")),
            reasoning=said.reasoning,
            text=said.text,
            usage=usage,
            server={"served_by": served_by, "finish_reason": said.finish},
        )
    except FailedRequest:
        raise
    except chat.Withheld as error:
        cure = "ask a server that answers, or leave the item out of the suite"
        raise UserError(f"{error}: it has no length of thought; {cure}") from None
    except UserError as error:
        cure = "see docs/models.md for servers that are known to work"
        raise UserError(f"{NOT_ONE} as it is read here: {error}; {cure}") from None


def bounded_client(seconds: float, max_bytes: int) -> Any:
    """An HTTP client for ``AsyncOpenAI`` whose responses end, in ``seconds`` and ``max_bytes``.

    The usual limits are of one read, and a compressed answer may unpack to all memory. Redirects
    are not followed, so that neither key nor prompts go to another host.
    """
    from openai import DefaultAsyncHttpxClient

    try:
        import httpx2 as httpx
    except ImportError:
        import httpx  # type: ignore[no-redef]  # an older client

    async def body(response: Any) -> bytes:
        packed = response.headers.get("content-encoding", "identity")
        if packed != "identity":
            raise UserError(f"the response is compressed ({packed}), though none was asked for")
        content = bytearray()
        try:
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > max_bytes:
                    cure = "raise max_response_mib of the engine if that may be"
                    raise UserError(f"the response is over {max_bytes / 2**20:g} MiB; {cure}")
        except httpx.TransportError:
            # A server that refuses need not read the request: its system then breaks the
            # connection, often before the reason has come. The status says enough.
            if response.status_code < 400:
                raise
        return bytes(content)

    class Client(DefaultAsyncHttpxClient):
        async def send(self, request: Any, **options: Any) -> Any:
            response = None
            try:
                async with asyncio.timeout(seconds):
                    response = await super().send(request, **options | {"stream": True})
                    content = await body(response)
            except TimeoutError as error:
                if response is None:
                    said = f"no answer within {seconds:g} s"
                    raise httpx.ReadTimeout(said, request=request) from error
                raise UserError(
                    f"the response is not complete after {seconds:g} s; raise timeout_s, or look "
                    "after the server"
                ) from None
            finally:
                if response is not None:
                    await response.aclose()
            whole = httpx.Response(response.status_code, content=content, request=request)
            whole.headers = response.headers
            return whole

    return Client(follow_redirects=False, timeout=seconds, headers={"Accept-Encoding": "identity"})


class Watch:
    """Find on the responses of a process what a server does to lengths unsaid, and stop the run."""

    def __init__(self, engine: Engine) -> None:
        self.form = engine.form
        self.responses = self.thinking = 0
        self.noted = False
        self.ratios: list[float] = []
        self.unknown: Counter[str | None] = Counter()
        self.texts: dict[tuple[str, str], list[str]] = defaultdict(list)

    def check_cap(self, request: Request, completion: Completion) -> None:
        """Stop at a response that is longer than the cap, before it is read."""
        cap, ids = request.decoding.max_new_tokens, completion.ids
        generated = (completion.usage.generated or 0) if ids is None else len(ids)
        if generated > (1 + RECOUNT_TOLERANCE) * cap:
            cure = "set 'cap_field' in the YAML of the engine to the field it obeys"
            raise UserError(f"the server generated {generated} tokens and the cap is {cap}; {cure}")

    def count(self, request: Request, completion: Completion, row: dict) -> None:
        """Count one response that was read."""
        here, there = len(request.prompt_ids), row["prompt_tokens"]
        self.responses += 1
        if here not in (0, there) and not self.noted:
            self.noted = True
            print(
                f"note: the server's prompt of {row['task']}, {row['item']} has {there} tokens, "
                f"and {here} as the chat template makes it here: is it asked as in this process?"
            )
        if chat.class_of(row["finish_reason"]) is None:
            self.unknown[row["finish_reason"]] += 1
        # An open span at the end of a text counts only in a truncated response.
        apart = completion.ids is None and completion.reasoning != ""
        closed = apart or row["answer_tokens"] > 0 or row["status"] == "truncated"
        self.thinking += row["reasoning_tokens"] > 0 and closed
        counted = row["reasoning_tokens"] + row["answer_tokens"]
        if row["counted_by"] == "retokenized" and row["generated_tokens"] >= MIN_RECOUNTED:
            self.ratios.append((counted + chat.TOKENS_OUTSIDE_TEXT) / row["generated_tokens"])
        if request.decoding.temperature > 0 and counted >= MIN_TOKENS:
            self.texts[row["task"], row["item"]].append(row["text"])

    def check(self) -> None:
        """Judge all responses so far, and stop with what the server does and how to mend it."""
        if self.form.thinks and self.responses >= MIN_RESPONSES and not self.thinking:
            raise UserError(
                f"none of {self.responses} responses of the server shows a reasoning span: it "
                f"removes '{self.form.open}' or hides the span; start it with a reasoning parser, "
                "let it return token ids, or pass --reasoning_format plain for a model that does "
                "not think"
            )
        ratio = median(self.ratios) if len(self.ratios) >= MIN_RESPONSES else 1
        if abs(ratio - 1) > RECOUNT_TOLERANCE:
            raise UserError(
                f"the tokenizer finds {ratio:.2f} of the tokens that the server generated "
                f"(median of {len(self.ratios)}): text is missing, or the tokenizer is another "
                "model's; let the server return token ids, or mend 'tokenizer'"
            )
        repeated = [texts for texts in self.texts.values() if len(texts) > 1]
        if len(repeated) >= MIN_ITEMS and all(len(set(texts)) == 1 for texts in repeated):
            raise UserError(
                f"all samples of an item are the same, for {len(repeated)} items that "
                "were sampled: the server ignores temperature or seed; see "
                "docs/models.md for what it needs in 'extra_body'"
            )

    def tell_unknown(self) -> None:
        """Print how many responses had a finish reason that says nothing."""
        if self.unknown:
            words = ", ".join(f"{word or 'null'} ({n})" for word, n in self.unknown.most_common(3))
            print(
                f"note: {self.unknown.total()} of {self.responses} responses of the server have no "
                f"finish reason that is known: {printable(words)}. They are not taken for cut, but "
                "where their span does not end"
            )
