"""`pointsman reference`: what can be asked of references, and with which options."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

app = typer.Typer(
    name="reference",
    help="What a model's inputs and predictions looked like in training: the norm that drift is measured from.",
    no_args_is_help=True,
)

_COLUMNS = "Columns, with commas between them; COLUMN=NAME where the inspector calls it otherwise"


@app.command()
def build(  # one option each
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A table with a row a request: CSV with a header, or Parquet (*.parquet)."),
    ],
    *,
    features: Annotated[
        str, typer.Option(metavar="COLUMN[=NAME],...", help=f"{_COLUMNS}. By default all that are no predictions.")
    ] = "",
    predictions: Annotated[str, typer.Option(metavar="COLUMN[=NAME],...", help=f"{_COLUMNS}.")] = "",
    time: Annotated[
        Optional[str],  # noqa: UP045  typer reads the annotation
        typer.Option(
            metavar="COLUMN",
            help="When each request was: counts by the hour of the week, so that a daily and weekly cycle is no drift.",
        ),
    ] = None,
    bins: Annotated[int, typer.Option(min=2, max=100, help="Of a column of numbers.")] = 10,
    output: Annotated[
        Optional[str],  # noqa: UP045  as above
        typer.Option("--output", "-o", metavar="FILE", help="Where to write it; by default standard output."),
    ] = None,
    configmap: Annotated[
        Optional[str],  # noqa: UP045  as above
        typer.Option(metavar="NAME", help="Write the manifest of a ConfigMap of this name."),
    ] = None,
) -> None:
    """Count how the columns of a table are distributed, for `model.reference`.

    Exit codes: 0 it was written; 2 the table or an option cannot be used.
    """
    from pointsman.cli import faults, referencing  # noqa: PLC0415  only what a command needs is loaded

    request = referencing.Request(
        data=data,
        features=features,
        predictions=predictions,
        time=time,
        bins=bins,
        output=output,
        configmap=configmap,
    )
    with faults.told():
        referencing.build(request)


@app.command()
def show(file: Annotated[str, typer.Argument(metavar="FILE", help="A reference; - for standard input.")]) -> None:
    """What a reference says, a line a feature or prediction.

    Exit codes: 0 it was shown; 2 the file is no reference.
    """
    from pointsman.cli import faults, referencing  # noqa: PLC0415  as above

    with faults.told():
        referencing.show(file)
