"""Fetching one picture over http or https: bounded in bytes and time, and never led elsewhere."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from clipomaly._version import __version__
from clipomaly.errors import FrameError

__all__ = ["MAX_BYTES", "fetch"]

MAX_BYTES = 64 << 20


def fetch(url: str, *, max_bytes: int = MAX_BYTES, timeout: float = 20.0, total: float = 120.0) -> bytes:
    """The body at an address; `timeout` seconds of silence or `total` seconds in all are a `FrameError`."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise FrameError(f"{url} is not an http or https address")
    # Only these handlers: with the usual ones a redirect might lead to file: or ftp: addresses.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(url, headers={"User-Agent": f"clipomaly/{__version__}"})
    until = time.monotonic() + total
    try:
        with opener.open(request, timeout=timeout) as answer:
            chunks, size = [], int(answer.headers.get("Content-Length") or 0)
            got = 0
            while size <= max_bytes and (chunk := answer.read1(1 << 16)):
                chunks.append(chunk)
                got += len(chunk)
                size = max(size, got)
                if time.monotonic() > until:
                    raise FrameError(
                        f"{url} took more than {total:.0f} s: download it first, then give its path"
                    )
            if size > max_bytes:
                raise FrameError(
                    f"{url} is larger than {max_bytes >> 20} MiB: download it first, then give its path"
                )
            if got < size:
                raise FrameError(f"{url} broke off after {got} of {size} bytes: try again")
            return b"".join(chunks)
    except urllib.error.HTTPError as error:
        raise FrameError(f"{url} answered {error.code} {error.reason}: check the address") from error
    except urllib.error.URLError as error:
        raise FrameError(
            f"{url} cannot be reached ({error.reason}): check the address and the network"
        ) from error
    except TimeoutError as error:
        raise FrameError(
            f"{url} did not answer within {timeout:.0f} s: try again, or download it first"
        ) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FrameError(f"{url} cannot be read ({reason}): check the address") from error
