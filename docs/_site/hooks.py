"""Hooks of MkDocs: pages that are made from the code, and scripts only where they are needed."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import api
import commands
import outside
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).parents[2]
# Sections of the navigation that have all pages of a folder.
FOLDERS = {"Models": "models", "Tutorials": "tutorials"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the version below every page, and into the navigation the API, models and tutorials that there are."""
    config.copyright = f"simatch {commands.version()}. MIT licence."
    for section in _sections(config.nav):
        for title, listed in section.items():
            if title == "API":
                section[title] = [place for place, _ in api.pages()]
            elif title in FOLDERS:
                section[title] = listed + [place for place in _pages_in(FOLDERS[title]) if place not in listed]
    return config


def _sections(nav: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield all sections of the navigation, nested ones included."""
    for entry in nav:
        if isinstance(entry, dict):
            yield entry
            for below in entry.values():
                yield from _sections(below) if isinstance(below, list) else ()


def _pages_in(folder: str) -> list[str]:
    """Return the places of the pages of a folder, in alphabetical order."""
    return sorted(f"{folder}/{path.name}" for path in (ROOT / "docs" / folder).glob("*.md"))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are generated, those at the top of the repository, and a small picture for the first page."""
    for place, text in (*api.pages(), *outside.pages()):
        files.append(File.generated(config, place, content=text))
    files.append(File.generated(config, "images/demo-small.png", content=outside.small(ROOT / "docs/images/demo.png")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill the places that are filled from the code."""
    if "<!-- commands" in markdown or "<!-- settings" in markdown:
        for place, text in commands.parts().items():
            markdown = markdown.replace(place, text)
    return markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Resolve links of docstrings to pages, which do not know where their entry is."""
    for file in files.documentation_pages():
        html = html.replace(f'href="site:{file.src_uri}', f'href="{get_relative_url(file.url, page.url)}')
    return html


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Load what delays the index of the search, and KaTeX on pages with mathematics."""
    tags = _script("search.js", page)
    if 'class="arithmatex"' in output:
        tags += f'<link rel="stylesheet" href="{get_relative_url("assets/katex/katex.min.css", page.url)}">'
        for name in ("katex.min.js", "auto-render.min.js", "start.js"):
            tags += _script(f"katex/{name}", page, "defer ")
    return output.replace("</head>", f"{tags}</head>", 1)


def _script(name: str, page: Page, when: str = "") -> str:
    return f'<script {when}src="{get_relative_url(f"assets/{name}", page.url)}"></script>'
