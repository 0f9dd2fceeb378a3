"""Generation by a server that speaks OpenAI's chat completions: vLLM, SGLang, hosted, any.

The question is sent as messages and the server renders the prompt. The key comes from the
environment and is stored nowhere. Token ids are used where the server returns them (vLLM's
``return_token_ids``); ``handan.reading`` says what is counted where it does not.
"""

import asyncio
import importlib.metadata
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from handan.chat import FailedRequest
from handan.engines import bounded
from handan.engines.answers import completion_of
from handan.engines.base import Completion, EngineSettings
from handan.engines.loading import load_tokenizer
from handan.engines.server_checks import check_server
from handan.errors import UserError
from handan.formats import AUTO, FORMATS, ReasoningFormat, choose, choose_for
from handan.generate import Request
from handan.records import content_hash

# Of a server without a key; the client wants one, and must not find another server's by itself.
NO_KEY = "none"
# Between a failed request and its next try, doubled each time.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0


@dataclass(frozen=True)
class Settings(EngineSettings):
    """Of ``eval/engines/openai.yaml``.

    Attributes:
        base_url: of the server, up to and including ``/v1``.
        model: what the server calls the model; null: as ``--model``.
        tokenizer: counts what the server does not: a directory or hub name; ``auto``: that of
            ``--model``; null: none, so that the server must count everything.
        api_key_env: the environment variable that holds the key; null for a server without one.
        concurrency: requests at a time.
        timeout_s: for one response, to its last byte.
        max_retries: of a request that failed, with growing pauses.
        max_response_mib: a longer answer of the server is refused.
        cap_field: what the server calls the cap: ``max_tokens`` or ``max_completion_tokens``.
        extra_body: further fields of every request.
    """

    base_url: str
    model: str | None = None
    tokenizer: str | None = AUTO
    api_key_env: str | None = None
    concurrency: int = 32
    timeout_s: float = 3600.0
    max_retries: int = 8
    max_response_mib: int = 64
    cap_field: str = "max_tokens"
    extra_body: dict[str, Any] = field(default_factory=dict)


class OpenAIEngine:
    """A server, as an engine.

    Args:
        settings: of the server.
        model: what the server calls the model.
        tokenizer: that of the model, or None.
        form: its reasoning format.
        key: for the server.
    """

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
        self.identity: dict[str, Any] = {
            "engine": "openai",
            "openai": importlib.metadata.version("openai"),
            "model": model,
            "tokenizer": counts,
            "cap_field": settings.cap_field,
            "extra_body": settings.extra_body,
        }

    def complete(self, batch: Sequence[Request], seed: int) -> list[Completion | UserError]:
        """As ``Engine.complete``; all requests are on their way together."""
        return asyncio.run(self._complete(batch, seed))

    async def _complete(self, batch: Sequence[Request], seed: int) -> list[Completion | UserError]:
        from openai import AsyncOpenAI

        async with AsyncOpenAI(
            api_key=self._key,
            base_url=self.settings.base_url,
            timeout=self.settings.timeout_s,
            max_retries=self.settings.max_retries,
            http_client=bounded.client(
                self.settings.timeout_s, self.settings.max_response_mib * 2**20
            ),
        ) as client:
            gate = asyncio.Semaphore(self.settings.concurrency)
            failed = asyncio.Event()

            async def one(request: Request) -> Completion | UserError:
                async with gate:
                    if failed.is_set():
                        return UserError("not asked for after another request had failed")
                    try:
                        return await self._complete_one(client, request, seed)
                    except UserError as error:
                        failed.set()
                        return error

            return await asyncio.gather(*map(one, batch))

    async def _complete_one(self, client: Any, request: Request, seed: int) -> Completion:
        """One completion; a request that fails with status 200 is repeated as others are.

        Raises:
            UserError: as ``_ask``, the response cannot be used, or the request fails every time.
        """
        retries = self.settings.max_retries
        for number in range(retries + 1):
            try:
                return completion_of(await self._ask(client, request, seed))
            except FailedRequest as error:
                if number == retries:
                    said = self._without_key(str(error))
                    raise UserError(
                        f"{self.settings.base_url} gives no response, after {retries} retries: "
                        f"{said}"
                    ) from None
            await asyncio.sleep(min(FIRST_PAUSE_S * 2**number, LONGEST_PAUSE_S))
        raise AssertionError("max_retries is 0 or more")

    async def _ask(self, client: Any, request: Request, seed: int) -> dict:
        """The body of one response.

        Raises:
            UserError: the server cannot be reached, refuses, or answers with something else.
        """
        from openai import APIConnectionError, APIStatusError

        try:
            from httpx2 import HTTPError  # what the client talks through
        except ImportError:
            from httpx import HTTPError  # type: ignore[assignment]  # an older client

        asked = client.chat.completions.with_streaming_response.create(
            **body(self.settings, self.model, self.form, request, seed)
        )
        content = b""
        try:
            async with asked as response:
                content = await response.read()
        except APIStatusError as error:
            raise UserError(f"{self.settings.base_url} refuses: {self._said(error)}") from None
        except APIConnectionError as error:
            cause = error.__cause__ or error
            raise UserError(
                f"{self.settings.base_url} does not answer, after {self.settings.max_retries} "
                f"retries ({type(cause).__name__}: {cause})"
            ) from None
        except HTTPError as error:
            raise FailedRequest(f"the connection broke ({type(error).__name__}: {error})") from None
        if self._key != NO_KEY and self._key.encode() in content:
            raise UserError(f"{self.settings.base_url} sends the key back in its answer")
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            if found is None and content.lstrip()[:1] in (b"", b"{"):
                raise FailedRequest("the body of the response is empty or breaks off")
            raise UserError(
                f"{self.settings.base_url} answers with something that is not JSON; give the "
                "address of chat completions, up to and including /v1, as 'base_url'"
            )
        return found

    def _said(self, error: Any) -> str:
        """What a server gives as its reason, without the key that it may repeat."""
        if error.status_code in range(300, 400):
            return f"it redirects (status {error.status_code}); set base_url to where the server is"
        return self._without_key(str(error.message))

    def _without_key(self, said: str) -> str:
        said = said if self._key == NO_KEY else said.replace(self._key, "(the key)")
        return " ".join(said.split())[:300]


def body(
    settings: Settings, model: str, form: ReasoningFormat, request: Request, seed: int
) -> dict[str, Any]:
    """The fields of a request.

    What the format asks of a chat template goes along as ``chat_template_kwargs``, unless
    ``extra_body`` says otherwise.
    """
    decoding = request.decoding
    extra = {"chat_template_kwargs": dict(form.template)} if form.template else {}
    return {
        "model": model,
        "messages": form.messages(request.question),
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "seed": request.seed(seed),
        settings.cap_field: decoding.max_new_tokens,
        "extra_body": extra | settings.extra_body,
    }


def open_engine(
    settings: Settings, model_name: str, revision: str | None, form: str, device: Any
) -> OpenAIEngine:
    """Make a server ready; ``form`` is the name of its format, or ``auto``."""
    check_server(settings)
    key = NO_KEY
    if settings.api_key_env is not None:
        key = os.environ.get(settings.api_key_env, "")
        if not key:
            raise UserError(
                f"the environment variable {settings.api_key_env} is not set; set it to "
                "the key of the server"
            )
    if settings.tokenizer is None:
        if form not in FORMATS:
            raise UserError(
                "without a tokenizer there is no chat template to read a format from; pass "
                f"--reasoning_format NAME; known: {', '.join(FORMATS)}"
            )
        return OpenAIEngine(settings, settings.model or model_name, None, FORMATS[form], key)
    own = settings.tokenizer == AUTO
    try:
        tokenizer = load_tokenizer(
            model_name if own else settings.tokenizer,
            revision if own else None,
            settings.trust_remote_code,
        )
    except UserError as error:
        cure = "name the model's 'tokenizer' in the YAML of the engine"
        raise UserError(f"{error}; {cure}") from None
    chosen = choose_for(model_name, form, tokenizer) if own else choose(form, tokenizer)
    return OpenAIEngine(settings, settings.model or model_name, tokenizer, chosen, key)
