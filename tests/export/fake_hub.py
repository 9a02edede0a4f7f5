"""A Hugging Face Hub on loopback: the requests needed to push a folder and load it again."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_loopback"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """The requests it got and the files it keeps."""

    url: str = ""
    repos: list[str] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)  # repositories that only their owner sees
    files: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0
    asked: list[str] = field(default_factory=list)
    broken: str = ""  # a part of the path that it refuses


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.partition("?")[0]
            hub.asked.append(path)
            if hub.broken and hub.broken in path:
                self.answer(403, {"error": "out of order"})
            elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.answer(401, {"error": "Invalid username or password."})
            else:
                self.post(path, body)

        def post(self, path: str, body: bytes) -> None:
            if path == "/api/repos/create":
                said = json.loads(body)
                name = f"{said['organization']}/{said['name']}"
                if name in hub.repos:  # as it is: asking for another visibility changes nothing
                    said = "You already created this model repo"
                    self.answer(409, {"error": said, "url": f"{hub.url}/{name}"})
                    return
                hub.repos.append(name)
                if said.get("private") or said.get("visibility") == "private":
                    hub.hidden.add(name)
                self.answer(200, {"url": f"{hub.url}/{name}"})
            elif path == "/api/validate-yaml":
                self.answer(200, {"warnings": [], "errors": []})
            elif "/preupload/" in path:
                modes = [
                    {
                        "path": one["path"],
                        "uploadMode": "lfs" if one["path"].endswith((".safetensors", ".onnx")) else "regular",
                        "shouldIgnore": False,
                    }
                    for one in json.loads(body)["files"]
                ]
                self.answer(200, {"files": modes})
            elif path.endswith("/info/lfs/objects/batch"):
                objects = [
                    {**one, "actions": {"upload": {"href": f"{hub.url}/blob/{one['oid']}"}}}
                    for one in json.loads(body)["objects"]
                ]
                self.answer(200, {"transfer": "basic", "objects": objects})
            elif "/commit/" in path:
                for line in map(json.loads, body.splitlines()):
                    value = line["value"]
                    if line["key"] == "file":
                        hub.files[value["path"]] = base64.b64decode(value["content"])
                    elif line["key"] == "lfsFile":
                        hub.files[value["path"]] = hub.blobs[value["oid"]]
                hub.commits += 1
                self.answer(
                    200, {"commitUrl": f"{hub.url}/{hub.repos[-1]}/commit/{COMMIT}", "commitOid": COMMIT}
                )
            else:
                self.answer(404, {"error": path})

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            oid = self.path.rpartition("/")[2]
            assert hashlib.sha256(body).hexdigest() == oid
            hub.blobs[oid] = body
            self.answer(200, {})

        def do_GET(self) -> None:
            hub.asked.append(self.path)
            repo = self.path.partition("?")[0].partition("/api/models/")[2]
            repo = repo.removesuffix("/revision/main")  # as the oldest client asks before it pushes
            if repo in hub.repos:
                self.answer(200, {"id": repo, "private": repo in hub.hidden, "siblings": []})
                return
            before, _, name = self.path.partition("/resolve/main/")
            if before[1:] not in hub.repos or name not in hub.files:
                self.answer(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
                return
            content = hub.files[name]
            tag = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self.answer(200, content, tag)

        do_HEAD = do_GET

        def answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
