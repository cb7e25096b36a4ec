"""Serves a folder on loopback until it is interrupted: `make serve`.

python bin/serve.py target/site 8080
"""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def main(folder: str, port: str) -> None:
    if not (Path(folder) / "index.html").exists():
        sys.exit(f"error: there is no site in {folder}; build it with: make site")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        sys.exit(f"error: SITE_PORT must be a port number from 1 to 65535, not '{port}'")
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
    except OSError as error:
        sys.exit(
            f"error: cannot serve on port {port} ({error.strerror}); "
            f"choose another one, as in: make serve SITE_PORT={int(port) % 60000 + 100}"
        )
    print(f"The site is http://127.0.0.1:{port} until Ctrl-C", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main(*sys.argv[1:])
