import torch
from safetensors.torch import save_file
saved = torch.load("best_model.pth", map_location="cpu")
weights = saved.get("state_dict", saved)
save_file({name: tensor.contiguous() for name, tensor in weights.items()}, "best_model.safetensors")
