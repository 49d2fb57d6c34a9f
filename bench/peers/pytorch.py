"""Times PyTorch on the CPU on the tasks of bench/peers.js, for orientation. Reads tasks as JSON lines from
standard input. Prints PyTorch's version, then a line for each task: milliseconds, the median of five runs.
"""
import json
import sys
import time

import torch
from torch.nn import functional as F

EPS = 1e-5


def convolution(task):
    x, weight = torch.randn(task["x"]), torch.randn(task["weight"])
    dy = torch.randn([x.shape[0], weight.shape[0], *x.shape[2:]])
    return {
        "forward": lambda: F.conv3d(x, weight, padding=1),
        "data gradient": lambda: torch.nn.grad.conv3d_input(x.shape, weight, dy, padding=1),
        "weight gradient": lambda: torch.nn.grad.conv3d_weight(x, weight.shape, dy, padding=1),
    }[task["pass"]]


def norm(task):
    x = torch.randn(task["x"])
    weight, bias, dy = torch.randn(x.shape[1]), torch.randn(x.shape[1]), torch.randn_like(x)
    if task["pass"] == "forward":
        return lambda: F.instance_norm(x, weight=weight, bias=bias, eps=EPS)
    for tensor in (x, weight, bias):
        tensor.requires_grad_()

    def run():
        y = F.instance_norm(x, weight=weight, bias=bias, eps=EPS)
        torch.autograd.grad(y, (x, weight, bias), dy)

    return run


def step(task):
    x = torch.randn(task["x"])
    label = torch.randint(task["classes"], [x.shape[0], *x.shape[2:]])
    layers, params = [], []
    for layer in task["layers"]:
        edge, up = {"same": 3, "down": 2, "up": 2, "head": 1}[layer["kind"]], layer["kind"] == "up"
        channels = [layer["inputs"], layer["outputs"]] if up else [layer["outputs"], layer["inputs"]]
        tensors = [0.1 * torch.randn(channels + [edge] * 3), torch.zeros(layer["outputs"])]
        tensors += [torch.ones(layer["outputs"]), torch.zeros(layer["outputs"])]
        layers.append((layer["kind"], [tensor.requires_grad_() for tensor in tensors]))
        params += tensors if layer["kind"] != "head" else tensors[:2]
    optimizer = torch.optim.Adam(params)

    def network(x):
        skips = []
        for kind, (weight, bias, scale, shift) in layers:
            if kind == "down":
                skips.append(x)
            if kind == "up":
                x = F.conv_transpose3d(x, weight, bias, stride=2)
            else:
                bias = None if kind == "same" else bias
                x = F.conv3d(x, weight, bias, stride=2 if kind == "down" else 1, padding=1 if kind == "same" else 0)
            if kind != "head":
                x = F.relu(F.instance_norm(x, weight=scale, bias=shift, eps=EPS))
            if kind == "up":
                x = x + skips.pop()
        return x

    def run():
        optimizer.zero_grad()
        F.cross_entropy(network(x), label).backward()
        optimizer.step()

    return run


def milliseconds(run):
    run()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - started))
    return sorted(times)[2]


print(torch.__version__, flush=True)
for line in sys.stdin:
    task = json.loads(line)
    prepare = {"conv3d": convolution, "instanceNorm": norm, "V-Net": step}[task["op"]]
    print(milliseconds(prepare(task)), flush=True)
