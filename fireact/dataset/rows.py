"""The rows of a source: a local file, a folder of csv files, or a dataset of the Hugging Face hub.

    for where, row in rows("my/questions.parquet"): ...
    for where, row in rows("hub:cais/mmlu/all/test"): ...

A row is a mapping from column to value; `where` says where it stands, for the sentences of errors.
"""

import csv
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from fireact.errors import ConfigError, DataError, first_line, suggest
from fireact.jsonl import decode_text, open_file, read_located

Row = tuple[str, Mapping[str, Any]]
"""Where a row stands, and its cells by column."""

HUB = "hub:"
_HUB_NAME = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:/([\w.-]+))?/([\w.-]+)(?:@(\S+))?")
_INSTALL = "install it with: pip install datasets"


def rows(source: str, header: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of a source, in its order.

    A source is a path that ends in .jsonl, .json (a list of objects), .csv or .parquet, a folder of csv files (in the
    order of their names), or `hub:OWNER/NAME[/CONFIG]/SPLIT[@REVISION]`. `header` names the columns of csv files that
    have no header. Raises DataError for what cannot be read, ConfigError for what does not exist or is not installed.
    """
    if source.startswith(HUB):
        return _hub_rows(source)
    return (row for part in parts(source) for row in _reader(part, header)(Path(part)))


def parts(source: str) -> list[str]:
    """The csv files of a folder, by name; anything else is one part. Raises DataError for a folder without any."""
    if source.startswith(HUB) or not Path(source).is_dir():
        return [source]
    files = sorted(map(str, Path(source).glob("*.csv")))
    if not files:
        raise DataError(f"{source} is a folder without csv files; name a file, or a folder that holds some")
    return files


def cell(row: Mapping[str, Any], columns: Sequence[str], where: str) -> Any:
    """The value of the first of `columns` that a row has. Raises DataError where it has none of them."""
    for column in columns:
        if column in row:
            return row[column]
    raise DataError(f"{where}: there is no column {' or '.join(map(repr, columns))}{suggest(columns[0], row)}; "
                    "check that the file belongs to this dataset, or read it with dataset=table")


def text_cell(row: Mapping[str, Any], columns: Sequence[str], where: str) -> str:
    """Like `cell`, for a text. Raises DataError where it is none, or empty."""
    value = cell(row, columns, where)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: the {columns[0]} is {str(value)[:80]!r}; expected text")
    return value.strip()


def plain_text(value: Any, role: str, where: str) -> str:
    """A cell as text: true is yes, 3.0 is 3. Raises DataError for what is neither text nor a number, or empty."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: the {role} is {str(value)[:80]!r}; expected text, a number, true or false")
    return value.strip()


def _reader(path: str, header: Sequence[str]) -> Callable[[Path], Iterator[Row]]:
    suffix = Path(path).suffix.lower()
    if suffix == ".csv":
        return lambda file: _csv_rows(file, header)
    readers: dict[str, Callable[[Path], Iterator[Row]]] = {
        ".jsonl": lambda file: read_located(file, dict), ".json": _json_rows, ".parquet": _parquet_rows}
    if suffix not in readers:
        wrong = f"the ending {suffix!r} is unknown" if suffix else "the file has no ending"
        known = "a .jsonl, .json, .csv or .parquet file, a folder of csv files, or hub:OWNER/NAME/SPLIT"
        if not suffix and not Path(path).exists():
            raise DataError(f"{path} does not exist; expected {known}, check the path")
        raise DataError(f"{path}: {wrong}; expected {known}")
    return readers[suffix]


def _csv_rows(path: Path, header: Sequence[str]) -> Iterator[Row]:
    with open_file(path) as file:
        text = decode_text(file.read(), str(path))
    reader = csv.DictReader(StringIO(text, newline=""), header or None, strict=True)
    line = 0
    try:
        for row in reader:
            line = reader.line_num
            where = f"{path}:{line}"
            if None in row or None in row.values():
                wanted = f"{len(header)} cells {', '.join(header)}" if header else (
                    f"{len(reader.fieldnames or ())} cells of the header")
                raise DataError(f"{where}: the row has not the {wanted}; "
                                "put a cell that holds a comma into double quotes")
            yield where, row
    except csv.Error as error:
        first = "without a header" if header else "with a header"
        raise DataError(f"{path}:{line + 1}: {error}; expected comma-separated values {first}") from None


def read_json(path: Path) -> Any:
    """Read a whole JSON file. Raises DataError."""
    with open_file(path) as file:
        text = decode_text(file.read(), str(path))
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: {error.msg}; expected one JSON document") from None


def _json_rows(path: Path) -> Iterator[Row]:
    values = read_json(path)
    if not isinstance(values, list):
        raise DataError(f"{path}: expected a list of objects, got {type(values).__name__}")
    for number, value in enumerate(values, 1):
        where = f"{path}: record {number}"
        if not isinstance(value, dict):
            raise DataError(f"{where}: expected an object, got {str(value)[:80]!r}")
        yield where, value


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow as arrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise ConfigError(f"reading {path} takes the package pyarrow, which is not installed; {_INSTALL}") from None
    number = 0
    with open_file(path) as file:
        try:
            for batch in ParquetFile(file).iter_batches():
                for value in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", value
        except (arrow.ArrowException, OSError) as error:
            raise DataError(f"{path}: {first_line(error)}; expected a parquet file") from None


def _hub_rows(source: str) -> Iterator[Row]:
    for number, value in enumerate(_load(source), 1):
        yield f"{source}: row {number}", value


def _load(source: str) -> Any:
    """Download a split of the hub, or find it in the cache. No code of the dataset's own is ever run."""
    named = _HUB_NAME.fullmatch(source)
    if named is None:
        raise ConfigError(f"{source} names no dataset; write hub:OWNER/NAME/SPLIT or hub:OWNER/NAME/CONFIG/SPLIT, "
                          "e.g. hub:cais/mmlu/all/test")
    try:
        import httpx
        from datasets import exceptions, load_dataset
    except ImportError:
        raise ConfigError(f"reading {source} takes the package datasets, which is not installed; {_INSTALL}") from None
    name, config, split, revision = named.groups()
    try:
        return load_dataset(name, config, split=split, revision=revision)
    except exceptions.DatasetNotFoundError as error:
        raise ConfigError(f"{source}: {first_line(error)}; check the name, and for a gated or private one accept its "
                          f"terms on huggingface.co/datasets/{name} and set HF_TOKEN") from None
    except ConnectionError:
        raise DataError(f"{source}: the hub cannot be reached and the dataset is not in the cache; connect to the "
                        "network, unset HF_HUB_OFFLINE, or name a local file") from None
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"{source}: {first_line(error)}; name a config and a split that the dataset has") from None
    except (exceptions.DatasetsError, OSError, httpx.HTTPError) as error:
        raise DataError(f"{source} cannot be read: {first_line(error)}; try again, or name a local file") from None
