"""Real proxies by the recipes of deploy/proxies, and the app behind them."""

import os
import shutil
import socket
import string
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from command_line import free_port

RECIPES = Path(__file__).parent.parent / "deploy" / "proxies"
# Where Debian puts what only an administrator is expected to start.
PROGRAMS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
START_SECONDS_MAX = 20

# bcrypt with the least rounds there are, for what Caddy takes; nginx takes plain words.
PASSWORDS = {
    "alice": ("alice-1", "$2a$04$abcdefghijklmnopqrstuuVRHSt9kWsGkDjKp6hbDU0DDsEUhDw1O"),
    "bob": ("bob-1", "$2a$04$abcdefghijklmnopqrstuuvZhVC7OtERaUXafbR.AvTDPdH3Tw39m"),
}
MAIN_NGINX = """
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/recipe.conf;
}}
"""


def program(name: str) -> str | None:
    """Where a proxy's program is, if this machine has it."""
    return shutil.which(name, path=PROGRAMS)


@dataclass
class Upstream:
    """The app behind the proxy: it keeps what reaches it, and answers 200, or as its path says."""

    calls: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    settle: Callable[[str], None] = lambda _name: None

    @contextmanager
    def serving(self) -> Iterator["Upstream"]:
        app = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                app.calls.append((self.command, self.path, headers, self.rfile.read(length)))
                if "credits-reservation" in headers:
                    app.settle(headers["credits-reservation"])
                status = 403 if self.path.endswith("/forbidden") else 200
                self.send_response(status)
                self.send_header("Content-Length", "3")
                self.end_headers()
                self.wfile.write(b"app")

            do_GET = do_POST = answer  # noqa: N815 - as the library calls them

            def log_message(self, *_: object) -> None:
                """Keep the tests' output to what they say."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"127.0.0.1:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


@contextmanager
def caddy(words: Mapping[str, str]) -> Iterator[str]:
    """Run Caddy by its recipe, and give the URL it listens at."""
    url = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="creditd-") as folder:
        environment = {
            "PATH": PROGRAMS,
            "HOME": folder,
            "XDG_DATA_HOME": folder,
            "XDG_CONFIG_HOME": folder,
            "CADDY_ADMIN": f"unix/{folder}/admin",
            "LISTEN": url,
            **{f"{name.upper()}_PASSWORD": hashed for name, (_, hashed) in PASSWORDS.items()},
            **words,
        }
        recipe = RECIPES / "Caddyfile"
        command = [str(program("caddy")), "run", "--adapter", "caddyfile", "--config", str(recipe)]
        with running(command, environment, Path(folder), url):
            yield url


@contextmanager
def nginx(words: Mapping[str, str]) -> Iterator[str]:
    """Run nginx by its recipe, and give the URL it listens at."""
    listen = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="creditd-") as folder:
        passwords = Path(folder) / "passwords"
        passwords.write_text(
            "".join(f"{name}:{{PLAIN}}{word}\n" for name, (word, _) in PASSWORDS.items())
        )
        recipe = string.Template((RECIPES / "nginx.conf").read_text())
        # Not `substitute`: what is left are nginx's own variables.
        filled = recipe.safe_substitute({"LISTEN": listen, "PASSWORDS": str(passwords), **words})
        (Path(folder) / "recipe.conf").write_text(filled)
        user = "user root;" if os.geteuid() == 0 else ""
        main = Path(folder) / "main.conf"
        main.write_text(MAIN_NGINX.format(folder=folder, user=user))
        command = [str(program("nginx")), "-p", folder, "-c", str(main), "-g", "daemon off;"]
        with running(command, {"PATH": PROGRAMS}, Path(folder), f"http://{listen}"):
            yield f"http://{listen}"


@contextmanager
def running(
    command: list[str], environment: Mapping[str, str], folder: Path, url: str
) -> Iterator[None]:
    """Run a program until it listens, and end it afterwards."""
    host, port = url.removeprefix("http://").split(":")
    said = folder / "said"
    with (
        said.open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            until = time.monotonic() + START_SECONDS_MAX
            while not listens(host, int(port)):
                assert process.poll() is None, said.read_text()
                assert time.monotonic() < until, said.read_text()
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


def listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


PROXIES = {"caddy": caddy, "nginx": nginx}
