"""Pages of notebooks: text, code and outputs as Markdown, with the notebook itself to be downloaded."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "tutorials"


def pages() -> Iterator[tuple[str, str | bytes]]:
    """Yield the place of each page and each picture in the documentation, and its content."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        parts, pictures = [], []
        for cell in notebook["cells"]:
            source = "".join(cell["source"]).strip()
            if cell["cell_type"] == "markdown":
                parts.append(source)
            elif cell["cell_type"] == "code" and source:
                parts.append(f"```python\n{source}\n```")
                parts += [_output(output, pictures, path.stem) for output in cell["outputs"]]
        download = f"[Download this notebook]({path.name}){{ .md-button download }}"
        title, _, rest = "\n\n".join(filter(None, parts)).partition("\n")
        yield f"tutorials/{path.stem}.md", f"{title}\n\n{download}\n{rest}\n"
        yield from ((f"tutorials/{name}", content) for name, content in pictures)


def _output(output: dict[str, Any], pictures: list[tuple[str, bytes]], stem: str) -> str:
    """Return what a cell has put out as Markdown; pictures are added to the list."""
    data = output.get("data", {})
    if "image/png" in data:
        name = f"{stem}-{len(pictures) + 1}.png"
        pictures.append((name, base64.b64decode("".join(data["image/png"]))))
        alt = "".join(data.get("text/plain", "Figure")).strip("<>")
        return f"![{'Figure' if alt.startswith('Figure') else alt}]({name})"
    text = "".join(output.get("text") or data.get("text/plain") or ())
    if output["output_type"] == "stream" and output.get("name") == "stderr":
        return ""  # progress bars
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).rstrip()
    return f"```text\n{text}\n```" if text else ""
