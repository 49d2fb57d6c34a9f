"""ProtoKD's V-Net in PyTorch, with the published checkpoints' names, for published.test.ts.

    network.py logits WEIGHTS INPUT LOGITS     what the network with these weights (safetensors) makes of x
    network.py make NORM                       best_model.pth of a network, an input x and its logits
    network.py script WEIGHTS INPUT LOGITS     the same by docs/python/load.py, as the docs say
    network.py convert                         convert.py, which is what README.md tells users

Where Python has no safetensors package, convert uses the writer below in its place.
"""
import json, os, runpy, struct, sys, types
import numpy as np
import torch
from torch import nn

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TYPES = {"F32": np.float32, "I64": np.int64}


class Block(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        return self.conv(x)


class VNet(nn.Module):
    def __init__(self, modalities, filters, norm):
        super().__init__()
        after = nn.BatchNorm3d if norm == "batch" else lambda width: nn.InstanceNorm3d(width, affine=True)
        width = [filters * 2**level for level in range(5)]

        def stage(number, level, inputs):
            layers = []
            for i in range(min(level + 1, 3)):
                convolution = nn.Conv3d(width[level] if i else inputs, width[level], 3, padding=1, bias=False)
                layers += [convolution, after(width[level]), nn.ReLU()]
            setattr(self, f"block_{NUMBERS[number]}", Block(*layers))

        for level in range(5):
            stage(level, level, width[level] if level else modalities)
            if level < 4:
                down = nn.Conv3d(width[level], width[level + 1], 2, stride=2)
                setattr(self, f"block_{NUMBERS[level]}_dw", Block(down, after(width[level + 1]), nn.ReLU()))
        for level in reversed(range(4)):
            up = nn.ConvTranspose3d(width[level + 1], width[level], 2, stride=2)
            setattr(self, f"block_{NUMBERS[7 - level]}_up", Block(up, after(width[level]), nn.ReLU()))
            stage(8 - level, level, width[level])
        self.out_conv = nn.Conv3d(filters, 4, 1)

    def forward(self, x):
        skips = []
        for level in range(4):
            skips.append(getattr(self, f"block_{NUMBERS[level]}")(x))
            x = getattr(self, f"block_{NUMBERS[level]}_dw")(skips[-1])
        x = self.block_five(x)
        for level in reversed(range(4)):
            x = getattr(self, f"block_{NUMBERS[7 - level]}_up")(x) + skips[level]
            x = getattr(self, f"block_{NUMBERS[8 - level]}")(x)
        return self.out_conv(x)


def save(tensors, path):
    header, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        array = np.ascontiguousarray(tensor.detach().numpy())
        kind = next(kind for kind, dtype in TYPES.items() if dtype == array.dtype)
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [at, at + array.nbytes]}
        blobs.append(array.tobytes())
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def load(path):
    with open(path, "rb") as file:
        data = file.read()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, info in json.loads(data[8:begin]).items():
        if name == "__metadata__":
            continue
        low, high = (begin + offset for offset in info["data_offsets"])
        array = np.frombuffer(data[low:high], TYPES[info["dtype"]]).reshape(info["shape"])
        tensors[name] = torch.from_numpy(array.copy())
    return tensors


def logits(weights, given, result):
    state = load(weights)
    norm = "batch" if any(name.endswith("running_mean") for name in state) else "instance"
    network = VNet(state["block_one.conv.0.weight"].shape[1], state["out_conv.weight"].shape[1], norm)
    network.load_state_dict(state, strict=True)
    with torch.no_grad():
        save({"logits": network.eval()(load(given)["x"])}, result)


def script(weights, given, result):
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, os.path.join(here, "../../docs/python"))
    from load import load_file, vnet

    save({"logits": vnet(load_file(weights), load(given)["x"])}, result)


def make(norm):
    torch.manual_seed(1)
    network = VNet(4, 2, norm)
    x = torch.randn(1, 4, 32, 32, 32)
    with torch.no_grad():
        network.train()(3 * x + 1)  # moves the running statistics
        save({"x": x}, "x.safetensors")
        save({"logits": network.eval()(x)}, "logits.safetensors")
    saved = {"epoch": 7, "state_dict": nn.DataParallel(network).state_dict()}  # names begin with "module."
    torch.save(saved, "best_model.pth")


def convert():
    try:
        import safetensors.torch  # noqa: F401
    except ModuleNotFoundError:
        sys.modules["safetensors"] = types.ModuleType("safetensors")
        sys.modules["safetensors.torch"] = stand_in = types.ModuleType("safetensors.torch")
        stand_in.save_file = save
    runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "convert.py"))


{"logits": logits, "script": script, "make": make, "convert": convert}[sys.argv[1]](*sys.argv[2:])
