"""What a training does after a step: log, evaluate, save, stop."""

from dataclasses import dataclass

from seq2seq_jax.config import TrainingConfig


@dataclass(frozen=True)
class Due:
    """What is to be done after a step."""

    log: bool
    evaluation: bool
    save: bool
    stop: bool

    @property
    def anything(self) -> bool:
        """Whether the loop has to wait for the step's numbers."""
        return self.log or self.evaluation or self.save or self.stop

    @classmethod
    def at(cls, training: TrainingConfig, step: int, stop: bool) -> "Due":
        """What the config asks for after a step; everything after the last one."""
        last = step >= training.steps
        evaluation = last or step % training.eval_every == 0
        every = training.save_every
        save = evaluation if every is None else last or step % every == 0
        return cls(last or step % training.log_every == 0, evaluation, save, stop)
