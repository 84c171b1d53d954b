"""Run the tutorials and write, for each, a page with its figures and a notebook to download.

``python docs/tutorials/_build.py [NAME ...]`` runs those of the given names, or all. A tutorial is a Python script in
the percent format of Jupytext, so that it can be run as it is, reviewed line by line, and tested. For ``credit.py``
this writes ``credit.ipynb``, the notebook without outputs; ``credit.md``, a page of the site; and its figures in
``credit_files``.
"""

import shutil
import sys
import time
from pathlib import Path

import jupytext
import nbconvert
import nbformat
from nbclient import NotebookClient
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor

FOLDER = Path(__file__).parent
LINKS = "[Notebook]({name}.ipynb) · [Python script]({name}.py)\n\n"
# Figures in the notebook, whatever MPLBACKEND says; sharp on screens of a high resolution, and small enough for a site.
SETUP = "%matplotlib inline\n%config InlineBackend.print_figure_kwargs = {'dpi': 110}"


def build(script: Path) -> None:
    """Write the notebook, the page and the figures of one tutorial."""
    notebook = jupytext.read(script)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # random otherwise
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, script.with_suffix(".ipynb"))

    began = time.perf_counter()
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SETUP))
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(FOLDER)}}).execute()
    seconds = time.perf_counter() - began
    del notebook.cells[0]
    files = f"{script.stem}_files"
    exporter = nbconvert.MarkdownExporter()
    exporter.register_preprocessor(CoalesceStreamsPreprocessor, enabled=True)  # what one cell prints is one block
    text, resources = exporter.from_notebook_node(notebook, {"output_files_dir": files, "unique_key": script.stem})
    if not resources["outputs"]:
        raise RuntimeError(f"{script.name} drew no figure, so its page stays as it was.")
    title, _, rest = text.lstrip().partition("\n")
    links = LINKS.format(name=script.stem)
    rest = rest.strip().replace("![png]", f"![{title.removeprefix('# ')}]")
    script.with_suffix(".md").write_text(f"{title}\n\n{links}{rest}\n", encoding="utf-8")
    shutil.rmtree(FOLDER / files, ignore_errors=True)
    for name, content in resources["outputs"].items():
        path = FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    sys.stdout.write(f"{script.stem}: {seconds:.0f} s, {len(resources['outputs'])} figures\n")


if __name__ == "__main__":
    names = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
    for name in names:
        build(FOLDER / f"{name}.py")
