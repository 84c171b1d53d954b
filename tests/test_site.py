"""The site: no public name is missing, nothing comes from elsewhere, and every page fits its window."""

import ast
import hashlib
import importlib
import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import browser
import public
import publish
import pytest

ROOT = Path(__file__).parents[1]


def _names():
    return [name for room in ("", *public.rooms()) for name in public.names_of(room)]


def test_rooms_that_are_read_are_those_that_are_there():
    assert {"network", "relaxation", "learning", "models", "estimators", "storage"} <= set(public.rooms())
    everywhere = {name.name for name in _names()}
    for room in public.rooms():
        module = importlib.import_module(f"simatch.{room}")
        found = {name for name, value in vars(module).items() if name[0] != "_" and not inspect.ismodule(value)}
        own = {name.name for name in public.names_of(room)}
        assert own <= found, room
        # What a room repeats of another has its entry there.
        assert found - own - {"Feature"} <= everywhere, room


@pytest.mark.parametrize("room", public.rooms())
def test_every_public_name_has_an_entry(room):
    api = importlib.import_module("api")
    text = dict(api.pages())[f"reference/api/{room}.md"]
    entries = [line.removeprefix("::: ") for line in text.splitlines() if line.startswith("::: ")]
    assert sorted(entries) == sorted(name.path for name in public.names_of(room))


def test_the_page_of_papers_lists_the_commands():
    text = dict(importlib.import_module("api").pages())["reference/api/papers.md"]
    reproduce = importlib.import_module("simatch.papers").reproduce
    names = [(own.name or own.callback.__name__).replace("_", "-") for own in reproduce.registered_commands]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| [`simatch reproduce ")]
    assert sorted(row[0].partition("]")[0] for row in rows) == sorted(f"| [`simatch reproduce {n}`" for n in names)
    assert [row for row in rows if len(row) != 3 or "20" not in row[1] or not row[2].endswith(". |")] == []


def _described(name):
    """Whether a name has a docstring, where it is defined: constants and types have it below their assignment."""
    value = getattr(importlib.import_module(f"simatch.{name.room}"), name.name)
    if inspect.isclass(value) or inspect.isroutine(value):
        return bool(inspect.getdoc(value))
    body = ast.parse(public.module_file(name.room, name.module).read_text(encoding="utf-8")).body
    for statement, following in zip(body, [*body[1:], None], strict=True):
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name.name for target in targets):
            return isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
    return False


def test_every_public_name_is_described():
    assert [name.path for name in _names() if name.room and not _described(name)] == []


def test_links_in_docstrings():
    links = pytest.importorskip("links", exc_type=ImportError)
    text = (
        "See `Grid`, `net`, `simatch.Layer`, ``docs/models/contrastive.md``; equation (9) of ``docs/mathematics.md``."
    )
    assert links.linked(text, own={"net"}) == (
        "See [`Grid`][simatch.network.Grid], `net`, [`Layer`][simatch.models.Layer], "
        "[models/contrastive](site:models/contrastive.md); equation [(9)](site:mathematics.md#eq-9) of "
        "[mathematics](site:mathematics.md)."
    )


def test_commands_and_settings_are_described():
    """Whole sentences, placeholders as they are typed, and a meaning for every setting."""
    commands, *tables = importlib.import_module("commands").parts().values()
    assert "`--out <path>`" in commands
    assert "..." not in commands.replace("[ARGS]...", "")
    rows = [line for table in tables for line in table.splitlines()[2:]]
    assert len(rows) > 30
    assert [row for row in rows if row.rstrip("| ").count("|") != 4] == []


def test_what_is_shipped_is_what_was_published():
    """Versions and hashes are those in docs/assets/README.md."""
    table = (ROOT / "docs/assets/README.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "docs/assets").rglob("*")):
        if path.suffix in (".js", ".css", ".woff2") and path.name not in ("start.js", "search.js", "site.css"):
            assert f"`{hashlib.sha256(path.read_bytes()).hexdigest()}`" in table, path


def test_versions_stand_beside_each_other(tmp_path):
    site, folder = tmp_path / "site", tmp_path / "public"
    site.mkdir()
    for version in ("0.9.0", "0.10.0"):
        (site / "index.html").write_text(version)
        publish.publish(site, folder, version)
    with pytest.raises(FileExistsError, match="a published version does not change"):
        publish.publish(site, folder, "0.9.0")
    assert [(folder / v / "index.html").read_text() for v in ("0.9.0", "0.10.0")] == ["0.9.0", "0.10.0"]
    page = (folder / "index.html").read_text()
    assert page.index('href="0.10.0/index.html"') < page.index('href="0.9.0/index.html"')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)  # noqa: S603
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
def test_site_is_small(site):
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 20e6


@pytest.mark.slow
def test_every_entry_is_in_the_inventory(site):
    text = "".join(path.read_text(encoding="utf-8") for path in (site / "reference/api").glob("*.html"))
    assert [name.path for name in _names() if name.room and f'id="{name.path}"' not in text] == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium")
def test_every_page_in_a_browser(site):
    """At the widths of a desk and a phone: no scrolling sideways, no request elsewhere, no error."""
    wrong, formulas = [], 0
    with browser.browser() as window:
        for page in sorted(path for path in site.rglob("*.html") if path.name != "404.html"):
            for width, dark in ((1280, False), (390, True)):
                view = window.open(page.as_uri(), width, dark=dark)
                formulas += view.formulas
                wrong += [f"{page.relative_to(site)}, {width}: {fault}" for fault in browser.faults(view, width)]
        window.open((site / "index.html").as_uri(), 375)
        tables = "[...document.querySelectorAll('.stacked .md-typeset__scrollwrap')].map(e => e.scrollWidth)"
        stacked = json.loads(window.evaluate(f"JSON.stringify({tables})"))
        first = window.open((site / "index.html").as_uri(), 1280)
        asked = [url for url in first.requests if "search_index" in url]
        found = window.search("residual")
    assert wrong == []
    assert "Glossary" in found
    assert stacked
    assert max(stacked) <= 375
    assert formulas > 50
    assert asked == []  # nobody has searched yet
    assert first.bytes < 500e3


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium")
def test_the_browser_sees_faults(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<meta name=viewport content='width=device-width'><div class=md-content><p style='width:900px'>wide</p></div>"
        "<img src='http://127.0.0.1:9/picture.png'><script>nonsense()</script><div class=arithmatex>x</div>"
    )
    with browser.browser() as window:
        found = browser.faults(window.open(page.as_uri(), 390), 390)
    assert any("pixels" in fault for fault in found)
    assert any("too wide" in fault for fault in found)
    assert any("asks for http://127.0.0.1:9" in fault for fault in found)
    assert any("nonsense" in fault for fault in found)
    assert any("not typeset" in fault for fault in found)
