"""The part of OpenAI's API that fine-tunes: /files and /fine_tuning/jobs, at the endpoint of a student.

No request is repeated by itself: one that was answered too late may have been done. `patiently` repeats where the
caller knows that it does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, Field, ValidationError

from fireact.errors import ConfigError, ProviderError
from fireact.keys import hidden
from fireact.model.api import Api
from fireact.train.hosted_data import ChatFile

if TYPE_CHECKING:
    from openai import OpenAI

T = TypeVar("T")
_PAGE = 100
_PURPOSE = "fine-tune"


class Unreached(Exception):
    """A fault that may pass; the text says it in a sentence."""


class Named(BaseModel):
    """What an endpoint keeps under an id; endpoints differ in what else they tell of it."""

    id: str


class File(Named):
    """A file."""

    filename: str = ""
    bytes: int | None = None
    status: str | None = None
    status_details: str | None = None


class Fault(BaseModel):
    """Why a job failed."""

    message: str | None = None
    code: str | None = None


class Job(Named):
    """A fine-tuning job. Times are in seconds since 1970."""

    status: str
    model: str = ""
    fine_tuned_model: str | None = None
    training_file: str | None = None
    validation_file: str | None = None
    hyperparameters: dict[str, Any] | None = None
    seed: int | None = None
    metadata: dict[str, Any] | None = None
    trained_tokens: int | None = None
    error: Fault | None = None
    created_at: float | str | None = None
    finished_at: float | str | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took, queue included."""
        first, last = self.created_at, self.finished_at
        return last - first if isinstance(first, float) and isinstance(last, float) else None


class Event(Named):
    """What happened to a job."""

    message: str = ""
    created_at: float | str | None = None
    data: Any = None

    @property
    def step(self) -> int | None:
        """The step that it measures, for the events that do."""
        step = self.data.get("step") if isinstance(self.data, dict) else None
        return step if isinstance(step, int) else None


N = TypeVar("N", bound=Named)
R = TypeVar("R", bound=BaseModel)


class _Page(BaseModel, Generic[N]):
    data: list[N] = Field(default_factory=list)
    has_more: bool | None = None


def patiently(work: Callable[[], T], tries: int, pause: float) -> T:
    """Do `work`, again where a fault may pass, `pause` seconds later. Raises ProviderError after so many `tries`."""
    for left in reversed(range(tries)):
        try:
            return work()
        except Unreached as failure:
            if not left:
                raise ProviderError(str(failure)) from None
            print(f"  {failure}; trying again in {pause:g} seconds", flush=True)
            time.sleep(pause)
    raise AssertionError("tries is at least 1")


@dataclass
class Endpoint:
    """The endpoint of a student.

    Every method raises ConfigError for a key or address that is wrong, ProviderError for a request that is refused,
    and Unreached for a fault that may pass.
    """

    student: Api

    @cached_property
    def place(self) -> str:
        """Its address."""
        return str(self._client.base_url).rstrip("/")

    def files(self) -> Iterator[File]:
        """All files for fine-tuning."""
        files = self._client.files.with_raw_response
        return self._pages(lambda page: files.list(purpose=_PURPOSE, extra_query=page), File, "files")

    def file(self, id: str) -> File | None:
        """One file, None where there is none of this id."""
        return self._send(lambda: self._client.files.with_raw_response.retrieve(id), File, f"to tell of the file {id}")

    def upload(self, file: ChatFile) -> File:
        """Send a file."""
        with file.path.open("rb") as handle:
            sent = self._send(lambda: self._client.files.with_raw_response.create(
                file=(file.name, handle), purpose=_PURPOSE), File, f"the file {file.path}")
        if sent is None:
            raise ConfigError(f"{self.place} has no /files, so it does not fine-tune as OpenAI does; set "
                              "model.base_url to an endpoint that does")
        return sent

    def jobs(self) -> Iterator[Job]:
        """All jobs."""
        jobs = self._client.fine_tuning.jobs.with_raw_response
        return self._pages(lambda page: jobs.list(limit=_PAGE, extra_query=page), Job, "fine_tuning/jobs")

    def job(self, id: str) -> Job | None:
        """One job, None where there is none of this id."""
        jobs = self._client.fine_tuning.jobs.with_raw_response
        return self._send(lambda: jobs.retrieve(id), Job, f"to tell of the job {id}")

    def create(self, request: dict[str, Any]) -> Job:
        """Start a job. Raises ConfigError for a model that is not fine-tuned there."""
        jobs = self._client.fine_tuning.jobs.with_raw_response
        job = self._send(lambda: jobs.create(**request), Job, f"to fine-tune {request['model']}")
        if job is None:
            raise ConfigError(f"{self.place} has no model {request['model']!r} that it fine-tunes; "
                              "set model.model to one that it does")
        return job

    def cancel(self, id: str) -> None:
        """Cancel a job."""
        jobs = self._client.fine_tuning.jobs.with_raw_response
        self._send(lambda: jobs.cancel(id), Job, f"to cancel the job {id}")

    def events(self, id: str, seen: set[str]) -> list[Event]:
        """What happened to a job, oldest first, without the events `seen` and those before them."""
        jobs, new = self._client.fine_tuning.jobs.with_raw_response, []
        # The newest come first: so only the first page is asked for, as long as little is new.
        for event in self._pages(lambda page: jobs.list_events(id, limit=_PAGE, extra_query=page), Event, "events"):
            if event.id in seen:
                break
            new.append(event)
        return new[::-1]

    @cached_property
    def _client(self) -> OpenAI:
        from openai import OpenAI

        place, key = self.student.account()
        return OpenAI(api_key=key, base_url=place, timeout=self.student.timeout, max_retries=0)

    def _pages(self, ask: Callable[[dict[str, str]], Any], cls: type[N], what: str) -> Iterator[N]:
        """Yield what all pages of a list hold; a list that the endpoint does not have is empty."""
        after: dict[str, str] | None = {}
        while after is not None:
            page = self._send(lambda after=after: ask(after), _Page[cls], f"to list its {what}") or _Page[cls]()
            yield from page.data
            next_one = {"after": page.data[-1].id} if page.data and page.has_more else None
            after = next_one if next_one != after else None

    def _send(self, request: Callable[[], Any], cls: type[R], what: str) -> R | None:
        """Make one request; None: the endpoint says 404. `what` is what it would refuse."""
        import openai

        try:
            answer = request()
        except openai.AuthenticationError as error:
            variable = self.student.key_env or ("OPENAI_API_KEY" if self.student.base_url is None else "key_env")
            raise ConfigError(f"{self.place} refuses the key in ${variable}: {self._said(error)}") from None
        except openai.NotFoundError:
            return None
        except openai.APIConnectionError as error:
            raise Unreached(f"{self.place} cannot be reached: {self._hidden(str(error.__cause__ or error))}") from None
        except openai.APIStatusError as error:
            if "quota" in f"{error.code} {error.type} {error.message}".lower():
                raise ProviderError(f"{self.place} refuses {what}, the quota is used up: {self._said(error)}; top it "
                                    "up and start the same command again, what was sent is kept") from None
            if error.status_code in (408, 429) or error.status_code >= 500:
                raise Unreached(f"{self.place} failed: {self._said(error)}") from None
            raise ProviderError(f"{self.place} refuses {what}: {self._said(error)}") from None
        return self._read(answer.http_response.text, cls, what)

    def _read(self, answer: str, cls: type[R], what: str) -> R:
        answer = hidden(answer, self._client.api_key)
        try:
            return cls.model_validate_json(answer)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the whole"
            raise ProviderError(f"{self.place} was asked {what} and answered otherwise than OpenAI does ({where}: "
                                f"{error.errors()[0]['msg']}), got {answer[:100]!r}; check model.base_url") from None

    def _said(self, error: Any) -> str:
        body = error.body if isinstance(error.body, dict) else {}
        return self._hidden(str(body.get("message") or error.message))[:300]

    def _hidden(self, text: str) -> str:
        """The text on one line, and without the key, which some endpoints repeat."""
        return hidden(" ".join(text.split()), self._client.api_key)
