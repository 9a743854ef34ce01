"""What all training stages share: two single-thread workers that average gradients, the optimizer, and a state on disk
from which a killed stage goes on.

Two workers of one thread each are used because on shared cores two OpenMP threads wait for each other. All random
numbers of a step come from (seed, stage, step, worker), so the step number is the whole state of randomness.
"""

import argparse
import hashlib
import math
import os
import pathlib
import tempfile
import time

import numpy
import torch
import torch.distributed as distributed
import torch.multiprocessing as processes

SEED = 1
WORKERS = 2
SAVE_SECONDS = 90


class Muon:
    """Momentum whose matrices are orthogonalised, for matrices and flattened filters; Adam for all else.

    Each worker orthogonalises its share of the matrices, and the updates are added up: at these sizes that work would
    cost as much as the gradients.
    """

    def __init__(self, parameters, matrix_rate, vector_rate, is_matrix=None):
        is_matrix = is_matrix or (lambda name, p: p.dim() >= 2 and min(p.shape[0], p[0].numel()) > 1)
        named = [(n, p) for n, p in parameters if p.requires_grad]
        self.matrices = [p for n, p in named if is_matrix(n, p)]
        self.vectors = [p for n, p in named if not is_matrix(n, p)]
        self.matrix_rate, self.vector_rate = matrix_rate, vector_rate
        self.momentum = [torch.zeros_like(p) for p in self.matrices]
        self.first = [torch.zeros_like(p) for p in self.vectors]
        self.second = [torch.zeros_like(p) for p in self.vectors]
        self.by_shape = {}
        for i, p in enumerate(self.matrices):
            self.by_shape.setdefault((p.shape[0], p[0].numel()), []).append(i)
        self.steps = 0

    def parameters(self):
        return self.matrices + self.vectors

    @torch.no_grad()
    def step(self, factor, rank, workers):
        self.steps += 1
        updates = [torch.zeros_like(p) for p in self.matrices]
        for turn, indices in enumerate(self.by_shape.values()):
            for i in indices:
                self.momentum[i].mul_(0.95).add_(self.matrices[i].grad, alpha=0.05)
            mine = [i for k, i in enumerate(indices) if (k + turn) % workers == rank]
            if not mine:
                continue
            stack = torch.stack([self.matrices[i].grad.lerp(self.momentum[i], 0.95).flatten(1) for i in mine])
            for i, update in zip(mine, orthogonal(stack)):
                updates[i].copy_(update.reshape(updates[i].shape))
        add_up(updates, workers)
        for p, update in zip(self.matrices, updates):
            size = 0.2 * math.sqrt(max(p.shape[0], p[0].numel()))  # the update's rms is that of Adam
            p.add_(update, alpha=-self.matrix_rate * factor * size)
        correct1, correct2 = 1 - 0.9 ** self.steps, 1 - 0.98 ** self.steps
        for p, first, second in zip(self.vectors, self.first, self.second):
            first.lerp_(p.grad, 0.1)
            second.lerp_(p.grad.square(), 0.02)
            p.sub_(first / correct1 / ((second / correct2).sqrt() + 1e-8), alpha=self.vector_rate * factor)

    def state(self):
        return {"momentum": self.momentum, "first": self.first, "second": self.second, "steps": self.steps}

    def load(self, state):
        for name in ("momentum", "first", "second"):
            for own, stored in zip(getattr(self, name), state[name]):
                own.copy_(stored)
        self.steps = state["steps"]


def orthogonal(x):
    """The nearest orthogonal matrices, roughly: five Newton-Schulz steps on x [n, rows, columns]."""
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x if wide else x.transpose(1, 2)


def add_up(tensors, workers):
    """Replaces each tensor by its sum over the workers."""
    if workers == 1:
        return
    flat = torch.cat([t.flatten() for t in tensors])
    distributed.all_reduce(flat)
    for t, part in zip(tensors, flat.split([t.numel() for t in tensors])):
        t.copy_(part.view_as(t))


def cosine(progress, warm_up=0.02, flat=0.3, last=0.01):
    """Factor of the learning rate at `progress` in 0..1."""
    if progress < warm_up:
        return (progress + 1e-3) / (warm_up + 1e-3)
    if progress < flat:
        return 1.0
    return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * (progress - flat) / (1 - flat)))


def linear(progress, warm_up=0.02, flat=0.5, last=0.01):
    if progress < warm_up:
        return (progress + 1e-3) / (warm_up + 1e-3)
    return 1 - (1 - last) * max(0.0, progress - flat) / (1 - flat)


class Random:
    """The random numbers of one step on one worker; `shared` gives all workers the same ones, for choices that decide
    how long a step takes."""

    def __init__(self, *key, worker=0):
        self.shared = numpy.random.default_rng(seed_of(*key))
        self.numpy = numpy.random.default_rng(seed_of(*key, worker))
        self.torch = torch.Generator().manual_seed(seed_of(*key, worker) % 2 ** 63)


def seed_of(*key):
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little")


def save(path, state):
    """Whole or not at all: a kill may come at any moment."""
    temporary = path.with_suffix(".writing")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load_result(folder, stage):
    """The trained networks' state dicts of a finished stage."""
    return torch.load(folder / f"{stage}.pt", weights_only=True)["networks"]


def arguments(parser=None):
    parser = parser or argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path, help="where states and results are kept")
    parser.add_argument("--steps", type=int, help="of this stage, instead of the recipe's")
    parser.add_argument("--minutes", type=float, default=math.inf,
                        help="the stage ends by then, its learning rate falling by the clock where that is ahead")
    return parser


def run(stage_class, folder, steps=None, minutes=math.inf):
    """Trains a stage unless it is finished.

    A stage has `name`, `steps`, `networks` (a dict of modules, saved and loaded), `optimizer`, `factor(progress)`,
    `loss(random)` that returns the loss and a dict of figures, and may have `after_step()`.
    """
    path = folder / f"{stage_class.name}.pt"
    if path.exists() and torch.load(path, weights_only=True)["finished"]:
        print(f"{stage_class.name}: finished before", flush=True)
        return
    with tempfile.TemporaryDirectory() as meeting:
        processes.spawn(work, (stage_class, folder, steps, minutes, f"file://{meeting}/store", os.getpid()), WORKERS)


def work(rank, stage_class, folder, steps, minutes, meeting, parent):
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=WORKERS)
    torch.manual_seed(SEED)
    stage = stage_class(folder)
    steps = steps or stage.steps
    path = folder / f"{stage.name}.pt"
    step, seconds = 0, 0.0
    if path.exists():
        state = torch.load(path, weights_only=True)
        step, seconds = state["step"], state["seconds"]
        stage.optimizer.load(state["optimizer"])
        for name, network in stage.networks.items():
            network.load_state_dict(state["networks"][name])
    parameters = stage.optimizer.parameters()
    began, saved, sums = time.time() - seconds, time.time(), {}
    progress = torch.zeros(1)
    while progress < 1 and step < steps and os.getppid() == parent:  # a worker does not outlive a killed command
        loss, figures = stage.loss(Random(SEED, stage.name, step, worker=rank))
        for p in parameters:
            p.grad = None
        loss.backward()
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        gradients = [p.grad for p in parameters]
        # One worker's clock decides for all.
        progress.fill_(0 if rank else max(step / steps, (time.time() - began) / 60 / minutes))
        add_up([*gradients, progress], WORKERS)
        norm = torch.stack([g.norm() for g in gradients]).norm() / WORKERS
        scale = 1 / WORKERS / max(1.0, float(norm))
        for g in gradients:
            g.mul_(scale)
        stage.optimizer.step(stage.factor(min(1.0, float(progress))), rank, WORKERS)
        step += 1
        if hasattr(stage, "after_step"):
            stage.after_step()
        for key, value in {"loss": float(loss.detach()), "norm": float(norm), **figures}.items():
            total, count = sums.get(key, (0.0, 0))
            sums[key] = total + value, count + 1
        finished = bool(progress >= 1) or step == steps
        if rank == 0 and (step % 25 == 0 or finished):
            shown = " ".join(f"{key} {total / count:.4f}" for key, (total, count) in sums.items())
            print(f"{stage.name} {step}/{steps} {time.time() - began:.0f}s {shown}", flush=True)
            sums = {}
        if rank == 0 and (time.time() - saved > SAVE_SECONDS or finished):
            save(path, {"networks": {n: m.state_dict() for n, m in stage.networks.items()},
                        "optimizer": stage.optimizer.state(), "step": step, "seconds": time.time() - began,
                        "finished": finished})
            saved = time.time()
    distributed.destroy_process_group()
