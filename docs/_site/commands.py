"""The command line and settings files, as the commands and the settings themselves describe them."""

import html
import importlib.metadata
import inspect
import re
from typing import Any

import pydantic
import typer
import typer.cli
from pydantic_core import PydanticUndefined

from simatch.cli import app
from simatch.data import Preprocessing
from simatch.models import Layer
from simatch.runs import LabelledSettings, RunSettings


def version() -> str:
    """Version of the library that the site describes."""
    return importlib.metadata.version("simatch")


def parts() -> dict[str, str]:
    """Text for each of the places in the pages that are filled from the code."""
    helps = _help_texts()
    models = {
        "run": (RunSettings, helps),
        "layers": (_model_in(RunSettings.model_fields["layers"].annotation), _parameters(Layer)),
        "preprocessing": (_model_in(RunSettings.model_fields["preprocessing"].annotation), _parameters(Preprocessing)),
        "labelled": (LabelledSettings, helps),
    }
    tables = {f"<!-- settings: {name} -->": "\n".join(_table(*model)) for name, model in models.items()}
    return {"<!-- commands -->": _commands(), **tables}


def _commands() -> str:
    command = typer.main.get_command(app)
    _describe(command)
    with typer.Context(command, info_name="simatch") as context:
        text = typer.cli.get_docs_for_click(obj=command, ctx=context, name="simatch", indent=1)
    # Prompts are not copied with a command; placeholders in angle brackets are no tags, and need no escapes in code.
    text = re.sub(r"^```console\n\$ ", "```text\n", text, flags=re.MULTILINE)
    text = re.sub(r"\*\*(\w+)\*\*:\n", r"\1:\n", text)
    text = re.sub(r"(?:^  simatch .+\n+)+", _block, text, flags=re.MULTILINE)  # examples
    return "".join(
        part if part.startswith("`") else re.sub(r"<(?=\w)", "&lt;", part)
        for part in re.split(r"(^```.*?^```\n|`[^`\n]+`)", text, flags=re.MULTILINE | re.DOTALL)
    )


def _block(lines: re.Match[str]) -> str:
    return "\n".join(["```sh", *(line.strip() for line in lines[0].splitlines() if line), "```", "", ""])


def _describe(command: Any) -> None:
    """Let lists of commands have whole sentences, which are cut after 45 letters otherwise."""
    for below in getattr(command, "commands", {}).values():
        below.short_help = " ".join((below.help or "").split("\n\n")[0].split())
        _describe(below)


def _help_texts() -> dict[str, str]:
    """What the options of `simatch train` say about settings of the same name."""
    train = typer.main.get_command(app).commands["train"]  # pyright: ignore[reportAttributeAccessIssue]
    texts = {parameter.name: getattr(parameter, "help", None) or "" for parameter in train.params}
    return texts | {"layers": "A table `[[layers]]` for each layer.", "preprocessing": "A table `[preprocessing]`."}


def _parameters(described: type) -> dict[str, str]:
    """First sentence of every parameter in a docstring."""
    text = (inspect.getdoc(described) or "").partition("Parameters\n----------\n")[2]
    entries = re.findall(r"^(\w+) : .*\n((?:    .*\n?)+)", re.split(r"\n\n\w+\n-", text)[0], flags=re.MULTILINE)
    return {name: " ".join(body.split()).partition(". ")[0].rstrip(".") + "." for name, body in entries}


def _table(model: type[pydantic.BaseModel], helps: dict[str, str]) -> list[str]:
    lines = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    schema = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        default = "" if field.default is PydanticUndefined else f"`{_toml(field.default)}`"
        meaning = re.sub(r" \[default: .*\]$", "", helps.get(name, ""))  # it has a column of its own
        meaning = html.escape(meaning, quote=False).replace("|", "\\|").replace("\n", " ")
        lines.append(f"| `{name}` | {_type(schema[name])} | {default} | {meaning} |")
    return lines


def _model_in(annotation: Any) -> type[pydantic.BaseModel]:
    """Return the model that an annotation is about: itself, or that of the items of a list."""
    return annotation if isinstance(annotation, type) else annotation.__args__[0]


def _toml(value: Any) -> str:
    if value is None:
        return '"none"'
    return str(value).lower() if isinstance(value, bool) else str(value) if not isinstance(value, str) else f'"{value}"'


def _type(schema: dict[str, Any]) -> str:
    """Describe a JSON schema in a few words."""
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f'`"{value}"`' for value in schema["enum"])
    if "const" in schema:
        return f'`"{schema["const"]}"`'
    if schema.get("type") == "null":
        return '`"none"`'
    if "$ref" in schema:
        return "table"
    bound = next((f" {word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema), "")
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    return f"{_TYPES[schema['type']]}{bound}"


_BOUNDS = {"exclusiveMinimum": "above", "minimum": "at least"}
_TYPES = {"integer": "integer", "number": "number", "string": "text", "boolean": "`true` or `false`"}
