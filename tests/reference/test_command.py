"""`pointsman reference`: from a table to a file, and what is said of tables and options that cannot be used."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pointsman.cli import tables
from pointsman.cli.command import app
from pointsman.reference import file

TABLE = (
    "age,land,score,at\n31,de,0.4,2026-11-16T00:10:00Z\n44,fr,0.9,2026-11-16T01:10:00Z\n,de,0.1,2026-11-17T00:10:00Z\n"
)


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "train.csv"
    path.write_text(TABLE, encoding="utf-8")
    return str(path)


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["reference", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_all_columns_that_are_no_predictions_are_features(table: str) -> None:
    found = file.load(run("build", table, "--predictions", "score", "--time", "at"))
    assert (list(found.features), list(found.predictions)) == (["age", "land"], ["score"])
    assert found.features["age"].missing == 1
    assert found.features["land"].hours is not None


def test_columns_are_called_what_the_inspector_calls_them(table: str, tmp_path: Path) -> None:
    to = tmp_path / "reference.json"
    assert run("build", table, "--features", "age=/inputs/0/data/3,land", "--bins", "3", "-o", str(to)) == ""
    assert list(file.load(to.read_text(encoding="utf-8")).features) == ["/inputs/0/data/3", "land"]


def test_a_configmap(table: str) -> None:
    manifest = yaml.safe_load(run("build", table, "--features", "age", "--configmap", "churn-7-reference"))
    assert manifest["metadata"]["name"] == "churn-7-reference"
    assert file.load(manifest["data"]["reference.json"]).features["age"].edges == (24.5, 37.5, 50.5)


def test_a_reference_is_shown(table: str, tmp_path: Path) -> None:
    to = tmp_path / "reference.json"
    run("build", table, "--features", "land", "--predictions", "score", "-o", str(to))
    shown = " ".join(run("show", str(to)).split())
    assert "feature land 3 0 de 66.7 %, fr 33.3 %, other 0 %" in shown
    assert "prediction score 3 0 ≤ -0.05 0 %" in shown


def test_quotes_empty_lines_and_other_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfland,x\r\n"a, b",1\r\n\r\n"a\r\nb",2\r\n')
    found = file.load(run("build", str(path)))
    assert found.features["land"].categories == ("a\r\nb", "a, b")


BAD_TABLES = [
    (b"", ":1: the first line must name the columns"),
    (b"a,b\n", ": there are no rows below the header"),
    (b"a,a\n1,2\n", ":1: there is more than one column named 'a'"),
    (b"a,b\n1,2\n1,2,3\n", ":3: there are 3 cells, and the header has 2"),
    (b'a,b\n1,"2\n', ":2: this is not CSV"),
    (b'a,b\n1,"2"3\n', ":2: this is not CSV"),
    (b"a,b\n1,2\n1,\xff\n", ":3: this is not UTF-8 text"),
    (b"a\n" + b"1\n" * 20 + b"x\n", ":22: column a: 'x' is not a number"),
    (b"a\n" + b"y" * 200_000 + b"\n", ":2: this is not CSV: field larger"),
]


@pytest.mark.parametrize(("content", "said"), BAD_TABLES)
def test_what_is_wrong_with_a_table_is_said_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert f"{path}{said}" in run("build", str(path), code=2)


BAD_OPTIONS = [
    (["--features", "agee"], "--features: {table} has no column 'agee'; it has age, land, score, at"),
    (["--predictions", "x=age"], "--predictions: {table} has no column 'x'"),
    (["--time", "when"], "--time: {table} has no column 'when'"),
    (["--features", "age,age"], "--features: 'age' is there twice"),
    (["--features", "age=x,land=x"], "--features: 'land=x' is there twice"),
    (["--configmap", "Churn_7"], "--configmap: 'Churn_7' is no name of an object"),
    (["--time", "land"], "{table}:2: column land: 'de' is not a time"),
    (["--features", "age", "-o", "{table}/x"], "{table}/x: cannot be written: Not a directory"),
]


@pytest.mark.parametrize(("options", "said"), BAD_OPTIONS)
def test_options_that_cannot_be_used(table: str, options: list[str], said: str) -> None:
    filled = [option.format(table=table) for option in options]
    assert said.format(table=table) in run("build", table, *filled, code=2)


def test_files_that_cannot_be_read(tmp_path: Path, table: str) -> None:
    missing = str(tmp_path / "none")
    assert f"{missing}: cannot be read: No such file" in run("build", missing, code=2)
    assert f"{missing}: cannot be read: No such file" in run("show", missing, code=2)
    assert f"{tmp_path}: cannot be read: Is a directory" in run("build", str(tmp_path), code=2)
    assert f"{table}: it is not JSON" in run("show", table, code=2)


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_ROWS", 50)
    random.seed(3)
    path = tmp_path / "t.csv"
    path.write_text("x\n" + "".join(f"{random.gauss(0, 1):.4f}\n" for _ in range(1000)), encoding="utf-8")
    (name,) = tables.columns(str(path))
    chunks = list(tables.reader(str(path), tables.Wanted(features={name: name}))())
    assert [len(chunk.lines) for chunk in chunks] == [50] * 20
    assert sum(file.load(run("build", str(path))).features["x"].total) == 1000


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(tables, "import_module", missing)
    assert "pip install 'pointsman[parquet]'" in run("build", str(tmp_path / "t.parquet"), code=2)


def test_parquet_gives_what_csv_gives(table: str, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="the extra pointsman[parquet] is not installed")
    csv, parquet = pytest.importorskip("pyarrow.csv"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "train.parquet"
    parquet.write_table(csv.read_csv(table), path)
    options = ["--predictions", "score", "--time", "at"]
    assert run("build", str(path), *options) == run("build", table, *options)
    path.write_bytes(b"PAR1 it is not")
    assert f"{path}: this is not Parquet" in run("build", str(path), code=2)
    parquet.write_table(arrow.table({"x": [[1, 2], [3]]}), path)
    assert f"{path}: column x: it holds lists or records" in run("build", str(path), code=2)
