#!/usr/bin/env python3
"""Writes the PyTorch checkpoints under tests/data/torch, which tests/base/torch_checkpoint.cpp reads.

usage: make_torch_checkpoints.py [FOLDER]      (needs torch)

Element i of a tensor called in `ramp` is i / 2 - 1, rounded to its type, so that the tests can compute it.
"""
import argparse
import collections
import datetime
import os
import pathlib
import sys

import torch

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "data" / "torch")
folder.mkdir(parents=True, exist_ok=True)


def ramp(*shape, dtype=torch.float32):
    count = torch.Size(shape).numel()
    return (torch.arange(count, dtype=torch.float32) / 2 - 1).to(dtype).reshape(shape)


def save(name, value, **how):
    torch.save(value, folder / name, **how)


LEGACY = {"_use_new_zipfile_serialization": False}

every_type = {str(t).removeprefix("torch."): ramp(2, 3, dtype=t)
              for t in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32)}
every_type |= {"int16": ramp(5, dtype=torch.int16), "int8": ramp(5, dtype=torch.int8),
               "uint8": ramp(5).abs().to(torch.uint8), "bool": torch.tensor([True, False, True]),
               "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "step": 7}
save("types.pt", every_type)
save("types_legacy.pt", every_type, **LEGACY)
save("protocol_4.pt", {"weight": ramp(2, 3)}, pickle_protocol=4)
save("protocol_5.pt", {"weight": ramp(2, 3)}, pickle_protocol=5)

base = ramp(3, 4)
views = {"base": base, "row": base[1], "transposed": base.t(), "every_second": base[:, ::2],
         "repeated": base[1:2].expand(3, 4), "permuted": ramp(2, 3, 4).permute(2, 0, 1), "same": base}
save("views.pt", views)
save("views_legacy.pt", views, **LEGACY)

network = torch.nn.Linear(3, 2)
with torch.no_grad():
    network.weight.copy_(ramp(2, 3))
    network.bias.copy_(ramp(2))
save("state_dict.pt", network.state_dict())
with_attribute = torch.nn.Parameter(ramp(2))
with_attribute.learning_rate_scale = 2.0
save("parameters.pt", {"weight": network.weight, "bias": with_attribute})
save("whole_module.pt", network)

weights = collections.OrderedDict(weight=ramp(2, 3))
other = {"weight": ramp(2, 3) + 100}
save("wrapped.pt", {"epoch": 3, "optimizer": {"state": {0: ramp(4)}}, "model": weights})
save("averaged.pt", {"model": other, "ema": weights})
save("generator.pt", {"state_dict": {"gen_model": weights, "dics_model": other}, "ema_state_dict": {}})
save("averaged_generator.pt", {"state_dict": {"gen_model": other}, "ema_state_dict": {"module.weight": ramp(2, 3)}})
save("no_tensors.pt", {"epoch": 3})

save("unknown_inert.pt", {"weight": ramp(2, 3), "arguments": argparse.Namespace(lr=0.1, folder=pathlib.Path("a/b")),
                          "begun": datetime.datetime(2024, 1, 1), "history": [(1, 0.5), {"loss": {0.25}}]})


class MadeBy:
    """Pickles as a call of a function that no reader knows."""

    def __init__(self, module, name, *arguments):
        function = type("Function", (), {})
        function.__module__, function.__qualname__, function.__name__ = module, name, name
        sys.modules.setdefault(module, type(sys)(module))
        setattr(sys.modules[module], name, function)
        self.call = function, arguments

    def __reduce__(self):
        return self.call


save("unknown_wanted.pt", {"bias": ramp(2), "weight": MadeBy("quantised", "unpack", ramp(2, 3))})


class Shell:
    def __reduce__(self):
        return os.system, ("touch pyracast_ran_a_pickle",)


save("shell_inside.pt", {"weight": ramp(2, 3), "hook": Shell()})
save("shell_legacy.pt", {"weight": ramp(2, 3), "hook": Shell()}, **LEGACY)
save("shell_only.pt", Shell())
save("complex.pt", {"weight": torch.zeros(2, dtype=torch.complex64)})
save("complex_beside.pt", {"weight": ramp(2, 3), "optimizer": {"state": torch.zeros(2, dtype=torch.complex64)}},
     **LEGACY)
save("uint16.pt", {"weight": torch.zeros(2, dtype=torch.uint16)})

nested = ramp(2)
for _ in range(150):
    nested = [nested, ()]
save("deep.pt", {"weight": ramp(2, 3), "history": nested})
