"""optuna-dashboard's page about studies in memory, for this machine's browsers alone."""

from __future__ import annotations

import contextlib
import json
import threading
from importlib import resources
from importlib.util import find_spec
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from nas.util.commands import extra
from nas.util.errors import SettingError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.storages import BaseStorage

HOST = "127.0.0.1"

# What the page's script takes for trials that may still change: it asks for no news of any others.
_UNFINISHED = b'findIndex(e=>["Running","Waiting"].includes(e.state))'
_CHANGING = b'findIndex(e=>["Running","Waiting","Pruned"].includes(e.state))'
_SCRIPT = "bundle.js"


def require() -> None:
    """Makes sure that the page's package is installed.

    Raises:
        UserError: If it is not.
    """
    for name in ("optuna", "optuna_dashboard"):
        found = find_spec(name)
        if found is None or found.origin is None:  # a folder of that name has no origin
            package = name.replace("_", "-")
            raise UserError(f"{package}: is not installed; install with: {extra('dashboard')}")


@contextlib.contextmanager
def served(storage: BaseStorage, port: int) -> Iterator[str]:
    """Serves the page from threads of this process; gives its address.

    Args:
        storage: The studies.
        port: Port on this machine; 0: any free one.

    Raises:
        UserError: If the port cannot be had.
    """
    app = application(storage)
    try:
        server = make_server(HOST, port, app, server_class=_Server, handler_class=_Handler)
    except OSError as error:
        raise SettingError(
            "port", None, f"{port} cannot be used ({error.strerror}); try another, or 0"
        ) from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def application(storage: BaseStorage) -> Any:
    """The page as a WSGI application. It only shows: a change would not reach the run, and be lost."""
    from bottle import HTTPResponse, request
    from optuna_dashboard._app import create_app

    app = create_app(storage)
    script = _script()

    @app.hook("before_request")
    def read_only() -> None:
        if request.method not in ("GET", "HEAD"):
            reason = {"reason": "this page shows a run; it changes nothing"}
            raise HTTPResponse(json.dumps(reason), 403, content_type="application/json")

    @app.get(f"/static/{_SCRIPT}")
    def changed_script() -> Any:
        return HTTPResponse(script, content_type="text/javascript")

    return app


def _script() -> bytes:
    """The page's script, which looks again at pruned trials: here they may go on, or else it never would."""
    script = (resources.files("optuna_dashboard") / "public" / _SCRIPT).read_bytes()
    return script.replace(_UNFINISHED, _CHANGING)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # the end does not wait for an importance


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: whoever wants to know looks at the page."""
