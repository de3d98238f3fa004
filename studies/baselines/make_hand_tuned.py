"""Write schedules with the choices of public hand-tuned models, which ``autosched bench`` shows.

    python studies/baselines/make_hand_tuned.py [NAME...]

Without a name, all of them. Each is run once on the mock device, and its estimated time printed
beside what its authors published for silicon. What is theirs and what differs is said in
``by_hand/``, a module a model.
"""

# ruff: noqa: T201 - a script speaks to whoever runs it

import sys

from by_hand.baseline import Baseline, make
from by_hand.mobilenet_v2 import MobileNetV2
from by_hand.resnet50 import ResNet50
from by_hand.resnet50_p150 import LargerResNet50OnP150, ResNet50OnP150
from by_hand.segformer_b0 import SegFormerB0
from by_hand.unet import UNet
from by_hand.unet_small import FourSmallUNets, SmallUNet
from by_hand.vgg_unet import VggUNet
from by_hand.yolov8s import YOLOv8s

MODELS: dict[str, type[Baseline]] = {
    "resnet50": ResNet50,
    "resnet50_p150_b16": ResNet50OnP150,
    "resnet50_p150_b32": LargerResNet50OnP150,
    "unet": UNet,
    "unet_small": SmallUNet,
    "unet_small_b4": FourSmallUNets,
    "mobilenet_v2": MobileNetV2,
    "vgg_unet": VggUNet,
    "segformer_b0": SegFormerB0,
    "yolov8s": YOLOv8s,
}


def main(names: list[str]) -> None:
    """Make the schedules of models.

    Raises:
        SystemExit: if there is none of a name.
    """
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise SystemExit(f"unknown model {unknown[0]!r}; it is one of {', '.join(MODELS)}")
    for name in names or MODELS:
        print(make(MODELS[name]()))


if __name__ == "__main__":
    main(sys.argv[1:])
