"""A real nginx before a server, with a configuration, port and process of its own."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.ports import reserved_port
from tests.until import PATIENCE, until

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_min_length 1;
    gzip_proxied any;
    gzip_types text/plain text/css text/javascript application/json application/javascript;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {upstream};
            proxy_http_version 1.1;
            {directives}
        }}
    }}
}}
"""


def nginx_binary() -> str:
    """Debian keeps it off an ordinary user's PATH."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("needs nginx: apt-get install nginx")
    return found


@asynccontextmanager
async def nginx(folder: Path, upstream: str, *directives: str) -> AsyncIterator[str]:
    """Its URL. directives: of the location, whole with their semicolons."""
    binary = nginx_binary()
    with reserved_port() as port:
        text = CONFIGURATION.format(folder=folder, port=port, upstream=upstream, directives=" ".join(directives))
        _write(folder, text)
        process = await asyncio.create_subprocess_exec(
            binary, "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"
        )

        async def listens() -> bool:
            assert process.returncode is None, (folder / "error.log").read_text()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                return False
            writer.close()
            await writer.wait_closed()
            return True

        try:
            await until(listens, PATIENCE)
            yield f"http://127.0.0.1:{port}"
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _write(folder: Path, configuration: str) -> None:
    folder.mkdir()
    (folder / "nginx.conf").write_text(configuration)
