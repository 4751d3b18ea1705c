"""Short captions of common things, from which the mean of the embeddings of texts is computed."""

from __future__ import annotations

THINGS = (
    "dog", "cat", "horse", "cow", "bird", "fish", "insect", "flower", "tree", "forest", "mountain", "river", "lake",
    "beach", "desert", "garden", "field", "island", "waterfall", "sunset", "cloud", "snow", "storm", "street", "house",
    "bridge", "church", "castle", "tower", "office", "kitchen", "bedroom", "bathroom", "room", "shop", "market",
    "station", "airport", "harbour", "farm", "factory", "school", "hospital", "museum", "stadium", "man", "woman",
    "child", "baby", "crowd", "team", "face", "hand", "couple", "family", "worker", "musician", "car", "bus", "truck",
    "train", "bicycle", "motorcycle", "boat", "ship", "aeroplane", "table", "chair", "bed", "lamp", "clock", "window",
    "door", "book", "newspaper", "letter", "map", "painting", "drawing", "statue", "sign", "poster", "computer",
    "telephone", "camera", "machine", "tool", "bottle", "cup", "plate", "meal", "bread", "cake", "fruit", "vegetable",
    "shirt", "dress", "shoe", "hat", "bag", "toy", "ball",
)  # fmt: skip
CAPTIONS = tuple(f"a photo of {'an' if thing[0] in 'aeiou' else 'a'} {thing}" for thing in THINGS)
