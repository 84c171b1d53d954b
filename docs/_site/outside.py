"""What the site takes from outside its folder: pages at the top of the repository, and a small copy of a picture."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
PAGES = {"CONTRIBUTING.md": "development/contributing.md", "CHANGELOG.md": "development/changes.md"}


def pages() -> Iterator[tuple[str, str]]:
    """Yield the place of each page in the documentation, and its text with links that hold there."""
    for name, place in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        yield place, re.sub(r"\]\(docs/([^)]*)\)", r"](../\1)", text)


def small(picture: Path, width: int = 800, colours: int = 64) -> bytes:
    """Return a PNG of less width and with fewer colours."""
    image = Image.open(picture).convert("RGB")
    image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.quantize(colours, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()
