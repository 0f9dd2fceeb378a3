"""The pictures of the report in the README, taken from a report's page.

Needs a Chromium on the path and playwright.

    python docs/pictures/draw_report.py runs/demo/report.html docs/pictures
"""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH_PIXELS, HEIGHT_PIXELS, TALLEST_PIXELS = 1120, 900, 3000
SECONDS = 20
COLOURS_KEPT = 128
# First and last element of each picture.
PICTURES = {
    "report-claims.png": ("#answer h2", "#answer .scroll"),
    "report-course.png": ("#course .legend", "#course .chart"),  # the first row
}


def main(page: Path, folder: Path) -> None:
    """Take all pictures."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))))
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox"]
        ).new_page(viewport={"width": WIDTH_PIXELS, "height": HEIGHT_PIXELS})
        window.goto(page.resolve().as_uri())
        window.locator("#course .chart svg").last.wait_for(timeout=1000 * SECONDS)
        window.set_viewport_size({"width": WIDTH_PIXELS, "height": TALLEST_PIXELS})
        for name, ends in PICTURES.items():
            window.locator(ends[0]).first.scroll_into_view_if_needed()
            boxes = [window.locator(end).first.bounding_box() for end in ends]
            top, bottom = boxes[0]["y"] - 12, boxes[1]["y"] + boxes[1]["height"] + 28
            clip = {"x": 0, "y": top, "width": WIDTH_PIXELS, "height": bottom - top}
            window.screenshot(path=folder / name, clip=clip)
            with Image.open(folder / name) as picture:
                small = picture.convert("RGB").quantize(COLOURS_KEPT)
            small.save(folder / name, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
