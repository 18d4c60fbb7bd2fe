"""The training loop: from a config and a workdir to a trained model and its report."""

import contextlib
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax

from seq2seq_jax.compilation import keep_compiled
from seq2seq_jax.config import Config
from seq2seq_jax.data.pipeline import batches
from seq2seq_jax.data.plan import BatchPlan
from seq2seq_jax.errors import TrainingFailed
from seq2seq_jax.training import (
    checks,
    horizon,
    kinds,
    layout,
    optimizer,
    origin,
    parallel,
    pictures,
    programs,
    sessions,
    shared,
    starting,
    trouble,
    workdirs,
)
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.training.due import Due
from seq2seq_jax.training.evaluate import Decoded, score
from seq2seq_jax.training.hosts import ALONE, Hosts, here
from seq2seq_jax.training.kinds import prepare
from seq2seq_jax.training.progress import Progress, decayed, evaluated, finished
from seq2seq_jax.training.report import ALREADY, Report, make_report
from seq2seq_jax.training.reporting import Reporter
from seq2seq_jax.training.signals import Interrupted, Stop, stopping
from seq2seq_jax.training.window import EMPTY, add, means
from seq2seq_jax.types import Batch, Params, TrainState

GO_ON = "raise --training.{} (or --training.patience) to go on"


def train(
    config: Config, workdir: Path | str, *, log: Callable[[str], None] | None = None
) -> Report:
    """Train to the end, or on from where the workdir's last checkpoint is.

    The same call again resumes a run that was interrupted, bit for bit as if it had not
    been, and says of a finished one that it is finished. Where JAX runs in several
    processes, all of them call it.

    Args:
        config: the recipe.
        workdir: the run's folder; all that inference needs ends up in it.
        log: takes every line that is told; None: stderr, with a bar on a terminal.

    Returns:
        The report; `Report.exit_code` is 75 (EX_TEMPFAIL) after SIGINT or SIGTERM: the
        same command goes on.

    Raises:
        InputError: bad input, a workdir that is in use, or a disk that takes no more.
        TrainingFailed: loss or gradient is not finite; the last checkpoint is kept.
        KeyboardInterrupt: a second signal came; what was saved is whole.
    """
    checks.check(config)
    hosts = here()
    layout.check(config.training, jax.local_device_count())
    workdir = Path(workdir)
    with stopping() as stop, shared.locked(workdir, config, hosts):
        if hosts.count > 1:  # they stop together, after a step that all agree on
            stop.agree = lambda asked: False
        return train_alone(config, workdir, log, stop, hosts)


def train_alone(
    config: Config,
    workdir: Path,
    log: Callable[[str], None] | None,
    stop: Stop,
    hosts: Hosts = ALONE,
) -> Report:
    """As `train`, in a workdir that is locked."""
    changed = hosts.once(lambda: workdirs.admit(config, workdir))
    checkpoints = Checkpoints(workdir / "checkpoints")
    hosts.once(checkpoints.settle)
    keep_compiled()
    reporter = Reporter(workdir, config.training.steps, log)
    for line in changed:
        reporter.log(f"changed: {line}")
    try:
        with workdirs.wording(workdir):
            with stop.at_once() if hosts.count == 1 else contextlib.nullcontext():
                data, start = shared.read_once(
                    lambda: read(config, workdir, reporter.log), config, workdir, hosts
                )
            run = Run(config, workdir, data, reporter, start, stop, hosts)
            return finish(run)
    except Interrupted:
        reporter.log("interrupted, nothing is lost: run the same command to resume")
        return Report("interrupted", max(checkpoints.steps(), default=0), 0)


def finish(run: "Run") -> Report:
    """Train from where the workdir is to the end, and report.

    Raises:
        Interrupted: a signal has come, and there is nothing to save.
    """
    with shared.closing(run.checkpoints, run.hosts):
        run.stop.check()
        state, progress = run.restored(run.initial_state())
        was_over = finished(progress, run.config.training, int(state.step))
        run.stop.check()
        if not was_over:
            if run.hosts.first:
                sessions.begin(run, int(state.step))
            state, progress = run.fit(state, progress)
    step = int(state.step)
    over = finished(progress, run.config.training, step)
    if over is None:
        line = f"interrupted at step {step}, saved: run the same command to resume"
        run.reporter.log(line)
        return Report("interrupted", step, progress.best_step)
    go_on = GO_ON.format(run.unit)
    run.reporter.log(f"already {over}; {go_on}" if was_over else over)
    status = ALREADY * bool(was_over) + over.split(" at ")[0]
    return make_report(run, status, state.weights, step)


def read(
    config: Config, workdir: Path, log: Callable[[str], None]
) -> tuple[Any, starting.Start | None]:
    """The data, and what a run without a checkpoint starts from.

    Raises:
        InputError: what cannot be used; a new workdir is as it was.
    """
    begun = Checkpoints(workdir / "checkpoints").steps()
    if not begun:
        starting.check_files(config)
    with workdirs.claimed(config, workdir):
        data = prepare(config, workdir, log)
        kinds.of(config).fits(config, data.sizes, begun=bool(begun))
        return data, None if begun else starting.read(config, data, log)


class Run:
    """The parts of one training run, made from its config.

    Its own `config` has every length in updates; the workdir's keeps what was asked.
    """

    def __init__(
        self,
        config: Config,
        workdir: Path,
        data: Any,
        reporter: Reporter,
        start: starting.Start | None = None,
        stop: Stop | None = None,
        hosts: Hosts = ALONE,
    ):
        self.workdir, self.data, self.reporter = workdir, data, reporter
        self.kind = kinds.of(config)
        self.start, self.stop, self.hosts = start, stop or Stop(), hosts
        self.begun_from: dict[str, Any] = {}
        self.devices = parallel.everywhere(config.training.vocabulary_shards)
        self.plan = BatchPlan(data.train, config, hosts.index, hosts.count)
        self.unit = "epochs" if config.training.epochs else "steps"
        training = horizon.resolve(config.training, len(self.plan))
        self.config = dataclasses.replace(config, training=training)
        reporter.steps = training.steps
        if told := horizon.describe(config.training, len(self.plan)):
            reporter.log(told)
        self.origin = origin.of(config, workdir, data.fingerprints, data.bounds)
        self.checkpoints = Checkpoints(
            workdir / "checkpoints",
            keep_last=training.keep_last,
            keep_best=training.keep_best,
            log=reporter.log,
            origin=self.origin,
            hosts=hosts,
        )
        tx = optimizer.make(training)
        first = partial(programs.first_state, self.config, data.sizes, tx)
        self.layout = layout.of(training, self.devices, first)
        check = self.stop.check
        self.evaluator = self.kind.evaluator(
            config, data, workdir, self.layout, check, hosts
        )
        update = programs.train_step_of(self.config, data.sizes[1], tx)
        self.step = self.layout.train_step(update)

    def initial_state(self) -> TrainState:
        """The state before the first step, on all devices, from the seed alone."""
        return self.layout.first(jax.random.key(self.config.training.seed))

    def restored(self, state: TrainState) -> tuple[TrainState, Progress]:
        """The newest whole checkpoint; the given state where there is none."""
        like = self.layout.like(state)
        if not self.hosts.once(self.checkpoints.steps):
            count = starting.count(like.params, self.config.training)
            self.reporter.log(f"{count}, {self.plan}, {self.devices}")
            return self.hosts.copied(self.started(state)), Progress()
        state, progress = self.checkpoints.restore(like, Progress.from_json)
        self.reporter.log(f"resumed at step {int(state.step)}")
        return self.layout.fit(state), progress

    def started(self, state: TrainState) -> TrainState:
        """The first state, with the weights that it starts from where given."""
        if (start := self.start) is None:
            return state
        self.start, self.begun_from = None, start.facts  # it may be large
        params = start.put(self.layout.whole(state.params))
        return self.layout.place(starting.into(state, params))

    def fit(self, state: TrainState, progress: Progress) -> tuple[TrainState, Progress]:
        """Train until the steps or the patience are used up, or a signal comes."""
        step, training, waiting = int(state.step), self.config.training, []
        loader = batches(self.plan, progress.batch, training.prefetch)
        over: object = False
        with (
            self.reporter.running(step - progress.pending),
            self.hosts.agreeing(self.signalled, step) as asked,
        ):
            if progress.pending:
                due = Due.at(training, step, asked(step))
                state, progress, over = self.conclude(state, progress, step, due)
            while not over:
                state, metrics = self.step(state, *self.cut(next(loader)))
                step += 1
                waiting.append(metrics)
                self.reporter.advance(step)
                due = Due.at(training, step, asked(step))
                if due.anything:
                    progress = self.gather(progress, step, waiting)
                    waiting = []
                    state, progress, over = self.conclude(state, progress, step, due)
            self.checkpoints.wait()
        return state, progress

    def conclude(
        self, state: TrainState, progress: Progress, step: int, due: Due
    ) -> tuple[TrainState, Progress, object]:
        """Evaluate, tell and save what is due after a step; last, whether to end.

        Where a signal ends the evaluation, nothing is told of the step, and what is
        saved says that it is pending.
        """
        was_pending, decoded, scores = progress.pending, None, None
        if due.evaluation and not due.stop:
            decoded = self.evaluate(state.weights)
        pending = due.evaluation and decoded is None
        progress = dataclasses.replace(progress, pending=pending)
        if due.log and not pending:
            progress = self.report(state, progress, step)
        if decoded is not None:
            state, progress, scores = self.judge(state, progress, step, decoded)
        training = self.config.training
        over = pending or due.stop or finished(progress, training, step)
        best = scores is not None and progress.best_step == step
        if (due.save or best or over) and not (pending and was_pending):
            self.reporter.sync()
            whole = self.layout.whole(state)
            self.checkpoints.save(step, whole, progress.to_json(), scores)
        self.reporter.lap()
        return state, progress, over

    def signalled(self) -> bool:
        """Whether this process was asked to stop."""
        return self.stop() if self.hosts.count == 1 else bool(self.stop.received)

    def cut(self, batch: Batch) -> tuple[Batch, Any]:
        """A host's batch for its devices, with its rows' numbers."""
        pieces = self.config.training.accumulate
        return parallel.shard_batch(batch, self.devices.ways, pieces)

    def gather(self, progress: Progress, step: int, waiting: list) -> Progress:
        """Fetch the metrics of the steps since the last time, in one wait.

        Raises:
            TrainingFailed: at the first step whose loss or gradient is not finite, or
                at the last of so many as the config lets be left out in a row.
        """
        window = EMPTY | progress.window
        first = step - len(waiting) + 1
        for number, metrics in enumerate(jax.device_get(waiting), first):
            if metrics["finite"]:
                progress, window = trouble.made(progress), add(window, metrics)
                continue
            progress, training = trouble.left_out(progress), self.config.training
            if trouble.too_many(progress, training):
                self.checkpoints.wait()
                told = progress, training, self.checkpoints, number, metrics
                raise TrainingFailed(trouble.failure(*told))
            self.reporter.log(trouble.describe(progress, number, metrics))
        seconds = window["seconds"] + self.reporter.lap()
        window = {**window, "seconds": seconds}
        return dataclasses.replace(progress, batch=step, window=window)

    def report(self, state: TrainState, progress: Progress, step: int) -> Progress:
        """Tell about the steps since the last report, and begin a new window."""
        training, window = self.config.training, progress.window
        factor = optimizer.get_factor(state.opt_state)
        skipped = progress.skipped + optimizer.left_out(state.opt_state)
        last = max(step - skipped, 1) - 1  # of the updates that were made
        rate = float(optimizer.learning_rate(training, last, factor))
        values = {"learning_rate": rate, "epoch": step / len(self.plan)}
        if training.on_nan == "skip" or training.clip_deviations:
            values["skipped"] = skipped
        left = (training.steps - step) * window["seconds"] / max(window["steps"], 1)
        self.reporter.train(step, means(window) | values, left)
        return dataclasses.replace(progress, window={})

    def evaluate(self, params: Params) -> Decoded | None:
        """Measure the development set; None where a signal came in between."""
        dev = self.data.dev
        self.reporter.lap()
        try:
            values = self.evaluator.loss(params, dev)
            asked = self.config.training.eval_examples, pictures.looks(self)
            decoded = self.evaluator.decode(params, dev, *asked)
        except Interrupted:
            return None
        values = self.hosts.told(values | decoded.metrics)
        return dataclasses.replace(decoded, metrics=values)

    def judge(
        self, state: TrainState, progress: Progress, step: int, decoded: Decoded
    ) -> tuple[TrainState, Progress, dict[str, float]]:
        """Tell an evaluation; keeps count for patience and plateau."""
        training, values = self.config.training, decoded.metrics
        progress = evaluated(progress, step, score(training.metric, values))
        progress, decays = decayed(progress, training, values["loss"])
        if decays:
            factor = optimizer.get_factor(state.opt_state) * training.decay_factor
            opt_state = optimizer.set_factor(state.opt_state, factor)
            state = dataclasses.replace(state, opt_state=opt_state)
        self.reporter.record(step, "dev", values | {"seconds": self.reporter.lap()})
        self.reporter.evaluation(step, values, progress.best_step == step)
        pictures.show(self, step, decoded)
        return state, progress, values | {"score": score(training.metric, values)}
