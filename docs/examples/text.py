"""Model English character by character, by truncated backpropagation through time.

The text is the help on Python's keywords and topics, which every Python brings along. A recurrent
network reads long sequences of it in short chunks: its hidden state goes on from chunk to chunk,
the gradient does not. The program shows

- `create_supervised_tbptt_trainer` and its events, one for each chunk, filtered with no set-up;
- a metric in bits per character on a part of the text that is held out, beside the unigram entropy
  of the same part: what a model that knows only how often each character occurs cannot get below;
- a handler that deals with Ctrl-C, so that the run ends in order.
"""

from __future__ import annotations

import argparse
import math
import textwrap
from pydoc_data.topics import topics

import torch
from torch import Tensor, nn

from ignite_signals import Engine, Events, create_supervised_evaluator
from ignite_signals.engine import Tbptt_Events, create_supervised_tbptt_trainer
from ignite_signals.metrics import Average, Loss
from ignite_signals.utils import manual_seed

STREAMS, LENGTH, CHUNK = 32, 512, 64  # sequences side by side, their characters, those of a chunk


class CharacterModel(nn.Module):
    """Predict the next character from all that were read."""

    def __init__(self, characters: int, width: int = 192) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, 64)
        self.memory = nn.GRU(64, width)
        self.head = nn.Linear(width, characters)

    def forward(self, x: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, hidden = self.memory(self.embedding(x), hidden)
        return self.head(y), hidden


def unigram_entropy(codes: Tensor) -> float:
    """Return the bits per character of a text for one who knows how often each occurs in it, and no more."""
    shares = codes.bincount() / codes.numel()
    return -float(shares.xlogy(shares).sum()) / math.log(2)


def bits_per_character(logits: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten()) / math.log(2)


def batches(codes: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Cut a text into pairs of sequences of shape (LENGTH, STREAMS): characters, and those that follow."""
    size = STREAMS * LENGTH
    pieces = [codes[start : start + size + 1] for start in range(0, len(codes) - size, size)]
    return [(piece[:-1].reshape(STREAMS, LENGTH).T, piece[1:].reshape(STREAMS, LENGTH).T) for piece in pieces]


@torch.no_grad()
def write(model: CharacterModel, alphabet: str, length: int, device: torch.device) -> str:
    """Let the model write on, one character after the other."""
    model.eval()
    hidden, written = None, "T"
    for _ in range(length):
        logits, hidden = model(torch.tensor([[alphabet.index(written[-1])]], device=device), hidden)
        written += alphabet[int(torch.multinomial(logits[0, 0].softmax(0), 1))]
    return written


def train(epochs: int, device: torch.device, limit: int | None) -> None:
    text = "\n".join(topics[name] for name in sorted(topics))[:limit]
    alphabet = "".join(sorted(set(text)))
    print(f"{len(text):,} characters, {len(alphabet)} different: {math.log2(len(alphabet)):.2f} bits each to guess")
    codes = torch.tensor([alphabet.index(character) for character in text], device=device)
    cut = len(codes) * 9 // 10
    known, held_out = batches(codes[:cut]), batches(codes[cut:])
    entropy = unigram_entropy(torch.cat([y.flatten() for _, y in held_out]))
    print(f"unigram entropy {unigram_entropy(codes):.2f} bits per character; of the part held out {entropy:.2f}")

    model = CharacterModel(len(alphabet)).to(device)
    adam = torch.optim.Adam(model.parameters(), lr=4e-3)
    trainer = create_supervised_tbptt_trainer(model, adam, bits_per_character, CHUNK, device=device)
    Average().attach(trainer, "bits")
    evaluator = create_supervised_evaluator(
        model, metrics={"bits": Loss(bits_per_character)}, device=device, model_transform=lambda output: output[0]
    )

    @trainer.on(Tbptt_Events.TIME_ITERATION_COMPLETED(every=100))
    def show_chunk(trainer: Engine) -> None:
        chunk = trainer.state.counters["time_iteration_completed"]
        print(f"  chunk {chunk:4}  {trainer.state.output:.2f} bits per character")

    @trainer.on(Events.EPOCH_COMPLETED)
    def evaluate(trainer: Engine) -> None:
        bits = evaluator.run(held_out).metrics["bits"]
        print(f"epoch {trainer.state.epoch}  training {trainer.state.metrics['bits']:.2f}  held out {bits:.2f}")

    @trainer.on(Events.EXCEPTION_RAISED)
    def stop(error: BaseException) -> None:
        if not isinstance(error, KeyboardInterrupt):
            raise error
        print("  interrupted")

    trainer.run(known, max_epochs=epochs)
    bits = evaluator.run(held_out).metrics["bits"]
    print(f"held out: {bits:.2f} bits per character, {bits / entropy:.0%} of its unigram entropy")
    print("it writes:", *textwrap.wrap(write(model, alphabet, 300, device), 76), sep="\n  ")


def main() -> None:
    least = 10 * STREAMS * LENGTH + 10
    parser = argparse.ArgumentParser(description="Train a recurrent network to model English.")
    parser.add_argument("--epochs", type=int, default=3, help="how often to go over the text (default 3)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of what is written (default 0)")
    parser.add_argument("--characters", type=int, help=f"read only that many, {least} or more (default all)")
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error(f"--epochs must be a positive integer, got {arguments.epochs}")
    if arguments.characters is not None and arguments.characters < least:
        parser.error(f"--characters must be {least} or more, to fill a batch, got {arguments.characters}")
    if not 0 <= arguments.seed < 2**32:
        parser.error(f"--seed must be at least 0 and below 2**32, got {arguments.seed}")
    try:
        torch.zeros(1, device=arguments.device).item()
    except (RuntimeError, AssertionError, ImportError):  # which one depends on what this torch was built with
        parser.error(f"--device must be one of this machine, such as cpu, got {arguments.device}")
    manual_seed(arguments.seed)
    torch.set_num_threads(1)  # these matrices are so small that more threads mostly wait for one another
    try:
        train(arguments.epochs, torch.device(arguments.device), arguments.characters)
    except KeyboardInterrupt:
        parser.exit(130, "interrupted\n")


if __name__ == "__main__":
    main()
