"""A training run from packed crops to weights; it can be killed at any step and resumed."""
# Over 600 lines: the loop and its state are one class; what could be a function is in engine.py.

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaluation.metrics import auc

from ..arithmetic import KERNELS, arithmetic, set_threads
from ..card import CARD, Card, data_of
from ..config import Params
from ..data.files import sha256, whole_file
from ..data.index import Face, read_index
from ..data.intact import DAMAGED
from ..data.shards import ShardReader
from ..data.summary import SUMMARY, read_summary
from ..errors import ConfigError, DataError, DetectorError
from ..inference import predict
from ..loading.augment import augment, draw
from ..loading.draws import key
from ..loading.histories import Histories, LosslessCrops
from ..loading.loader import Batch, Loader, crop_size
from ..loading.order import BalancedOrder, PairedOrder, share
from ..loading.recompress import Recompress
from ..lock import Holder, Lock
from ..models import build
from ..models.settings import in_force, settings
from ..precision import Precision
from ..provenance import source, versions
from ..schema import read_json
from ..weights import check_finite_weights, load_start, restore, save_model, started_from
from .card import model_card
from .checkpoint import Checkpoints, plain
from .distributed import Processes
from .engine import Ema, Objective, check_finite, reseed
from .failures import diverged, explained
from .lossless import lossless_faces
from .memory import fitting
from .progress import Progress
from .run import Run, describe_run
from .schedule import one_cycle
from .signals import StopSignals
from .thresholds import Validation
from .trackers import Trackers

__all__ = ["Stopped", "Trainer", "set_up_torch", "train"]

HISTORY = ("step", "epoch", "loss", "lr", "grad_norm", "val_auc")
ASK_EVERY = 10  # steps after which several processes with GPUs agree on whether to stop


class Stopped(DetectorError):  # noqa: N818 (no error: the run can be resumed)
    """The run received a signal to stop and has saved; running it again continues at the next step."""


def train(
    params: Params,
    crops: Path,
    out: Path,
    history: Path,
    checkpoints: Path,
    *,
    timings: Path | None = None,
    loader_threads: int = 1,
    track: Sequence[str] = (),
    lock_timeout: float | None = None,
    lossless: Path | None = None,
) -> None:
    """Train ``params.model`` on the packed *crops* and write weights, model.json and log.jsonl to *out* and *history*.

    *checkpoints* holds the folders of unfinished runs, one for each `Run`: this run continues from its checkpoints, and
    removes them at the end. *timings* is a file that rates and times are appended to; *track* names the `Trackers` that
    get the history too, in folders beside it. *lossless* is the folder of crops that *crops* were compressed from:
    random histories (``train.histories``) are made from its training split, and its validation split gives the
    thresholds under ``train.conditions``; without it model.json has none. Raises Stopped after a signal (see
    `StopSignals`), and DetectorError for errors that the user can fix.
    """
    with explained(params.train.amp), Processes() as processes, StopSignals() as signals:
        set_up_torch(params, processes.device)
        run = describe_run(params, crops, processes.device, lossless)
        progress = Progress(params.train.steps, timings if processes.main else None)
        folder, logs = checkpoints / run.id, (timings or history).parent
        trackers = Trackers(track if processes.main else (), logs, run.id, progress.say)
        lock, out_lock = Lock(folder / "lock"), Lock(out.with_name(f".{out.name}.lock"))

        def wait_for(holder: Holder) -> None:
            progress.say(f"{holder} is training with the same parameters and data; waiting until it is done")
            progress.say(f"to end it instead: kill {holder.pid} (it saves first, and this run continues from there)")

        def check() -> None:
            if signals.received:
                raise Stopped(f"stopped by {signals.received} while waiting for {lock.path}: nothing was changed")

        waited = lock.acquire(wait_for, lock_timeout, check) if processes.main else False
        try:
            if processes.broadcast(waited and _is_finished(run, out, history)):
                if processes.main:
                    progress.say(f"it is done: {out} holds the weights of these parameters and data")
                return
            if processes.main:
                _take(out_lock, out)
                if (other := _other_run(run, out)) is not None:
                    progress.say(f"{out} holds the weights of run {other}; they are replaced when this run is done")
            trainer = Trainer(params, crops, run, processes, signals, loader_threads, folder, progress, lossless)
            trainer.introduce()
            trackers.begin(trainer.rows)
            trainer.trackers = trackers
            trainer.run_steps()
            if processes.main:
                lock.check()
                out_lock.check()
                trainer.checkpoints.thin(1)  # they may have filled the disk
                trainer.write_outputs(out, history)
                trainer.checkpoints.remove()
            processes.broadcast(None)  # a process that ends tells torchrun that the outputs are written
        finally:
            trackers.close()
            if processes.main:
                out_lock.release()
                lock.release()
                _remove_if_empty(folder)


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What a checkpoint holds, see `Trainer`; `object` where it is tensors or may be infinite."""

    run: str
    run_info: dict[str, object]
    step: int
    epoch: int
    model: dict[str, object]
    ema: dict[str, object]
    optimizer: dict[str, object]
    scaler: dict[str, object]
    rows: list[dict[str, object]]
    sums: object
    count: int
    best: dict[str, object] | None
    best_auc: object
    evaluations_since: int
    micro_batch: int
    threads: int


class Trainer:
    """The parts and the state of a run: `step` updates are done, `rows` of history written, later losses summed."""

    def __init__(
        self,
        params: Params,
        crops: Path,
        run: Run,
        processes: Processes,
        signals: StopSignals,
        loader_threads: int,
        folder: Path,
        progress: Progress,
        lossless: Path | None = None,
    ):
        config = params.train
        self.params, self.config, self.run_info = params, config, run
        self.processes, self.signals, self.progress = processes, signals, progress
        self.device = processes.device
        left_out = set(run.damaged)
        reader, faces = ShardReader(crops), [face for face in read_index(crops) if face.key not in left_out]
        self.summary = read_summary(crops) if (crops / SUMMARY).exists() else None
        # the compressed crops count train and val only, the lossless ones all splits
        self.data = self.summary if lossless is None else read_summary(lossless)
        self.training = _split(faces, "train", crops)
        validation = _split(faces, "val", crops)
        self.num_validation = len(validation)
        own = processes.own(self.num_validation, config.batch_size)  # whole batches: the same sums as in one process
        self.validation = [face for face, mine in zip(validation, own, strict=True) if mine]
        if config.select == "best_val" and len({face.label for face in faces if face.split == "val"}) < 2:
            raise DataError(
                "train.select is best_val, but the validation split does not have both real and fake faces to choose "
                "by; take last, or see splits/val.json of the videos"
            )
        order = PairedOrder if config.paired else BalancedOrder
        self.order = order(self.training, config.batch_size, params.seed, config.parts)
        self.size = crop_size(reader, self.training[0])
        self.lossless = None if lossless is None else Validation(lossless, validation, self.size, left_out)
        histories = self._histories(lossless, loader_threads)
        self.inputs = _inputs(run, crops, lossless)
        pin = self.device.type == "cuda"
        edit = None
        if config.augment.recompress:
            edit = Recompress(config.augment, params.seed, loader_threads)
        make = histories.make if histories else None
        self.loader = Loader(reader, self.training, threads=loader_threads, pin=pin, make=make, edit=edit)
        self.validation_loader = Loader(reader, self.validation, threads=loader_threads, pin=pin)

        torch.manual_seed(key(params.seed))
        model = build(params.model, **settings(params))
        load_start(model, params)
        self.start = started_from(params)
        model = model.to(self.device)
        if config.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = model
        objective = Objective(model, config.label_smoothing)
        if config.compile:
            objective.compile()  # in place: the weights keep their names
        self.objective = objective
        processes.broadcast_tensors(list(model.state_dict().values()))
        self.ema = Ema(model, config.ema_decay)
        self.precision = Precision(config.amp, self.device)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True
        )

        self.trackers: Trackers | None = None
        self.step = 0
        self.rows: list[dict[str, Any]] = []
        # since the last row: sums of losses and gradient norms, and the number of finite norms (fp16 may overflow)
        self.sums = torch.zeros(3, dtype=torch.float64, device=self.device)
        self.count = 0
        self.best: dict[str, Any] | None = None
        self.best_auc, self.evaluations_since = -math.inf, 0  # of the validation, for early stopping
        self.micro_batch = 0
        self.checkpoints = Checkpoints(folder, config.checkpoint.keep, progress.say, State)
        self._resume()
        if not self.micro_batch:
            self.micro_batch = self._choose_micro_batch()

    def _histories(self, lossless: Path | None, threads: int) -> Histories | None:
        config = self.config.histories
        if config is None or not config.share:
            return None
        if lossless is None:
            raise ConfigError(
                "train.histories makes training crops from the lossless ones: name their folder with --faces, or set "
                "train.histories: none"
            )
        reader = ShardReader(lossless)
        faces = lossless_faces(
            lossless, reader, "train", self.training, self.size, set(self.run_info.damaged)
        )
        return Histories(config, self.params.seed, LosslessCrops(reader, faces), threads)

    def introduce(self) -> None:
        """Report the model, the data and the settings; the file of timings gets more details."""
        parameters = sum(p.numel() for p in self.parameters)
        real = len(self.order.real)
        self._say(
            f"{self.params.model}, {parameters:,} parameters, on {len(self.training)} crops ({real} real), "
            f"{self.num_validation} for validation; {self.config.steps} steps of {self.config.batch_size}, "
            f"amp {self.precision.amp}, {torch.get_num_threads()} threads, {self.device}"
        )
        computed = arithmetic(self.config)
        if self.config.reproducible and self.device.type == "cpu" and not computed.pinned:
            self._say(
                f"the kernels of torch are not pinned ({computed.kernels}): results will differ on other processors. "
                f"train.reproducible needs an x86-64 processor with {KERNELS}, and detector.arithmetic.pin before "
                "torch is imported, as in detector train"
            )
        if not self._divided:
            n = self.processes.world_size
            self._say(
                f"train.parts ({self.config.parts}) is not a multiple of the {n} processes: each computes whole "
                f"steps, and only preparing batches is divided; train.parts: {n} divides steps too, with other weights"
            )
        if isinstance(self.order, PairedOrder) and self.order.unpaired:
            self._say(f"{self.order.unpaired} real crops have no fake of their target and are paired with any fake")
        if self.processes.main:
            self.progress.log(
                run=self.run_info.id,
                pid=os.getpid(),
                step=self.step,
                processes=self.processes.world_size,
                threads=torch.get_num_threads(),
                loader_threads=self.loader.threads,
                micro_batch=self.micro_batch,
                omp_wait_policy=os.environ.get("OMP_WAIT_POLICY"),
            )

    # -- the loop ------------------------------------------------------------------------------------------------------

    def run_steps(self) -> None:
        """Run the remaining steps, saving checkpoints, and make sure that the last state is on disk."""
        config, started_at, saved_at = self.config, self.step, time.monotonic()
        self.progress.begin(started_at)
        with closing(self.checkpoints), closing(self.loader.batches(self._plan())) as batches:
            for batch in batches:
                self._update(batch)
                evaluated = self._due(config.eval_every)
                if evaluated or self._due(config.log_every):
                    images = (self.step - started_at) * config.batch_size
                    self._log(self._validate() if evaluated else None, images)
                stop = self._asked_to_stop()
                timed = time.monotonic() - saved_at >= config.checkpoint.every_seconds
                if stop or timed or self._due(config.checkpoint.every_steps):
                    saved_at = time.monotonic()
                    self._save()
                if stop:
                    self._stop(stop)
                if config.patience is not None and self.evaluations_since >= config.patience:
                    self._say(f"stopping early: no better validation AUC in {config.patience} evaluations")
                    break

    def _plan(self) -> Iterator[tuple[int, Any]]:
        """Yield the remaining steps with this process' share of their batches."""
        for step in range(self.step, self.config.steps):
            yield step, share(self.order.batch(step), self.processes.rank, self.processes.world_size)

    def _update(self, batch: Batch) -> None:
        """Do one step of the optimizer on *batch*."""
        x, labels = self._inputs(batch if self._divided else self._whole(batch))
        self._start_step(batch.step)
        loss = self._gradients(x, labels, batch.step)
        self._check(loss, "the loss", batch.step)
        self._advance(batch.step, loss)

    def _check(self, value: Tensor, what: str, step: int) -> None:
        if not check_finite(value):
            lr = self.optimizer.param_groups[0]["lr"]
            raise DetectorError(diverged(what, self.precision.amp, f" at step {step} (lr {lr:.2e})"))

    def _inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the augmented images and the labels of *batch* on the device."""
        images = batch.images.to(self.device, non_blocking=True)
        labels = batch.labels.to(self.device, non_blocking=True)
        draws = draw(self.params.seed, batch.step, batch.ids).to(self.device, non_blocking=True)
        return augment(images, draws, self.config.augment), labels

    @property
    def _divided(self) -> bool:
        """Whether each process computes its share of the parts of a batch, and not all of them."""
        return self.config.parts % self.processes.world_size == 0

    def _whole(self, batch: Batch) -> Batch:
        """Return the batch that the processes have prepared shares of."""
        gather, count = self.processes.interleave, self.config.batch_size
        images, labels = gather(batch.images.numpy(), count), gather(batch.labels.numpy(), count)
        return Batch(batch.step, gather(batch.ids, count), torch.from_numpy(images), torch.from_numpy(labels))

    def _start_step(self, step: int) -> None:
        """Set the learning rate for the step, and clear the gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = one_cycle(step, self.config.steps, self.config.lr, self.config.warmup_ratio)
        self.optimizer.zero_grad(set_to_none=True)

    def _advance(self, step: int, loss: Tensor) -> None:
        """Update the weights and their moving average."""
        norm = self.precision.clip(self.optimizer, self.parameters, self.config.max_norm)
        if self.precision.amp != "fp16":  # fp16 overflows are expected: the scaler skips the step
            self._check(norm, "the gradient", step)
        self.precision.step(self.optimizer)
        self.ema.update(step)
        finite = torch.isfinite(norm)
        norm = torch.where(finite, norm.detach(), 0)
        self.sums += torch.stack([loss, norm, finite.to(norm.dtype)])
        self.count += 1
        self.step = step + 1

    def _gradients(self, x: Tensor, labels: Tensor, step: int) -> Tensor:
        """Set the gradients to those of the batch and return its loss.

        A batch is divided into `train.parts`. Each starts from the same buffers, and has random draws of its own;
        losses, gradients and buffers are averaged in the order of the parts, whichever process has computed them.
        """
        parts = self.config.parts
        if parts == 1:
            return self._part(x, labels, step, 0)
        first, by = (self.processes.rank, self.processes.world_size) if self._divided else (0, 1)
        own, count = range(first, parts, by), parts // by
        # floating-point buffers are averaged; counts of batches are the same after each part
        start = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        averaged, found = [(buffer, value) for buffer, value in start if buffer.is_floating_point()], []
        for i, part in enumerate(own):
            self.optimizer.zero_grad(set_to_none=True)
            for buffer, value in start:
                buffer.copy_(value)
            images = x[i::count].contiguous(memory_format=torch.channels_last)
            loss = self._part(images, labels[i::count], step, part)
            gradients = [p.grad for p in self.parameters if p.grad is not None]
            # the changes of buffers, so that the average of those that never change is exact
            changes = [buffer - value for buffer, value in averaged]
            found.append(torch.cat([value.flatten() for value in (loss, *gradients, *changes)]))
        rows = self.processes.rows(found) if self._divided else found
        total = rows[0].clone()
        for row in rows[1:]:
            total += row
        values = [*gradients, *changes]
        averages = torch.split(total[1:] / parts, [value.numel() for value in values])
        for value, average in zip(values, averages, strict=True):
            value.copy_(average.view_as(value))
        for (buffer, value), change in zip(averaged, changes, strict=True):
            torch.add(value, change, out=buffer)
        return total[0] / parts

    def _part(self, x: Tensor, labels: Tensor, step: int, part: int) -> Tensor:
        """Add the gradients of a part of the batch, `micro_batch` crops at a time, and return its loss.

        A micro-batch takes every n-th crop, so that it is half real and half fake like the batch.
        """
        reseed(self.device, self.params.seed, step, part)
        number = -(-len(x) // self.micro_batch)
        total = torch.zeros((), device=self.device)
        for i in range(number):
            images = x if number == 1 else x[i::number].contiguous(memory_format=torch.channels_last)
            with self.precision.autocast():
                loss = self.objective(images, labels[i::number], step) * (len(images) / len(x))
            self.precision.backward(loss)
            total += loss.detach()
        return total

    def _choose_micro_batch(self) -> int:
        """Return how many crops of a part of a batch go through the model at a time."""
        share_size = self.config.batch_size // self.config.parts
        if self.config.micro_batch != "auto":
            return min(self.config.micro_batch, share_size)
        if self.device.type != "cuda":
            return share_size
        return fitting(self._try_micro_batch, share_size, self._say, self.processes.any)

    def _try_micro_batch(self, size: int) -> None:
        """Run a step on *size* blank crops, with memory for the optimizer's state allocated, and restore the model.

        The step is the last one, which may need more memory than the first (`MultiAttention.objective`).
        """
        before = copy.deepcopy(self.model.state_dict())
        kept = [] if self.optimizer.state else [torch.empty_like(p) for p in self.parameters for _ in range(2)]
        try:
            x = torch.zeros((size, 3, *self.size), device=self.device).contiguous(memory_format=torch.channels_last)
            labels = torch.arange(size, device=self.device).float() % 2
            with self.precision.autocast():
                loss = self.objective(x, labels, self.config.steps - 1)
            loss.backward()
        finally:
            kept.clear()
            self.optimizer.zero_grad(set_to_none=True)
            self.model.load_state_dict(before)

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.config.steps

    def _log(self, val_auc: float | None, images: int) -> None:
        """Add a row of history with the means since the last one."""
        losses, norms, finite = self.sums.tolist()
        loss, norm = losses / self.count, norms / finite if finite else None
        lr = float(self.optimizer.param_groups[0]["lr"])
        values = (self.step, self.order.epoch(self.step - 1), loss, lr, norm, val_auc)
        self.rows.append(dict(zip(HISTORY, values, strict=True)))
        self.sums.zero_()
        self.count = 0
        if self.processes.main:
            self.progress.row(self.rows[-1], images, self.loader.waited)
            if self.trackers is not None:
                self.trackers.row(self.rows[-1])

    # -- validation ----------------------------------------------------------------------------------------------------

    def _validate(self) -> float | None:
        """Return the AUC of the averaged weights on the validation crops, None where it is undefined."""
        if not self.num_validation:
            return None
        ids, size = range(len(self.validation)), self.config.batch_size
        images = (batch.images for batch in self.validation_loader.load(ids, size))
        scores = predict(self.ema.model, images, self.device, self.precision)
        y_score = self.processes.interleave(scores, self.num_validation, size)
        y_true = self.processes.interleave(self.validation_loader.labels, self.num_validation, size)
        value = float(auc(y_true, y_score))
        if math.isnan(value):
            return None
        self.evaluations_since = 0 if value > self.best_auc else self.evaluations_since + 1
        self.best_auc = max(self.best_auc, value)
        if self.config.select == "best_val" and (self.best is None or value > self.best["val_auc"]):
            self.best = {"step": self.step, "val_auc": value, "weights": plain(self.ema.model.state_dict())}
        return value

    # -- stopping, saving, resuming ------------------------------------------------------------------------------------

    def _asked_to_stop(self) -> str | None:
        """Return the signal that requests a stop. Several processes agree on it: at every step on CPUs, every
        `ASK_EVERY` steps on GPUs, because it synchronises host and device."""
        if self.processes.world_size == 1:
            return self.signals.received
        if self.device.type == "cuda" and self.step % ASK_EVERY:
            return None
        return (self.signals.received or "a signal") if self.processes.any(bool(self.signals.received)) else None

    def _stop(self, name: str) -> None:
        self.checkpoints.wait()
        raise Stopped(f"stopped by {name}; saved at step {self.step}: run the same command again to resume")

    def _save(self) -> None:
        if self.processes.main:
            self.checkpoints.save(self.step, self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "run": self.run_info.id,
            "run_info": dataclasses.asdict(self.run_info),
            "step": self.step,
            "epoch": self.order.epoch(self.step),
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "rows": self.rows,
            "sums": self.sums,
            "count": self.count,
            "best": self.best,
            "best_auc": self.best_auc,
            "evaluations_since": self.evaluations_since,
            "micro_batch": self.micro_batch,
            "threads": torch.get_num_threads(),
        }

    def _resume(self) -> None:
        """Resume from the newest checkpoint of this run, if there is one, with the same number of threads."""
        state = self.processes.broadcast(self.checkpoints.latest() if self.processes.main else None)
        if state is None:
            others = sum(path != self.checkpoints.folder for path in self.checkpoints.folder.parent.glob("*/"))
            if others:
                runs = "1 unfinished run" if others == 1 else f"{others} unfinished runs"
                self._say(
                    f"starting at step 0; {self.checkpoints.folder.parent} keeps {runs} of other parameters, data or "
                    "code; those that are no longer needed may be removed"
                )
            return
        try:
            self.model.load_state_dict(state["model"])
            self.ema.model.load_state_dict(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.precision.scaler.load_state_dict(state["scaler"])
            self.sums.copy_(state["sums"])
        except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"{self.checkpoints.folder}: the checkpoint of step {state['step']} does not fit this model ({error}); "
                "remove the folder to start again at step 0"
            ) from error
        self.step, self.rows, self.count, self.best = state["step"], state["rows"], state["count"], state["best"]
        self.best_auc, self.evaluations_since = state["best_auc"], state["evaluations_since"]
        self.micro_batch = state["micro_batch"]
        if state["threads"] != torch.get_num_threads():
            # with another number of threads, sums differ in the last bits
            torch.set_num_threads(state["threads"])
            self._say(f"computing with {state['threads']} threads, as the checkpoint did")
        self._say(f"resuming from step {self.step} of {self.config.steps}")

    def _say(self, text: str) -> None:
        if self.processes.main:
            self.progress.say(text)

    # -- outputs -------------------------------------------------------------------------------------------------------

    def write_outputs(self, out: Path, history: Path) -> None:
        """Write the history, the model card, the weights, and last model.json, which marks them as complete."""
        for part in out.glob(".*.part"):  # left by a run that was killed at this point
            part.unlink()
        (out / CARD).unlink(missing_ok=True)  # the files of an earlier run are incomplete from here on
        with whole_file(history) as path:
            path.write_text(_csv(self.rows), encoding="ascii")
        with whole_file(out / "log.jsonl") as path:
            path.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="ascii")
        weights = self._chosen.get("weights") or self.ema.model.state_dict()
        check_finite_weights(weights, f"{out}: not written")
        card = dataclasses.replace(self._card(weights), log_sha256=sha256(out / "log.jsonl"))
        (out / DAMAGED).unlink(missing_ok=True)  # of an earlier run
        if self.run_info.damaged:
            with whole_file(out / DAMAGED) as path:
                path.write_text("\n".join(["key", *self.run_info.damaged]) + "\n", encoding="utf-8")
        with whole_file(out / "model_card.md") as path:
            path.write_text(self._model_card(card), encoding="utf-8")
        save_model(out, weights, card)

    @property
    def _chosen(self) -> dict[str, Any]:
        """Step and validation AUC of the selected weights, and the weights unless they are the last ones."""
        return self.best or {"step": self.step, "val_auc": self.rows[-1]["val_auc"]}

    def _model_card(self, card: Card) -> str:
        return model_card(card, sum(p.numel() for p in self.parameters), self.training, self.num_validation)

    def _card(self, weights: Mapping[str, Tensor]) -> Card:
        """Return the card of *weights*: model, inputs, thresholds and calibration."""
        chosen, run, summary = self._chosen, self.run_info, self.summary
        card = Card(
            self.params.model,
            settings(self.params),
            *self.size,
            weights="EMA",
            data=data_of(self.data) if self.data else None,
            crops=summary.parameters if summary else None,
            compress=summary.compress if summary else None,
            trained_on=summary.compress.condition if summary and summary.compress else None,
            versions=versions(),
            source=source(),
            inputs=self.inputs,
            started_from=self.start,
            step=chosen["step"],
            val_auc=chosen["val_auc"],
            selected=self.config.select,
            amp=self.precision.amp,
            run=run.id,
            parameters=in_force(run.parameters),
            code_sha256=run.code_sha256,
            device=run.device,
            arithmetic=arithmetic(self.config),
            train_crops=len(self.training),
        )
        if self.lossless is None:
            return card
        model = restore(card, weights, self.device)
        return dataclasses.replace(card, **self.lossless.score(model, self.config.conditions, self.device))


# -- parts -------------------------------------------------------------------------------------------------------------


def set_up_torch(params: Params, device: torch.device) -> None:
    """Set threads and determinism for the process."""
    set_threads(params.train)
    torch.use_deterministic_algorithms(params.train.deterministic)
    # filling new memory helps to find bugs, takes 1/7 of a Meso4 step, and does not change results
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not params.train.deterministic and device.type == "cuda"


def _split(faces: list[Face], split: str, crops: Path) -> list[Face]:
    """Return the faces of *split*; DataError when there is none to train on."""
    chosen = [face for face in faces if face.split == split]
    if not chosen and split == "train":
        raise DataError(f"{crops / 'index.csv'}: no faces in the training split; see splits/train.json of the videos")
    return chosen


def _take(lock: Lock, out: Path) -> None:
    """Take the *lock* on the folder *out*; `DataError` if another run, of other parameters or data, writes there."""
    holder = lock.claim()
    if holder is not None:
        raise DataError(
            f"{out}: {holder} is training other weights into this folder; give OUT another path, wait for it, or end "
            "it with kill (it saves first)"
        )


def _other_run(run: Run, out: Path) -> str | None:
    """Return the identity of the run whose weights *out* holds; None if there are none, or they are of *run*."""
    card = out / CARD
    found = read_json(card, dict[str, Any]).get("run") if card.is_file() else None
    return None if found in (None, run.id) else str(found)


def _is_finished(run: Run, out: Path, history: Path) -> bool:
    """Return whether *out* and *history* are complete and from this run; model.json is written last."""
    card = out / CARD
    return card.is_file() and history.is_file() and read_json(card, dict[str, Any]).get("run") == run.id


def _inputs(run: Run, crops: Path, lossless: Path | None) -> dict[str, str]:
    """Return the SHA-256 of the files that a run was made from; an index holds the checksum of every crop."""
    paths = {"crops/index.csv": crops / "index.csv", "crops/summary.json": crops / SUMMARY}
    if lossless is not None:
        paths["faces/index.csv"] = lossless / "index.csv"
    found = {name: sha256(path) for name, path in paths.items() if path.exists()}
    return found | ({"pretrained": run.pretrained_sha256} if run.pretrained_sha256 else {})


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # it is not empty, or already removed
        folder.rmdir()


def _csv(rows: list[dict[str, Any]]) -> str:
    """Return the history as CSV; numbers read back exactly, a missing AUC is empty."""
    lines = [",".join(HISTORY)]
    lines += [",".join("" if row[name] is None else repr(row[name]) for name in HISTORY) for row in rows]
    return "\n".join(lines) + "\n"
