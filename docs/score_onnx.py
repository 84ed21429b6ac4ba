"""Score an aligned crop with an exported model: python score_onnx.py MODEL.onnx CROP.png [CONDITION [PRIOR]]."""

import json
import math
import sys

import numpy as np
import onnxruntime
from PIL import Image

model, path = sys.argv[1:3]
condition, prior = [*sys.argv[3:], *["pooled", "0.5"][len(sys.argv) - 3 :]]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
card = json.loads(session.get_modelmeta().custom_metadata_map["model.json"])
if not card["data"] or card["data"]["synthetic"] is not False:
    print("CAUTION: these weights were not trained on real data; nothing follows from them for real images")

image = Image.open(path).convert("RGB")
if image.size != (card["width"], card["height"]):
    sys.exit(f"{path}: a crop of {card['width']} x {card['height']} pixels is needed; {card['framing']['rule']}")
score = float(session.run(["scores"], {"images": np.asarray(image)[None]})[0][0])
levels = card["pooled"] if condition == "pooled" else card["thresholds"][condition]
print(f"score {score:.6f}, threshold {levels['frame']['threshold']:.6f} ({condition})")

found = card["calibration"][condition]["frame"]
if found is None:
    sys.exit("no likelihood ratio: the validation split of these weights was too small")
z = math.log(max(score, 1e-7) / max(1 - score, 1e-7))
llr = found["intercept"] + found["slope"] * z
ratio = min(max(math.exp(llr), found["low"]), found["high"])
if found["variance"] is not None:
    of_intercept, of_slope, both = found["variance"]
    half = found["quantile"] * math.sqrt(max(of_intercept + 2 * both * z + of_slope * z * z, 0))
    low, high = (min(max(math.exp(llr + sign * half), found["low"]), found["high"]) for sign in (-1, 1))
    print(f"likelihood ratio {ratio:.6f}, 95 % interval {low:.6f} to {high:.6f}")
odds = ratio * float(prior) / (1 - float(prior))
print(f"P(fake) {odds / (1 + odds):.6f} at a prior of {prior}; no range of inputs was checked")
