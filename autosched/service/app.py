"""The service's answers to HTTP: a JSON API that describes itself, and the page that uses it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as AnyHTTPException

from autosched.errors import AutoschedError, NetworkFileError, StoreError, StudyError
from autosched.export.config_module import render_schedule
from autosched.export.loading import parse_json
from autosched.export.saving import render_json
from autosched.schedule.schedule import Schedule
from autosched.service import answers, progress, submissions
from autosched.service.answers import problem, problems
from autosched.service.asking import (
    LARGEST_BODY,
    LARGEST_NUMBER,
    LARGEST_UPLOAD,
    MOST_WAITING,
    StudyRequest,
)
from autosched.service.events import Following, events
from autosched.service.guard import COOKIE, Guard
from autosched.service.ownership import host_name
from autosched.service.queue import Service
from autosched.service.search_files import said_by
from autosched.service.search_process import last_words
from autosched.service.submissions import State, Submission
from autosched.store.studies import StudyRecord, find_study
from autosched.store.trials import finished_trial

_PAGE = Path(__file__).with_name("page")
_WORDS_SHOWN = 12
_MOST_FOLLOWING = 64


class _Login(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=1000)


Number = Annotated[int, InPath(ge=1, le=LARGEST_NUMBER, description="The submission's id.")]
_After = Annotated[int, Query(ge=-1, le=LARGEST_NUMBER, description="Only trials after this one.")]


_CHANGES = problems(400, 403, 404, 409, 413, 422, 429)
_ONE = problems(404, 422)


def create_app(service: Service, say: Any = print, complain: Any = print) -> Guard:
    """Return the application, guarded; requests are told to ``say``, defects to ``complain``."""
    largest = {"": LARGEST_BODY, "/api/networks": LARGEST_UPLOAD}
    return Guard(unguarded(service), service.access, largest, say, complain)


def unguarded(service: Service) -> FastAPI:
    """Return the application itself, which asks nobody who they are."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await run_in_threadpool(service.queue.start)
            service.bounds.start()
            yield
        except AutoschedError as error:
            service.failures.append(error)
            raise
        finally:
            await run_in_threadpool(service.queue.stop)
            await run_in_threadpool(service.bounds.stop)

    app = FastAPI(
        title="autosched",
        version=service.version,
        description="Submit studies, follow them, cancel them, and fetch their schedules.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    _handle_errors(app, service)
    _add_studies(app, service)
    _add_results(app, service)
    _add_surroundings(app, service)
    _add_page(app, service)
    return app


def _handle_errors(app: FastAPI, service: Service) -> None:
    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first.get("type") == "json_invalid":
            return problem(400, f"the body is no JSON: {first.get('ctx', {}).get('error', '')}")
        place = ".".join(str(part) for part in first.get("loc", ()) if part != "body")
        return problem(422, f"{place or 'the body'}: {first.get('msg', 'is not legal')}")

    @app.exception_handler(AnyHTTPException)
    def refused(_: Request, error: AnyHTTPException) -> Response:
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(Exception)
    def failed(_: Request, __: Exception) -> Response:
        return problem(500, "the service failed where it should not; its log says how")

    @app.exception_handler(StoreError)
    def no_store(_: Request, error: StoreError) -> Response:
        return problem(503, service.without_passwords(str(error)))

    @app.exception_handler(AutoschedError)
    def wrong(_: Request, error: AutoschedError) -> Response:
        status = 404 if isinstance(error, NetworkFileError) else 422
        return problem(status, service.without_passwords(str(error)))


def _found(service: Service, number: int) -> Submission:
    found = submissions.find_submission(service.store, number)
    if found is None:
        raise HTTPException(404, f"there is no submission {number}")
    return found


def _record(service: Service, item: Submission) -> StudyRecord:
    record = find_study(service.store, item.study)
    if record is None:
        raise HTTPException(409, f"study {item.study} has not begun yet")
    return record


def _detail(service: Service, item: Submission) -> answers.Detail:
    said = last_words(said_by(service.queue.searches, item.id), _WORDS_SHOWN)
    lines = [service.without_passwords(line)[:500] for line in said.split("\n") if line]
    return progress.detail(service.store, item, service.networks, service.bounds, lines)


def _add_studies(app: FastAPI, service: Service) -> None:
    @app.post("/api/studies", status_code=201, response_model=answers.Entry, responses=_CHANGES)
    def submit(asked: StudyRequest, response: Response) -> answers.Entry:
        """Submit a study; it waits its turn on its board."""
        asked.options.check_together()
        board = asked.board or service.queue.boards[0]
        if board not in service.queue.boards:
            there = ", ".join(service.queue.boards)
            raise HTTPException(422, f"board: this service has no {board}; it has {there}")
        path = service.networks.find(asked.network)
        options = asked.options.model_dump(exclude_defaults=True)
        if asked.options.start is not None:
            _check_start(asked.options.start)
        if submissions.count_waiting(service.store) >= MOST_WAITING:
            raise HTTPException(429, f"{MOST_WAITING:,} studies wait already; cancel some")
        network = str(path) if asked.attribute is None else f"{path}:{asked.attribute}"
        new = Submission(network, board, asked.name or "", options, host_name(), submissions.now())
        kept = submissions.add_submission(service.store, new, path.stem)
        service.queue.wake()
        response.headers["location"] = f"/api/studies/{kept.id}"
        return progress.entries(service.store, [kept], service.networks)[0]

    @app.get("/api/studies", response_model=answers.Entries, responses=problems(422))
    def studies(
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        before: Annotated[int | None, Query(ge=1, le=LARGEST_NUMBER)] = None,
    ) -> answers.Entries:
        """List what was submitted, the newest first."""
        found = submissions.list_submissions(service.store, state, limit, before)
        shown = progress.entries(service.store, found, service.networks)
        return answers.Entries(studies=shown, next=found[-1].id if len(found) == limit else None)

    @app.get("/api/studies/{number}", response_model=answers.Detail, responses=_ONE)
    def study(number: Number) -> answers.Detail:
        """Return all that is known of a study now, at any moment of its search."""
        return _detail(service, _found(service, number))

    @app.post("/api/studies/{number}/cancel", response_model=answers.Entry, responses=_CHANGES)
    def cancel(number: Number) -> answers.Entry:
        """Cancel a study: what is finished stays stored, and its schedule can be fetched."""
        found = submissions.ask_to_cancel(service.store, number)
        if found is None:
            raise HTTPException(404, f"there is no submission {number}")
        if found.status in (State.FINISHED, State.FAILED):
            raise HTTPException(409, f"submission {number} has ended: it is {found.status}")
        return progress.entries(service.store, [found], service.networks)[0]


def _check_start(plain: dict[str, Any]) -> None:
    """Refuse what is no schedule; it is data, and nothing of it is executed."""
    import json  # noqa: PLC0415

    parse_json(json.dumps(plain, allow_nan=True), "options.start")


def _add_results(app: FastAPI, service: Service) -> None:
    @app.get("/api/studies/{number}/curve", response_model=answers.Curve, responses=_ONE)
    def curve(
        number: Number,
        after: _After = -1,
        limit: Annotated[int, Query(ge=1, le=progress.MOST_POINTS)] = progress.MOST_POINTS,
    ) -> answers.Curve:
        """Return the best so far, trial by trial, with the bound."""
        item = _found(service, number)
        record = find_study(service.store, item.study)
        if record is None:
            return answers.Curve(study=item.study, points=[], next=None, bound=None)
        points = progress.points(service.store, record, after, limit)
        known = progress.known_bound(service.store, item, record, service.bounds)
        return answers.Curve(
            study=item.study,
            points=points,
            next=points[-1].trial if len(points) == limit else None,
            bound=None if known is None else progress.lower_bound(known),
        )

    following = Following(_MOST_FOLLOWING)

    @app.get(
        "/api/studies/{number}/events",
        response_class=StreamingResponse,
        responses={
            **problems(404, 422, 429),
            200: {
                "description": "Server-sent events: `state`, `trial`, `bound`, and `end` at last.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
        },
    )
    def follow(number: Number, request: Request, after: _After = -1) -> StreamingResponse:
        """Follow a study: its state, each new trial, and the bound, until it has ended."""
        _found(service, number)
        last = request.headers.get("last-event-id", "")
        if last.isdecimal() and len(last) < 10:
            after = int(last)
        if following.is_full:
            raise HTTPException(429, f"{_MOST_FOLLOWING} follow studies already")
        told = events(service, number, after, following)
        return StreamingResponse(told, media_type="text/event-stream")

    def best(number: int) -> tuple[str, Schedule]:
        item = _found(service, number)
        try:
            return item.study, finished_trial(service.store, _record(service, item))[1]
        except StudyError as error:
            raise HTTPException(409, service.without_passwords(str(error))) from None

    fetched = problems(404, 409, 422)

    @app.get(
        "/api/studies/{number}/schedule.json",
        response_class=Response,
        responses={
            **fetched,
            200: {"content": {"application/json": {"schema": {"type": "object"}}}},
        },
    )
    def schedule_json(number: Number) -> Response:
        """Fetch the best schedule as JSON, which is only read wherever it is taken."""
        name, found = best(number)
        return _file(render_json(found), f"{name}.json", "application/json")

    @app.get(
        "/api/studies/{number}/schedule.py",
        response_class=Response,
        responses={**fetched, 200: {"content": {"text/x-python": {"schema": {"type": "string"}}}}},
    )
    def schedule_module(number: Number) -> Response:
        """Fetch the best schedule as a Python module of ttnn's configurations."""
        name, found = best(number)
        stem = "".join(letter if letter.isalnum() else "_" for letter in name)
        return _file(render_schedule(found), f"{stem}.py", "text/x-python; charset=utf-8")


def _file(text: str, name: str, kind: str) -> Response:
    safe = "".join(letter if letter.isascii() and letter.isprintable() else "_" for letter in name)
    safe = safe.replace('"', "_").replace("\\", "_").replace("/", "_")
    headers = {"content-disposition": f'attachment; filename="{safe}"'}
    return Response(text, media_type=kind, headers=headers)


def _add_surroundings(app: FastAPI, service: Service) -> None:
    @app.get("/api/quarantine", response_model=answers.Quarantine, responses=problems())
    def quarantined() -> answers.Quarantine:
        """List configurations that hung or crashed a device, and are asked for no more."""
        return progress.quarantine(service.store)

    @app.get("/api/workers", response_model=answers.Workers, responses=problems())
    def workers() -> answers.Workers:
        """Say who works: the runners of this service, one a board, and what each runs."""
        return answers.Workers(
            service=service.queue.owner,
            version=service.version,
            waiting=submissions.count_waiting(service.store),
            runners=[answers.BoardRunner(**vars(worker)) for worker in service.queue.workers()],
            cluster=[
                answers.ClusterWorker(**vars(worker))
                for worker in (service.cluster.workers() if service.cluster else ())
            ],
            takes_token=service.access.token is not None,
        )

    @app.get("/api/networks", response_model=answers.NetworkNames, responses=problems())
    def networks() -> answers.NetworkNames:
        """List the network files that may be submitted, and the boards."""
        return answers.NetworkNames(
            networks=service.networks.names(),
            boards=list(service.queue.boards),
            uploads=service.networks.uploads is not None,
        )

    @app.post(
        "/api/networks",
        status_code=201,
        response_model=answers.Uploaded,
        responses=_CHANGES,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"text/x-python": {"schema": {"type": "string"}}},
            }
        },
    )
    async def upload(
        request: Request, name: Annotated[str, Query(min_length=4, max_length=83)]
    ) -> answers.Uploaded:
        """Keep a network file, where the operator allows that; submitting executes it."""
        if service.networks.uploads is None:
            raise HTTPException(
                403, "this service takes no files; it was started without --allow-upload"
            )
        content = await request.body()
        try:
            kept = await run_in_threadpool(service.networks.keep, name, content)
        except NetworkFileError as error:
            raise HTTPException(422, str(error)) from None
        except OSError as error:
            raise StoreError(f"the file cannot be kept: {error.strerror}") from None
        return answers.Uploaded(network=kept)


def _add_page(app: FastAPI, service: Service) -> None:
    @app.post("/api/login", status_code=204, responses=_CHANGES)
    def login(asked: _Login) -> Response:
        """Give a browser a cookie for the token; no script can read it."""
        if not service.access.accepts(asked.token):
            raise HTTPException(401, "this is not the service's token")
        response = Response(status_code=204)
        if service.access.token is not None:
            response.set_cookie(
                COOKIE,
                service.access.cookie,
                httponly=True,
                samesite="strict",
                secure=service.access.is_tls,
            )
        return response

    @app.post("/api/logout", status_code=204, responses=_CHANGES)
    def logout() -> Response:
        """Take the cookie back."""
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    @app.get("/favicon.ico", include_in_schema=False)
    def no_icon() -> Response:
        return Response(status_code=204)

    for address, name, kind in (
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/page.css", "page.css", "text/css; charset=utf-8"),
        ("/page.js", "page.js", "text/javascript; charset=utf-8"),
    ):
        _add_file(app, address, _PAGE / name, kind)


def _add_file(app: FastAPI, address: str, path: Path, kind: str) -> None:
    @app.get(address, include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(path, media_type=kind)
