"""Hooks of MkDocs: pages that are made from the code, and scripts only where they are needed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import api
import commands
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the version that the site describes below every page."""
    config.copyright = f"simatch {commands.version()}. MIT licence."
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are generated."""
    for place, text in (*api.pages(), *commands.pages()):
        files.append(File.generated(config, place, content=text))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Resolve links of docstrings to pages, which do not know where their entry is."""
    for file in files.documentation_pages():
        html = html.replace(f'href="site:{file.src_uri}"', f'href="{get_relative_url(file.url, page.url)}"')
    return html


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Load KaTeX on pages with mathematics, and on no other."""
    if 'class="arithmatex"' not in output:
        return output
    here = [get_relative_url(f"assets/{name}", page.url) for name in ("katex/katex.min.css", "katex/katex.min.js")]
    auto, start = (
        get_relative_url(f"assets/{name}", page.url) for name in ("katex/auto-render.min.js", "katex/start.js")
    )
    tags = f'<link rel="stylesheet" href="{here[0]}">' + "".join(
        f'<script defer src="{script}"></script>' for script in (here[1], auto, start)
    )
    return output.replace("</head>", f"{tags}</head>", 1)
