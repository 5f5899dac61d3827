"""COCO's 80 class names in its order, the aliases people write, and the classes a camera is watched for."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

COCO_80: tuple[str, ...] = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

SECURITY: frozenset[str] = frozenset(
    {"person", "bicycle", "car", "motorcycle", "bus", "truck", "bird", "cat", "dog"}
)

# Names that older darknet, VOC and camera software use for the same classes.
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "aeroplane": "airplane",
        "bike": "bicycle",
        "cellphone": "cell phone",
        "diningtable": "dining table",
        "doughnut": "donut",
        "hair dryer": "hair drier",
        "human": "person",
        "lorry": "truck",
        "motorbike": "motorcycle",
        "pedestrian": "person",
        "pottedplant": "potted plant",
        "sofa": "couch",
        "trafficlight": "traffic light",
        "tvmonitor": "tv",
    }
)


def canonical(name: str) -> str:
    """The name as COCO writes it: case, blanks, `-` and `_` do not matter, aliases are followed."""
    plain = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    return ALIASES.get(plain, plain)


def class_id(name: str, labels: tuple[str, ...] = COCO_80) -> int:
    """The index of `name` among `labels`; KeyError names what was asked for."""
    if name in labels:
        return labels.index(name)
    try:
        return labels.index(canonical(name))
    except ValueError:
        raise KeyError(
            f"unknown class {name!r}; the {len(labels)} known ones begin with {labels[0]!r}"
        ) from None


def class_ids(names: Iterable[str], labels: tuple[str, ...] = COCO_80) -> frozenset[int]:
    return frozenset(class_id(name, labels) for name in names)


_HALVES = re.compile("[\ud800-\udfff]")


def is_whole(text: str) -> bool:
    """Half a sign, as JSON can carry it, has no bytes: it cannot be stored, nor sent but as JSON."""
    return text.isascii() or not _HALVES.search(text)
