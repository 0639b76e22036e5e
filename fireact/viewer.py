"""Look at what is trained on: the tokens of trajectories, with those that the loss falls on set off.

    python -m fireact.viewer FILE FOLDER_OF_A_TOKENIZER --loss actions --n 3

FILE is any that fireact/formats reads. What is trained on is highlighted on a terminal, between « and » elsewhere.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from fireact import formats
from fireact.errors import DataError
from fireact.examples import Loss, example
from fireact.process import guard
from fireact.types import Example

if TYPE_CHECKING:
    from rich.text import Text


def main(argv: Sequence[str]) -> int:
    """Show the masks of a file of trajectories, and return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m fireact.viewer", description="Show what is trained on.")
    parser.add_argument("trajectories", type=Path, help="a trajectories.jsonl, a released file, ...")
    parser.add_argument("tokenizer", type=Path, help="the folder of a model with its tokenizer")
    parser.add_argument("--loss", choices=get_args(Loss), default="assistant")
    parser.add_argument("--n", type=int, default=3, help="how many to show; the summary is always of all")
    given = parser.parse_args(argv)
    return guard(lambda: _show(given.trajectories, given.tokenizer, given.loss, given.n))


def _show(file: Path, folder: Path, loss: Loss, n: int) -> None:
    from rich.console import Console

    from fireact.model.local.weights import load_tokenizer

    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; name that of a model with its tokenizer, e.g. in outputs/store/home/"
                        "weights, where converted ones are kept")
    tokenizer = load_tokenizer(folder)
    examples = [example(tokenizer, record, loss) for record in formats.read(file).trajectories]
    if not examples:
        raise DataError(f"{file} holds no trajectories; expected at least one")
    console = Console(highlight=False, soft_wrap=True)
    for one in examples[: max(n, 0)]:
        console.print(f"{one.id}: {sum(one.mask)} of {len(one.ids)} tokens are trained on", style="bold", markup=False)
        console.print(_marked(tokenizer, one, colour=console.color_system is not None))
    tokens, trained = sum(len(one.ids) for one in examples), sum(sum(one.mask) for one in examples)
    longest = max(examples, key=lambda one: len(one.ids))
    console.print(f"{len(examples):,} examples, {tokens:,} tokens, {trained / tokens:.1%} trained on (loss={loss}); "
                  f"the longest, {longest.id}, has {len(longest.ids):,}", markup=False)


def _marked(tokenizer: Any, one: Example, *, colour: bool) -> "Text":
    """The text of an example, with what is trained on set off."""
    from rich.text import Text

    text = Text()
    for counts, run in groupby(zip(one.ids, one.mask, strict=True), key=lambda pair: pair[1]):
        # A web page may hold terminal commands; they are shown, not obeyed.
        words = tokenizer.decode([token for token, _ in run]).replace("\x1b", "\N{SYMBOL FOR ESCAPE}")
        text.append(words if colour or not counts else f"«{words}»", style="black on green" if counts else None)
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
