"""The web app: pages, JSON and pictures over a desk, behind the guard.

Every address takes ids, never paths; whatever writes is a POST with the page's secret (`security.py`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from clipomaly.errors import ClipomalyError, FrameError
from clipomaly.review import views, wire
from clipomaly.review.cutting import Cutting
from clipomaly.review.desk import Desk, NotThere
from clipomaly.review.groups import Groups
from clipomaly.review.names import NameDesk
from clipomaly.review.pages import PAGES, assets, error_page, is_visit, page
from clipomaly.review.security import Guard, Policy
from clipomaly.review.statistics import Statistics
from clipomaly.store.decisions import Decision
from clipomaly.store.parts import Line

__all__ = ["create_app"]

_ID = r"[A-Za-z0-9_-]{1,80}"
FindingId = Annotated[str, Path(pattern=f"^{_ID}$")]
_KEEP = {"cache-control": "private, max-age=604800, immutable"}
"""For pictures: their address holds the store's version."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


def _seen(text: str) -> str:
    """Refuse what nobody sees: it reverses the text around it, or makes two names look like one."""
    joiners = "\u200c\u200d"  # letters of some scripts need them
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in joiners for c in text):
        raise ValueError("it has characters that nobody can see")
    return text


_Who = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_seen)]
_Name = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_seen)]


class DecisionBody(_Strict):
    """What a reviewer decides about findings: those told, or all of a view."""

    who: _Who
    kind: Literal["confirm", "rename", "reject", "split", "ignore", "assign", "comment"]
    findings: Annotated[list[Annotated[str, Field(pattern=f"^{_ID}$")]], Field(max_length=5000)] = []
    filter: dict[str, list[str]] | None = None
    expected: Annotated[int, Field(ge=0)] = 0
    name: _Name | None = None
    reason: Annotated[str, Field(max_length=40)] | None = None
    comment: Annotated[str, Field(max_length=2000)] | None = None
    key: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9-]*$")] = ""


Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class SplitBody(_Strict):
    """How a reviewer cuts a region: by a line, or, without one, into the pieces that hang together."""

    who: _Who
    finding: Annotated[str, Field(pattern=f"^{_ID}$")]
    line: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    key: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9-]*$")] = ""


class UndoBody(_Strict):
    """Whose latest decision to take back."""

    who: _Who


class NameBody(_Strict):
    """What a reviewer decides about a name."""

    who: _Who
    kind: Literal["promote", "reject", "merge", "undo"]
    name: _Name
    other: Annotated[str, Field(max_length=120), AfterValidator(_seen)] = ""
    reason: Annotated[str, Field(max_length=40)] = ""
    force: bool = False


def create_app(desk: Desk, names: NameDesk, policy: Policy) -> Guard:
    """The app as ASGI; it owns the desk from its start to its end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        desk.start()
        yield
        desk.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    _errors(app)
    _pages(app)
    _lists(app, desk, names, policy)
    _findings(app, desk)
    _decisions(app, desk)
    _cutting(app, desk)
    _names(app, names)
    _pictures(app, desk)
    return Guard(app, policy)


def _errors(app: FastAPI) -> None:
    def told(request: Request, status: int, text: str) -> Response:
        if is_visit(request.method, request.url.path, request.headers.get("accept", "")):
            return HTMLResponse(error_page(status, text), status)
        return JSONResponse({"error": text}, status)

    @app.exception_handler(NotThere)
    async def not_there(request: Request, error: NotThere) -> Response:
        return told(request, 404, str(error))

    @app.exception_handler(FrameError)
    async def no_picture(request: Request, error: FrameError) -> Response:
        return told(request, 404, str(error))

    @app.exception_handler(ClipomalyError)
    async def refused(request: Request, error: ClipomalyError) -> Response:
        return told(request, 409, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where, why = ".".join(map(str, first["loc"][1:])) or "request", first["msg"]
        if first["type"] == "string_too_long":
            why = f"at most {first['ctx']['max_length']} characters"
        return told(request, 422, f"{where}: {why.removeprefix('Value error, ')}")

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        return told(request, error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        return told(request, 500, f"{type(error).__name__}: see the program's output")


def _pages(app: FastAPI) -> None:
    def show(name: str) -> Callable[[], HTMLResponse]:
        return lambda: HTMLResponse(page(name))

    for name in PAGES:
        app.get(f"/{name}")(show(name))

    @app.get("/")
    def start(request: Request) -> RedirectResponse:
        query = request.url.query  # the reviewer's name, filters
        return RedirectResponse(f"/queue?{query}" if query else "/queue", 307)

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        asset = assets().get(name)
        if asset is None:
            raise HTTPException(404, "There is no such file.")
        return Response(asset.data, media_type=asset.kind, headers={"cache-control": "private, max-age=60"})


def _given(request: Request) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for key, value in request.query_params.multi_items():
        out.setdefault(key, []).append(value)
    return out


Offset = Annotated[int, Query(ge=0, le=10_000_000)]
Limit = Annotated[int, Query(ge=1, le=500)]
_DECIMAL = r"-?[0-9]{1,6}(\.[0-9]{1,3})?"
LineText = Annotated[str | None, Query(pattern=f"^{_DECIMAL}(,{_DECIMAL}){{3}}$")]
"""x0,y0,x1,y1 in pixels."""


def _lists(app: FastAPI, desk: Desk, names: NameDesk, policy: Policy) -> None:
    statistics, groups = Statistics(desk), Groups(desk)

    @app.get("/api/session")
    def session() -> dict[str, Any]:
        return {
            "csrf": policy.secret,
            "version": desk.version,
            "revision": desk.decisions.latest(),
            "reviewers": desk.reviewers(),
            "facets": desk.facets(),
        }

    @app.get("/api/queue")
    def queue(request: Request, offset: Offset = 0, limit: Limit = 200) -> dict[str, Any]:
        return desk.queue(_given(request), offset, limit)

    @app.get("/api/grid")
    def grid(request: Request, offset: Offset = 0, limit: Limit = 60) -> dict[str, Any]:
        return desk.grid(_given(request), offset, limit)

    @app.get("/api/grid/some")
    def some(request: Request, id: Annotated[list[str], Query(max_length=500)]) -> dict[str, Any]:
        return {"findings": desk.some(_given(request), id)}

    @app.get("/api/groups")
    def look_alikes(request: Request) -> dict[str, Any]:
        return groups.overview(_given(request))

    @app.get("/api/names")
    def all_names() -> dict[str, Any]:
        return {"names": desk.names()}

    @app.get("/api/live")
    def live(
        request: Request,
        after: Annotated[int | None, Query(ge=0)] = None,
        looking: Annotated[str | None, Query(pattern=f"^{_ID}$")] = None,
        who: Annotated[str, Query(max_length=80)] = "",
    ) -> dict[str, Any]:
        return {**desk.news(_given(request), after), "looking": desk.look(who.strip(), looking)}

    @app.get("/api/claim")
    def claim(
        request: Request,
        looking: Annotated[str, Query(pattern=f"^{_ID}$")],
        who: Annotated[str, Query(max_length=80)] = "",
    ) -> dict[str, Any]:
        return desk.claim(_given(request), who.strip(), looking)

    @app.get("/api/statistics")
    def figures() -> dict[str, Any]:
        return statistics.overview()


def _findings(app: FastAPI, desk: Desk) -> None:
    @app.get("/api/findings/{finding}")
    def detail(finding: FindingId) -> dict[str, Any]:
        return desk.detail(finding)

    @app.get("/api/findings/{finding}/clip")
    def clip(finding: FindingId) -> dict[str, Any]:
        return {"frames": desk.clip(finding)}

    @app.get("/api/findings/{finding}/similar")
    def similar(finding: FindingId) -> dict[str, Any]:
        return {"findings": desk.similar(finding)}


def _decisions(app: FastAPI, desk: Desk) -> None:
    @app.post("/api/decisions")
    def decide(request: Request, body: DecisionBody) -> dict[str, Any]:
        if (body.filter is None) == (not body.findings):
            raise HTTPException(422, "Name the findings, or a filter.")
        view = body.filter or {}
        findings = tuple(dict.fromkeys(body.findings)) or desk.matching(view, body.expected)
        done = desk.decide(
            Decision(
                body.who,
                body.kind,
                findings,
                name=body.name,
                reason=body.reason,
                comment=body.comment or None,
                key=body.key,
            )
        )
        return {"id": done.id, "count": len(done.findings), "counts": desk.counts(_given(request))}

    @app.post("/api/undo")
    def undo(request: Request, body: UndoBody) -> dict[str, Any]:
        done = desk.undo(body.who)
        undone = None if done is None else wire.decision_row(done[1])
        return {"undone": undone, "counts": desk.counts(_given(request))}


def _cutting(app: FastAPI, desk: Desk) -> None:
    cutting = Cutting(desk)

    @app.get("/api/findings/{finding}/parts")
    def parts(finding: FindingId, line: LineText = None) -> dict[str, Any]:
        return cutting.preview(finding, _line(line))

    @app.get("/picture/parts/{finding}")
    def picture(finding: FindingId, line: LineText = None) -> Response:
        data = cutting.picture(finding, _line(line))
        return Response(data, media_type="image/png", headers={"cache-control": "no-store"})

    @app.post("/api/split")
    def split(request: Request, body: SplitBody) -> dict[str, Any]:
        done, ids = cutting.cut(body.who, body.finding, body.line, body.key)
        return {"id": done.id, "parts": ids, "counts": desk.counts(_given(request))}


def _line(text: str | None) -> Line | None:
    if text is None:
        return None
    x0, y0, x1, y1 = (float(v) for v in text.split(","))
    return x0, y0, x1, y1


def _names(app: FastAPI, names: NameDesk) -> None:
    @app.get("/api/taxonomy")
    def overview() -> dict[str, Any]:
        return names.overview()

    @app.post("/api/taxonomy")
    def decide(body: NameBody) -> dict[str, Any]:
        names.decide(body.kind, body.who, body.name, other=body.other, reason=body.reason, force=body.force)
        return names.overview()

    @app.get("/api/taxonomy/export")
    def export() -> Response:
        name, text = names.file()  # a vocabulary's name is letters, digits, - and _
        return Response(
            text,
            media_type="application/toml",
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )


def _pictures(app: FastAPI, desk: Desk) -> None:
    def answer(data: bytes) -> Response:
        kind = "image/png" if data[:4] == b"\x89PNG" else "image/jpeg"
        return Response(data, media_type=kind, headers=_KEEP)

    @app.get("/picture/frame/{frame}")
    def frame(frame: FindingId, size: Literal["small", "shown", "full"] = "shown") -> Response:
        return answer(views.frame_picture(desk, frame, size))

    @app.get("/picture/score/{frame}")
    def score(frame: FindingId) -> Response:
        return answer(views.score_picture(desk, frame))

    @app.get("/picture/mask/{finding}")
    def mask(finding: FindingId) -> Response:
        return answer(views.mask_picture(desk, finding))

    @app.get("/picture/crop/{finding}")
    def crop(finding: FindingId) -> Response:
        return answer(views.crop_picture(desk, finding))
