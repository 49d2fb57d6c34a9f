"""Reads tensors by name without the package safetensors: a length, a JSON header, and bytes."""
import json, struct, torch

def load_file(path):
    data = bytearray(open(path, "rb").read())
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, info in json.loads(data[8:begin]).items():
        if name != "__metadata__" and info["dtype"] == "F32":
            first, end = (begin + offset for offset in info["data_offsets"])
            tensors[name] = torch.frombuffer(data[first:end], dtype=torch.float32).reshape(info["shape"])
    return tensors
