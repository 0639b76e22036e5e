"""What a push may meet: each is one sentence, and none tells the token."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from fireact import publish
from fireact.errors import ConfigError, FireActError, ProviderError
from fireact.publish import hub
from tests.helpers import composed
from tests.publish.hub import TOKEN, Hub, serve


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, and a token that may write there."""
    with serve() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A card and some weights."""
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    (tmp_path / "model.safetensors").write_bytes(bytes(range(256)) * 100)
    return tmp_path


def push(folder: Path, repo: str) -> str:
    return hub.push(folder, repo, private=False, message="A model")


def test_a_second_push_brings_the_first_up_to_date(online: Hub, folder: Path) -> None:
    push(folder, "mine/student")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A better model\n")
    (folder / "model.safetensors").write_bytes(bytes(range(255, -1, -1)) * 100)
    assert push(folder, "mine/student") == f"{online.url}/mine/student"
    assert online.repos["mine/student"] == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert online.commits == ["mine/student", "mine/student"]


@pytest.mark.parametrize("token", [TOKEN, "hf_another_token"])
def test_no_right_to_write(online: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ConfigError, match="HF_TOKEN has no right to write foreign/student on ") as failure:
        push(folder, "foreign/student")
    assert token not in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_card_that_the_hub_refuses(online: Hub, folder: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: wrong\n---\n# A model\n")
    with pytest.raises(ConfigError, match=r'the hub does not take the card: .*"license" must be one of'):
        push(folder, "mine/student")


def test_a_hub_out_of_reach(online: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ProviderError, match=r"the hub http://127\.0\.0\.1:9 is out of reach \(.*\); go online"):
        push(folder, "mine/student")


@pytest.mark.parametrize(("options", "sentence"), [
    ("publish.repo=student", r"publish\.repo='student' is no name of a repository; write e\.g\."),
    ("publish.repo=a/b/c", r"publish\.repo='a/b/c' is no name"),
    ("publish.repo=a/..", r"publish\.repo='a/\.\.' is no name"),
    ("publish.forms=[gguf]", r"publish\.forms with gguf needs llama\.cpp's convert_hf_to_gguf\.py"),
    ("train=full", r"publish\.forms names adapter, and the student was trained whole; choose publish\.forms="),
])
def test_what_is_wrong_is_said_before_any_work(online: Hub, options: str, sentence: str,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    with pytest.raises(FireActError, match=sentence):
        publish.check(composed("stage=publish", options))


def test_a_push_needs_a_token(online: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ConfigError, match=r"publish\.repo=mine/student needs HF_TOKEN in the environment"):
        publish.check(composed("stage=publish", "publish.repo=mine/student"))


def test_each_form_has_a_repository_of_its_own() -> None:
    config = composed("stage=publish", "publish.repo=mine/student", "publish.forms=[merged,gguf,merged]")
    assert publish.repos(config) == {"merged": "mine/student", "gguf": "mine/student-gguf"}
    assert publish.repos(composed("stage=publish")) == {}
