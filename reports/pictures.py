"""Takes the pictures of the insight site that the README shows: `make pictures`.

    python -m reports.pictures

Needs the browser Chromium. The pictures in the repository are of generated data as `make run` makes
them.
"""

import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SITE = Path(os.environ.get("DBT_TARGET_PATH") or ROOT / "target") / "site" / "index.html"
CHROMIUM = Path("/usr/bin/chromium")
WIDTH = 1200
# Picture -> the first thing in it, and its height.
PICTURES = {"overview": ("header", 480), "segments": ("#who", 830)}


def main() -> None:
    for needed in (SITE, CHROMIUM):
        if not needed.exists():
            sys.exit(
                f"error: there is no {needed}; make site and apt-get install chromium bring it"
            )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(SITE.as_uri())
        for name, (selector, height) in PICTURES.items():
            top = page.locator(selector).bounding_box()["y"]
            page.screenshot(
                path=ROOT / "reports" / "pictures" / f"{name}.png",
                full_page=True,
                clip={"x": 0, "y": top, "width": WIDTH, "height": height},
            )
        browser.close()


if __name__ == "__main__":
    main()
