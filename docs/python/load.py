"""Logits of a checkpoint in PyTorch: python3 load.py CHECKPOINT, or from load import load_file, vnet."""
import sys, torch, torch.nn.functional as F
try: from safetensors.torch import load_file
except ImportError: from read import load_file
def vnet(w, x):  # w: the checkpoint's tensors by name; x: [N, modalities, D, H, W] -> [N, 4, D, H, W]
    def layer(x, block, i=0, convolve=F.conv3d, **how):
        x = convolve(x, w[f"{block}.{i}.weight"], w.get(f"{block}.{i}.bias"), **how)
        a, b, m, v = (w.get(f"{block}.{i + 1}.{k}") for k in ("weight", "bias", "running_mean", "running_var"))
        return F.relu(F.instance_norm(x, weight=a, bias=b) if m is None else F.batch_norm(x, m, v, a, b))
    skips = []
    for number in "one two three four five six seven eight nine ten eleven".split():
        n = f"block_{number}"
        for i in (0, 3, 6):
            if f"{n}.conv.{i}.weight" in w: x = layer(x, f"{n}.conv", i, padding=1)
        if f"{n}_dw.conv.0.weight" in w: skips, x = [*skips, x], layer(x, f"{n}_dw.conv", stride=2)
        if f"{n}_up.conv.0.weight" in w: x = layer(x, f"{n}_up.conv", 0, F.conv_transpose3d, stride=2) + skips.pop()
    return F.conv3d(x, w["out_conv.weight"], w["out_conv.bias"])
if __name__ == "__main__":
    w = load_file(sys.argv[1])
    print(vnet(w, torch.randn(1, w["block_one.conv.0.weight"].shape[1], 32, 32, 32)).shape)
