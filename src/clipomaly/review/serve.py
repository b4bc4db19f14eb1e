"""From a store's address to a running app: opens everything, says where it listens, and serves."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clipomaly.errors import ConfigError, MissingExtra, OutputError
from clipomaly.review.security import Guard, Policy, is_loopback

__all__ = ["ReviewOptions", "open_review", "serve"]


@dataclass(frozen=True)
class ReviewOptions:
    """What to review, and where to listen."""

    store: str
    decisions: str | None = None
    vocabulary: str | None = None
    rules: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8470
    token: str | None = None
    allow_hosts: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None


def open_review(options: ReviewOptions, policy: Policy, say: Callable[[str], None] | None = None) -> Guard:
    """The app over an opened store; what is worth a word goes to `say`."""
    from clipomaly.review.app import create_app
    from clipomaly.review.desk import Desk
    from clipomaly.review.names import NameDesk
    from clipomaly.store.decisions import Decisions, decisions_url, made_anew
    from clipomaly.store.results import ResultStore
    from clipomaly.store.taxonomy import load_rules
    from clipomaly.vocabulary import load_vocabulary

    rules = load_rules(options.rules, options.store)
    base = load_vocabulary(options.vocabulary) if options.vocabulary else None
    store = ResultStore.open(options.store)
    url = decisions_url(options.store, options.decisions)
    decisions = Decisions.open(url)
    notice = made_anew(options.store, url, decisions)
    if notice is not None and say is not None:
        say(notice)
    desk = Desk(store, decisions)
    return create_app(desk, NameDesk(desk, base, rules), policy)


def serve(
    options: ReviewOptions, say: Callable[[str], None], ready: Callable[[str], None] | None = None
) -> None:
    """Serve until stopped; `ready` is called with the address once the port is ours."""
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise MissingExtra(error.name or "fastapi", "review", "the review app") from error
    if (options.certificate is None) != (options.key is None):
        raise ConfigError("--certificate and --key belong together")
    policy = Policy.make(
        options.host, options.token, options.allow_hosts, secure=options.certificate is not None
    )
    listening = _listen(options.host, options.port)
    notices: list[str] = []
    app = open_review(options, policy, notices.append)
    scheme = "http" if options.certificate is None else "https"
    shown = "localhost" if options.host in ("127.0.0.1", "::1") else options.host
    shown = f"[{shown}]" if ":" in shown else shown
    address = f"{scheme}://{shown}:{listening.getsockname()[1]}/"
    say(f"reviewing {options.store} at {address}" + (f"?token={policy.token}" if policy.token else ""))
    for notice in notices:
        say(f"note: {notice}")
    if options.host in ("0.0.0.0", "::"):
        say(f"from other machines: this one's address in place of {shown}, or a name given with --allow-host")
    if not is_loopback(options.host) and options.certificate is None:
        say("note: others on the network can read along: give --certificate and --key, or use an SSH tunnel")
    say("stop with Ctrl+C")
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # addresses hold the token once
        server_header=False,
        proxy_headers=False,  # nobody may claim another address
        ws="none",
        http="h11",  # it limits how long headers may be; httptools reads on without end
        h11_max_incomplete_event_size=65_536,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
        limit_concurrency=256,
        ssl_certfile=None if options.certificate is None else str(options.certificate),
        ssl_keyfile=None if options.key is None else str(options.key),
    )
    if ready is not None:
        ready(address + (f"?token={policy.token}" if policy.token else ""))
    uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    """The port, taken before anything slow: one that is in use is said at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)  # whoever opens the address as soon as it is printed waits, and is not refused
    except OSError as error:
        raise OutputError(
            f"cannot listen on {host}:{port} ({error.strerror or error}): choose another --port (0: any)"
        ) from error
    return listening
