"""Serves a folder on loopback until Ctrl-C: `make serve`.

python -m server.serve target/site 8080
"""

import contextlib
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from server.environment import ServerError, check_port


def main(folder: str, port: str) -> None:
    """Serves `folder`; ends with one line when it has no site or the port is not free."""
    if not (Path(folder) / "index.html").exists():
        sys.exit(f"error: there is no site in {folder}; build it with: make site")
    try:
        check_port("SITE_PORT", port, "serve")
    except ServerError as error:
        sys.exit(f"error: {error}")
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
    print(f"The site is http://127.0.0.1:{port} until Ctrl-C", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
