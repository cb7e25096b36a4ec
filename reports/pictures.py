"""Takes the pictures of the insight site that the README shows: `make pictures`.

    python -m reports.pictures

Needs the browser Chromium. The pictures in the repository show the data that `make run` generates.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from reports.project import ROOT, TARGET

SITE = TARGET / "site" / "index.html"
CHROMIUM = Path("/usr/bin/chromium")
WIDTH = 1200
# For each picture the element at its top, and its height in pixels.
PICTURES = {"overview": ("header", 480), "segments": ("#who", 830)}


def main() -> None:
    """Takes all pictures."""
    for needed in (SITE, CHROMIUM):
        if not needed.exists():
            sys.exit(f"error: {needed} is missing; run make site, and apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(SITE.resolve().as_uri())
        for name, (selector, height) in PICTURES.items():
            top = page.evaluate(
                "selector => document.querySelector(selector).getBoundingClientRect().top", selector
            )
            page.screenshot(
                path=ROOT / "reports" / "pictures" / f"{name}.png",
                full_page=True,
                clip={"x": 0, "y": top, "width": WIDTH, "height": height},
            )
        browser.close()


if __name__ == "__main__":
    main()
