"""Every experiment of the assignment, with the report's and other students' figures.

The figures are best validation accuracies of runs whose seed was not fixed: they vary by about a
point, at lr 0.1 by far more. Others' are read from public notebooks, at the same settings only.
"""

from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.features.labs.experiments import Arm, Lab, Others
from cifar_tui.features.labs.trends import (
    EPOCHS_TO_GOAL,
    GOAL,
    SMALL_WEIGHTS,
    all_of,
    beats,
    interior_peak,
    reaches,
    sooner,
    stays_below,
    suffers_less,
)

LAB1_BAR, LAB2_BAR, LAB3_BAR = 0.65, 0.70, 0.90
LEARNS_NOT = 0.2
"""Below this, ten classes count as not learned."""

AUG: dict[str, Any] = {"augment": True}
BN: dict[str, Any] = {**AUG, "batch_norm": True}
STEP: dict[str, Any] = {"schedule": "step", "decay_every": 10, "decay_factor": 0.1}
LAB3: dict[str, Any] = {**AUG, **STEP, "lr": 0.1}
PLAIN_LARGE_LR_SD, BN_LARGE_LR_SD = 0.19, 0.13
"""Standard deviation of the known figures at lr 0.1 with augmentation: without batch norm 0.266,
0.4946 and 0.644; with it 0.353, 0.6780, 0.682, 0.6862, 0.688, 0.707 and 0.717."""
RESNET: dict[str, Any] = {"model": "resnet", "depth": 20, "shortcut": "A"}
BASELINE, WITH_AUG = Others(0.641, 0.663, 11), Others(0.697, 0.715, 5)
WITH_BN = Others(0.714, 0.738, 5)
CURVES = "the curves of val_acc, and of the two losses as they part"

LABS: tuple[Lab, ...] = (
    Lab(
        name="lab1-baseline",
        question=f"Does SimpleNN reach {LAB1_BAR:g} without augmentation?",
        arms=(Arm("baseline", {}, 0.6564, BASELINE),),
        trend=reaches("baseline", LAB1_BAR),
        look_at="the losses: val_loss turns up while train_loss still falls",
        bar=LAB1_BAR,
    ),
    Lab(
        name="lab1-decay",
        question="Does lr decay help (x0.1 every 10 epochs)?",
        arms=(
            Arm("no decay", {}, 0.6564, BASELINE),
            Arm("decay", STEP, 0.6978, Others(0.675, 0.680, 3)),
        ),
        trend=beats("decay", "no decay"),
        look_at="the jump of val_acc in the epochs after each decay",
        bar=LAB1_BAR,
        note="The report's code lowers lr one epoch late; here it falls before epochs 11 and 21.",
    ),
    Lab(
        name="lab2-augment",
        question="Does augmentation help (crop and flip)?",
        arms=(Arm("no aug", {}, 0.6564, BASELINE), Arm("aug", AUG, 0.6982, WITH_AUG)),
        trend=beats("aug", "no aug"),
        look_at="the gap between train_acc and val_acc",
        bar=LAB2_BAR,
    ),
    Lab(
        name="lab2-bn",
        question="Does batch norm help?",
        arms=(Arm("no bn", AUG, 0.6982, WITH_AUG), Arm("bn", BN, 0.7224, WITH_BN)),
        trend=beats("bn", "no bn"),
        look_at=CURVES,
        bar=LAB2_BAR,
    ),
    Lab(
        name="lab2-bn-lr",
        question="Does a large lr hurt less with batch norm than without?",
        arms=(
            Arm("no bn lr 0.01", AUG, 0.7106, WITH_AUG),
            Arm(
                "no bn lr 0.1",
                {**AUG, "lr": 0.1},
                0.4946,
                Others(0.266, 0.644, 2),
                PLAIN_LARGE_LR_SD,
            ),
            Arm("bn lr 0.01", BN, 0.7180, WITH_BN),
            Arm("bn lr 0.1", {**BN, "lr": 0.1}, 0.6862, Others(0.353, 0.707, 2), BN_LARGE_LR_SD),
        ),
        trend=suffers_less(
            robust=("bn lr 0.01", "bn lr 0.1"), fragile=("no bn lr 0.01", "no bn lr 0.1")
        ),
        look_at="how much val_acc each loses from lr 0.01 to 0.1",
        bar=LAB2_BAR,
    ),
    Lab(
        name="lab2-swish",
        question="Does Swish beat ReLU at lr 0.1 with batch norm?",
        arms=(
            Arm("relu", {**BN, "lr": 0.1}, 0.6862, Others(0.688, 0.688, 1), BN_LARGE_LR_SD),
            Arm("swish", {**BN, "lr": 0.1, "activation": "swish"}, 0.7242, Others(0.723, 0.726, 2)),
        ),
        trend=beats("swish", "relu"),
        look_at=CURVES,
        bar=LAB2_BAR,
    ),
    Lab(
        name="lab2-lr",
        question="Has val_acc one peak over lr, while lr 1.0 does not learn?",
        arms=(
            Arm("lr 1.0", {**BN, "lr": 1.0}, 0.1054, Others(0.103, 0.105, 3)),
            Arm("lr 0.1", {**BN, "lr": 0.1}, 0.6780, Others(0.682, 0.717, 3), BN_LARGE_LR_SD),
            Arm("lr 0.05", {**BN, "lr": 0.05}, 0.7120, Others(0.706, 0.734, 3)),
            Arm("lr 0.01", BN, 0.7218, Others(0.717, 0.738, 3)),
            Arm("lr 0.005", {**BN, "lr": 0.005}, 0.6986, Others(0.700, 0.718, 3)),
            Arm("lr 0.001", {**BN, "lr": 0.001}, 0.6448, Others(0.625, 0.636, 3)),
        ),
        trend=all_of(
            stays_below("lr 1.0", LEARNS_NOT),
            interior_peak("lr 1.0", "lr 0.1", "lr 0.05", "lr 0.01", "lr 0.005", "lr 0.001"),
        ),
        look_at="best val_acc over lr; the loss at lr 1.0 beside ln 10",
        bar=LAB2_BAR,
    ),
    Lab(
        name="lab2-l2",
        question="Does L2 of 1e-2 underfit?",
        arms=(
            Arm("L2 1e-2", {**BN, "l2": 1e-2}, 0.6366, Others(0.596, 0.645, 4)),
            Arm("L2 1e-3", {**BN, "l2": 1e-3}, 0.7246, Others(0.664, 0.723, 4)),
            Arm("L2 1e-4", BN, 0.7202, Others(0.680, 0.728, 4)),
            Arm("L2 1e-5", {**BN, "l2": 1e-5}, 0.7162, Others(0.687, 0.735, 4)),
            Arm("L2 0", {**BN, "l2": 0.0}, 0.7236, Others(0.673, 0.727, 4)),
        ),
        trend=all_of(*(beats(f"L2 {l2}", "L2 1e-2") for l2 in ("1e-3", "1e-4", "1e-5", "0"))),
        look_at="train_acc: at 1e-2 it stays low as well",
        bar=LAB2_BAR,
    ),
    Lab(
        name="lab2-l1",
        question="Does L1 leave more weights near zero than L2?",
        arms=(Arm("L1 1e-4", {**BN, "l1": 1e-4, "l2": 0.0}), Arm("L2 1e-4", BN)),
        trend=beats("L1 1e-4", "L2 1e-4"),
        look_at="the share of weights below 1e-3, and the weights' histograms",
        measure=SMALL_WEIGHTS,
        bar=LAB2_BAR,
        note="The report shows histograms: with L1 near zero, with L2 bell-shaped.",
    ),
    Lab(
        name="lab3-resnet20",
        question="Does ResNet-20 beat SimpleNN by more than 10 points?",
        arms=(
            Arm("simplenn", {**LAB3, "batch_norm": True}, 0.7112),
            Arm("resnet20", {**LAB3, **RESNET}, 0.8788),
        ),
        trend=beats("resnet20", "simplenn", by=0.10),
        look_at="val_acc after the first decay",
        note="The report's net has depth 38 and 1x1 convolutions as shortcuts (option B); "
        "ResNet-20 has depth 20 and none (option A). Its SimpleNN is taken to have batch norm.",
    ),
    Lab(
        name="lab3-best",
        question=f"Does ResNet-20 exceed {LAB3_BAR:g} in 200 epochs?",
        arms=(
            Arm(
                "resnet20",
                {**AUG, **RESNET, "lr": 0.1, "epochs": 200}
                | {"schedule": "milestones", "milestones": (90, 140), "decay_factor": 0.1},
                0.9296,
                Others(0.884, 0.924, 8),
            ),
        ),
        trend=reaches("resnet20", LAB3_BAR),
        look_at="the jumps of val_acc after epochs 90 and 140",
        bar=LAB3_BAR,
        note="The report's net has depth 38 and 1x1 convolutions as shortcuts (option B); "
        "others' have options A or B.",
    ),
    Lab(
        name="lesson-augment",
        question="Does augmentation help a small model in few epochs, too?",
        arms=(Arm("no aug", {"epochs": 5}), Arm("aug", {**AUG, "epochs": 5})),
        trend=beats("aug", "no aug"),
        expected=False,
        look_at="train_acc: a model that underfits gains nothing from harder images",
        note="Question 1.1: augmentation is not always beneficial.",
    ),
    Lab(
        name="lesson-bn-dropout",
        question=f"Does batch norm reach {GOAL:.2f} sooner, and dropout later?",
        arms=(
            Arm("neither", {}),
            Arm("bn", {"batch_norm": True}),
            Arm("dropout", {"dropout": 0.5}),
        ),
        trend=all_of(sooner("bn", "neither"), sooner("neither", "dropout")),
        measure=EPOCHS_TO_GOAL,
        look_at="val_acc in the first epochs",
        note=f"Question 1.2. Never reaching {GOAL:.2f} counts as one epoch after the last.",
    ),
    Lab(
        name="lesson-combine",
        question="Do dropout and L2 together beat each of them alone?",
        arms=(
            Arm("dropout", {"dropout": 0.5, "l2": 0.0}),
            Arm("L2", {"l2": 1e-3}),
            Arm("both", {"dropout": 0.5, "l2": 1e-3}),
        ),
        trend=all_of(beats("both", "dropout"), beats("both", "L2")),
        expected=False,
        look_at="the gap between train_acc and val_acc, and what val_acc it costs",
        note="Question 1.3: using both does not always give the best result.",
    ),
    Lab(
        name="lesson-sparsity",
        question="Does L1 make the weights sparser than L2 of the same strength?",
        arms=(
            Arm("L1 1e-3", {"l1": 1e-3, "l2": 0.0}),
            Arm("L2 1e-3", {"l1": 0.0, "l2": 1e-3}),
        ),
        trend=beats("L1 1e-3", "L2 1e-3"),
        measure=SMALL_WEIGHTS,
        look_at="the share of weights below 1e-3",
        note="Question 1.4: L1 leaves the greater sparsity.",
    ),
    Lab(
        name="lesson-shortcuts",
        question="Does ResNet-20 train better with shortcuts than without?",
        arms=(
            Arm("shortcuts", {**LAB3, **RESNET}),
            Arm("no shortcuts", {**LAB3, **RESNET, "shortcut": "none"}),
        ),
        trend=beats("shortcuts", "no shortcuts"),
        look_at="train_loss, and the loss surface around both nets",
        note="Question 1.5: shortcuts smooth the loss surface. At 20 layers a plain net still "
        "trains; He et al. 2016 (section 4.2) see the gap widen with depth.",
    ),
    Lab(
        name="resnet-lr",
        question="Has ResNet-20 one peak over lr?",
        arms=tuple(
            Arm(f"lr {lr:g}", {**LAB3, **RESNET, "lr": lr}) for lr in (1.0, 0.3, 0.1, 0.03, 0.01)
        ),
        trend=interior_peak("lr 1", "lr 0.3", "lr 0.1", "lr 0.03", "lr 0.01"),
        look_at="best val_acc over lr, and train_loss in the first epochs",
        note="The lr study of lab 2 with the net of lab 3; a batch-normalised net takes more lr.",
    ),
    Lab(
        name="resnet-l2",
        question="Is ResNet-20 better with L2 of 5e-4 than with 1e-4?",
        arms=tuple(
            Arm(f"L2 {l2}", {**LAB3, **RESNET, "l2": float(l2)})
            for l2 in ("1e-2", "1e-3", "5e-4", "1e-4", "0")
        ),
        trend=beats("L2 5e-4", "L2 1e-4"),
        look_at="the gap between train_acc and val_acc",
        note="The L2 study of lab 2 with the net of lab 3.",
    ),
    Lab(
        name="2021-lr",
        question="Has val_acc one peak over the eight values of lr of 2021?",
        arms=tuple(
            Arm(f"lr {lr:g}", {**BN, "lr": lr})
            for lr in (1.0, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
        ),
        trend=interior_peak(
            *("lr 1", "lr 0.1", "lr 0.05", "lr 0.02"),
            *("lr 0.01", "lr 0.005", "lr 0.002", "lr 0.001"),
        ),
        look_at="best val_acc over lr",
        note="The assignment of 2021 adds 0.02 and 0.002 to the values of lab2-lr.",
    ),
    Lab(
        name="2021-augment",
        question="Do crop and flip together beat each of them alone?",
        arms=(
            Arm("none", {}),
            Arm("crop", {**AUG, "flip": False}),
            Arm("flip", {**AUG, "crop_padding": 0}),
            Arm("both", AUG),
        ),
        trend=all_of(beats("both", "crop"), beats("both", "flip")),
        look_at="the gap between train_acc and val_acc",
        note="The assignment of 2021 asks which of the two helps.",
    ),
    Lab(
        name="2021-baseline",
        question="Does SimpleNN reach the 0.63 that the assignment of 2021 asks for?",
        arms=(Arm("baseline", {}, others=BASELINE),),
        trend=reaches("baseline", 0.63),
        look_at="the losses: val_loss turns up while train_loss still falls",
        bar=0.63,
    ),
    Lab(
        name="2022-baseline",
        question="Does SimpleNN reach the 0.64 that the assignment of 2022 asks for?",
        arms=(Arm("baseline", {}, others=BASELINE),),
        trend=reaches("baseline", 0.64),
        look_at="the losses: val_loss turns up while train_loss still falls",
        bar=0.64,
    ),
    Lab(
        name="2022-shortcuts",
        question="Does ResNet-20 learn more with option B than with option A?",
        arms=(
            Arm("option A", {**LAB3, **RESNET}),
            Arm("option B", {**LAB3, **RESNET, "shortcut": "B"}),
        ),
        trend=beats("option B", "option A"),
        expected=False,
        look_at="val_acc after each decay",
        note="The assignment of 2022 allows both; He et al. 2016 find little between them.",
    ),
)
BY_NAME = {lab.name: lab for lab in LABS}


def find_labs(*wanted: str) -> list[Lab]:
    """The experiments of these names, or that begin so, each once; all for `all`; else UserError.

    They come in the order of the lab book.
    """
    names = ", ".join(BY_NAME)
    if not wanted:
        raise UserError(f"Name a lab; there are {names}, or all.")
    found = []
    for word in wanted:
        some = [word] if word in BY_NAME else [n for n in BY_NAME if n.startswith(word)]
        if not some and word != "all":
            raise UserError(f"There is no lab '{word}'; there are {names}, or all.")
        found += list(BY_NAME) if word == "all" else some
    return [lab for lab in LABS if lab.name in found]
