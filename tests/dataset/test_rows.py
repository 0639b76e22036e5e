"""Rows of every format read the same; what cannot be read is named. The hub is a server on the loopback."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fireact.dataset.rows import parts, rows, text_cell
from fireact.errors import ConfigError, DataError
from tests.helpers import ROOT
from tests.loopback import running

ROWS = [{"question": "Who, and\nwhen?", "answer": "None"}, {"question": "Où?", "answer": "NA"}]


def values(source: Path | str, header: tuple[str, ...] = ()) -> list[dict]:
    return [dict(row) for _, row in rows(str(source), header)]


def write(folder: Path, name: str) -> Path:
    path = folder / name
    if name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    elif name.endswith(".json"):
        path.write_text(json.dumps(ROWS), encoding="utf-8")
    elif name.endswith(".csv"):
        path.write_text('question,answer\n"Who, and\nwhen?",None\nOù?,NA\n', encoding="utf-8")
    else:
        arrow = pytest.importorskip("pyarrow", reason="parquet takes pyarrow")
        from pyarrow import parquet

        parquet.write_table(arrow.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("name", ["q.jsonl", "q.json", "q.csv", "q.parquet", "Q.JSON"])
def test_every_format_reads_the_same(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(ROWS)) if name.isupper() else write(tmp_path, name)
    assert values(path) == ROWS
    assert all(where.startswith(str(path)) for where, _ in rows(str(path)))


@given(st.lists(st.fixed_dictionaries({"a": st.text(), "b": st.one_of(st.none(), st.integers(0, 9), st.booleans())})))
def test_any_json_survives(tmp_path_factory: pytest.TempPathFactory, records: list[dict]) -> None:
    path = tmp_path_factory.mktemp("json") / "q.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    assert values(path) == records


def test_a_folder_is_its_csv_files_by_name(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.csv").write_text(f"{name},1\n")
    (tmp_path / "README.txt").write_text("x")
    assert [Path(part).stem for part in parts(str(tmp_path))] == ["a", "b", "c"]
    assert values(tmp_path, ("x", "y")) == [{"x": name, "y": "1"} for name in "abc"]


@pytest.mark.parametrize(("name", "content", "what"), [
    ("q.json", '{"a": 1}', "expected a list of objects, got dict"),
    ("q.json", "[1]", r"record 1: expected an object, got '1'"),
    ("q.json", '[\n{"a":]', r"q\.json:2: Expecting value; expected one JSON document"),
    ("q.parquet", "nonsense", "expected a parquet file"),
    ("q.csv", "a,b\n1\n", r":2: the row has not the 2 cells"),
    ("q.txt", "", r"'\.txt' is unknown; expected a \.jsonl, \.json, \.csv or \.parquet file"),
    ("q", "", r"the file has no ending; expected a \.jsonl, \.json, \.csv or \.parquet file"),
    ("q", None, r"q does not exist; expected a \.jsonl, .* a folder of csv files, or hub:.*, check the path"),
    ("q.json", None, "No such file"),
    ("q.parquet", None, "No such file"),
])
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: str | None, what: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="parquet takes pyarrow")
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=what) as error:
        values(path)
    assert str(error.value).startswith(str(path))


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder without csv files"):
        values(tmp_path)


@pytest.mark.parametrize(("cells", "what"), [({"b": 1}, r"there is no column 'a' or 'A' \(known: b\)"),
                                             ({"A": " "}, "the a is ' '; expected text"),
                                             ({"a": None}, "the a is 'None'; expected text")])
def test_a_missing_text_is_named(cells: dict, what: str) -> None:
    with pytest.raises(DataError, match=f"here: {what}"):
        text_cell(cells, ("a", "A"), "here")


@pytest.mark.parametrize("source", ["hub:", "hub:owner", "hub:owner/name", "hub:a/b/c/d/e", "hub:a b/c/d"])
def test_a_hub_dataset_has_a_name_and_a_split(source: str) -> None:
    with pytest.raises(ConfigError, match="names no dataset; write hub:OWNER/NAME/SPLIT"):
        values(source)


@pytest.mark.parametrize(("missing", "source"), [("datasets", "hub:a/b/c"), ("pyarrow", "q.parquet")])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, missing: str, source: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=rf"takes the package {missing}.*pip install datasets"):
        values(source)


REVISION = "a" * 40
FILE = b'{"question": "Who?", "answer": "Ann"}\n{"question": "Where?", "answer": "Rome"}\n'
READ = """
import sys
from fireact.dataset.rows import rows
from fireact.errors import FireActError
for source in sys.argv[1:]:
    try:
        print([(where, row["answer"]) for where, row in rows(source)])
    except FireActError as error:
        print(f"{type(error).__name__}: {error}")
"""


class Hub(BaseHTTPRequestHandler):
    """Serves one dataset, org/questions, of one file; org/gated is gated, and there is nothing else."""

    def do_GET(self) -> None:
        path = urlparse(self.path).path
        if "org/questions" in path:
            body, error = self._body(path), "EntryNotFound"
        else:
            body, error = None, "GatedRepo" if "org/gated" in path else "RepoNotFound"
        status = 200 if body is not None else 403 if error == "GatedRepo" else 404
        self.send_response(status)
        if body is None:
            self.send_header("X-Error-Code", error)
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("ETag", '"etag"')
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if body and self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def _body(self, path: str) -> bytes | None:
        if re.fullmatch(r"/datasets/org/questions/resolve/\w+/test\.jsonl", path):
            return FILE
        if re.fullmatch(r"/api/datasets/org/questions(/revision/\w+)?", path):
            return json.dumps({"id": "org/questions", "sha": REVISION, "siblings": [{"rfilename": "test.jsonl"}],
                               "private": False, "tags": [], "downloads": 0, "likes": 0}).encode()
        tree = re.fullmatch(r"/api/datasets/org/questions/tree/\w+/?(.*)", path)
        if tree:
            entry = {"type": "file", "path": "test.jsonl", "size": len(FILE), "oid": "b" * 40}
            return json.dumps([] if tree[1] else [entry]).encode()
        return None

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    with running(server):
        yield f"http://127.0.0.1:{server.server_port}"


def read_from(endpoint: str, home: Path, *sources: str, **settings: str) -> list[str]:
    environment = {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", **settings}
    done = subprocess.run([sys.executable, "-c", READ, *sources], cwd=ROOT, env=environment, text=True,
                          capture_output=True, check=True)
    return done.stdout.splitlines()


def test_the_hub_is_read_once_and_refusals_are_named(hub: str, tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="the hub takes datasets")
    source = "hub:org/questions/test"
    found, pinned, config, split, gated, absent = read_from(
        hub, tmp_path, source, f"hub:org/questions/default/test@{REVISION}", "hub:org/questions/none/test",
        "hub:org/questions/dev", "hub:org/gated/test", "hub:org/absent/test")
    assert found == str([(f"{source}: row 1", "Ann"), (f"{source}: row 2", "Rome")])
    assert "Rome" in pinned
    assert config.startswith("ConfigError: hub:org/questions/none/test: BuilderConfig 'none' not found. Available: ")
    assert split.startswith("ConfigError: hub:org/questions/dev: Unknown split \"dev\". Should be one of ['test']")
    assert "gated" in gated
    assert "set HF_TOKEN" in gated
    assert absent.startswith("ConfigError: hub:org/absent/test: Dataset 'org/absent' doesn't exist on the Hub")
    offline, unknown = read_from(hub, tmp_path, source, "hub:org/other/test", HF_HUB_OFFLINE="1")
    assert offline == found
    assert unknown.startswith("DataError: hub:org/other/test: the hub cannot be reached and the dataset is not in the")
