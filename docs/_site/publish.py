"""Put the site into a folder as one version beside others, and list all of them on a page.

``python docs/_site/publish.py site FOLDER`` writes ``FOLDER/X.Y.Z``, of the installed version, and the page
``FOLDER/index.html``.
"""

import importlib.metadata
import shutil
import sys
from pathlib import Path

from packaging.version import Version

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>simatch: versions</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1.1em/1.6 sans-serif; margin: 3em auto; max-width: 30em }}
</style>
</head>
<body>
<h1>simatch</h1>
<p>Documentation of each version, the newest first:</p>
<ul>
{items}
</ul>
</body>
</html>
"""


def publish(site: Path, folder: Path, version: str) -> Path:
    """Copy a site into the folder of its version, and return this folder; versions that are there stay as they are."""
    target = folder / version
    if target.exists():
        raise FileExistsError(f"{target} exists, and a published version does not change; give the site a new version.")
    shutil.copytree(site, target)
    versions = sorted((page.parent.name for page in folder.glob("*/index.html")), key=Version, reverse=True)
    items = "\n".join(f'<li><a href="{name}/index.html">{name}</a></li>' for name in versions)
    (folder / "index.html").write_text(PAGE.format(items=items), encoding="utf-8")
    return target


if __name__ == "__main__":
    publish(Path(sys.argv[1]), Path(sys.argv[2]), importlib.metadata.version("simatch"))
