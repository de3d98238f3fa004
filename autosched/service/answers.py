"""What the service answers, as JSON; a time never stands without its kind beside it."""

from datetime import datetime
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from autosched.service.submissions import State

KIND = "measured, estimated, simulated or emulated"


class Refused(BaseModel):
    """Why something was refused, in one message."""

    error: str


class Entry(BaseModel):
    """A submitted study in a list."""

    id: int
    state: State
    network: str
    board: str
    study: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    message: str
    cancel_asked: bool
    trials: int
    best_us: float | None
    best_kind: str | None = Field(description=KIND)


class Entries(BaseModel):
    """Submitted studies, the newest first; ``next`` continues the list as ``before``."""

    studies: list[Entry]
    next: int | None


class Best(BaseModel):
    """The best trial so far."""

    trial: int
    latency_us: float
    latency_kind: str = Field(description=KIND)
    latency_std_us: float | None
    sampler: str
    cost_model: str
    peak_l1_bytes: int | None


class LowerBound(BaseModel):
    """What no schedule of the probed choices goes below, proven when there were so many trials."""

    bound_us: float
    bound_any_order_us: float
    bound_kind: str = Field(description="as of a time, or mixed")
    bound_estimated_share: float
    trials: int


class LayerTime(BaseModel):
    """One layer of the best schedule."""

    layer: str
    configuration: str
    time_us: float | None
    time_kind: str | None = Field(description=KIND)
    share: float | None
    cores: int
    l1_bytes: int


class EdgeTime(BaseModel):
    """A change of layout between two layers of the best schedule."""

    producer: str
    consumer: str
    by: str
    change: str
    time_us: float | None
    time_kind: str | None = Field(description=KIND)
    share: float | None


class Rejections(BaseModel):
    """How many were rejected, by kind."""

    trials: dict[str, int]
    probes: dict[str, int]
    left_out: dict[str, int] = Field(description="Candidates left out, by what is known of them.")


class Detail(Entry):
    """A submitted study in full."""

    options: dict[str, Any]
    complete: int
    best: Best | None
    default_us: float | None = Field(description="ttnn's default schedule")
    default_kind: str | None = Field(description=KIND)
    bound: LowerBound | None
    gap: float | None = Field(description="How far the best is above the bound, as a share of it.")
    unprobed: str = Field(description="Why there is no bound, or a preliminary one.")
    probes: int | None
    layers: list[LayerTime]
    edges: list[EdgeTime]
    rejections: Rejections
    stopped: str = Field(description="Why the search ended.")
    says: list[str] = Field(description="The last lines that the search said.")


class TrialPoint(BaseModel):
    """One trial, and the best so far after it."""

    trial: int
    state: str
    sampler: str
    latency_us: float | None
    latency_kind: str | None = Field(description=KIND)
    rejection: str | None
    best_us: float | None
    best_kind: str | None = Field(description=KIND)
    at_s: float = Field(description="Seconds from the start of the study to the trial's end.")


class Curve(BaseModel):
    """The best so far, trial by trial, beside the bound; ``next`` continues it as ``after``."""

    study: str
    points: list[TrialPoint]
    next: int | None
    bound: LowerBound | None


class QuarantinedProbe(BaseModel):
    """A configuration that hung or crashed a device, and is asked for no more."""

    number: int
    layers: list[str]
    layer_signature: str
    configuration: str
    board: str
    device_kind: str
    ttnn_version: str
    firmware: str
    kind: str
    message: str
    created_at: datetime


class Quarantine(BaseModel):
    """What is in quarantine."""

    quarantined: list[QuarantinedProbe]


class BoardRunner(BaseModel):
    """A runner of this service, which works on one board, and what it runs."""

    board: str
    submission: int | None
    study: str | None
    process: int | None


class ClusterWorker(BaseModel):
    """A worker of the cluster: what it offers, and whether searches of this service can use it.

    ``board`` is null of a mock device, which is whatever board is asked for; ``left_out`` says why
    it is not used, "" where it is.
    """

    address: str
    device: str
    board: str | None
    devices: int
    ttnn_version: str
    compiler: str
    left_out: str


class Workers(BaseModel):
    """Who works for this service: its runners, and the workers of a cluster, where it has one."""

    service: str
    version: str
    waiting: int
    runners: list[BoardRunner]
    cluster: list[ClusterWorker]
    takes_token: bool


class NetworkNames(BaseModel):
    """Network files that may be submitted."""

    networks: list[str]
    boards: list[str]
    uploads: bool


class Uploaded(BaseModel):
    """The name by which an uploaded file is submitted."""

    network: str


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return what a description says of refusals, those that any request may meet among them."""
    said = {
        400: "The body cannot be read.",
        401: "The token is missing or wrong.",
        403: "A page of another site asked, or uploads are not taken.",
        404: "There is nothing of that id or name.",
        409: "It has ended, or nothing has run yet.",
        413: "The request is too large.",
        421: "The Host header names another machine.",
        422: "A value is not legal; the message says which and why.",
        429: "Too many wait, or follow, already.",
        503: "The database refuses.",
    }
    always = (401, 421, 503)
    return {
        code: {"model": Refused, "description": said[code]} for code in sorted({*codes, *always})
    }


def problem(status: int, why: str, headers: Any = None) -> Response:
    """Return the answer that refuses something, with why."""
    # What a request said may hold half of a surrogate pair, which no answer could.
    text = why.encode("utf-8", "backslashreplace").decode()
    return JSONResponse({"error": text}, status_code=status, headers=headers)
