"""Public data sets: the facts. Which files they are, where these are published, what is in them and who made them.

Checksums are the publishers' own, or those that large libraries check the same files with; docs/data.md shows the rest
to users. Nothing here is downloaded unless its name is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from littoral.images.originals import (
    CIFAR_ARCHIVE,
    CIFAR_BATCHES,
    Parts,
    read_cifar10,
    read_idx_parts,
    read_medmnist,
)


@dataclass(frozen=True)
class DataFile:
    """One original file: its name, the checksums one of which it has, its homes (best first), and whatever else holds.

    A checksum is `sha256:…` or `md5:…`. A file without homes comes unpacked from another and is only looked for.
    """

    name: str
    checksums: tuple[str, ...]
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamedSet:
    """A data set: its files, the function that reads them (by their names), and the classes, in order of their labels.

    `unpacked`: files that do as well, where all of them are there. `folder`: where a system's package puts the files.
    """

    name: str
    files: tuple[DataFile, ...]
    read: Callable[[Mapping[str, Path]], Parts]
    class_names: tuple[str, ...]
    licence: str
    citation: str
    unpacked: tuple[DataFile, ...] = ()
    folder: Path | None = None


def _idx_files(homes: tuple[str, ...], checksums: dict[str, tuple[str, ...]]) -> tuple[DataFile, ...]:
    return tuple(DataFile(name, sums, tuple(home + name for home in homes)) for name, sums in checksums.items())


FASHION_MNIST = NamedSet(
    name="fashion-mnist",
    files=_idx_files(
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        ),
        {  # as published, and as in Debian's package: the same without the name and time in gzip's head
            "train-images-idx3-ubyte.gz": (
                "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "sha256:b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
            ),
            "train-labels-idx1-ubyte.gz": (
                "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "sha256:0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
            ),
            "t10k-images-idx3-ubyte.gz": (
                "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "sha256:cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                "sha256:8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
            ),
        },
    ),
    read=read_idx_parts,
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    licence="MIT",
    citation="Xiao, Rasul, Vollgraf (2017). Fashion-MNIST: a novel image dataset for benchmarking machine learning "
    "algorithms. arXiv:1708.07747",
    folder=Path("/usr/share/datasets/fashion-mnist"),
)

KMNIST = NamedSet(
    name="kmnist",
    files=_idx_files(
        ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        {
            "train-images-idx3-ubyte.gz": ("sha256:51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",),
            "train-labels-idx1-ubyte.gz": ("sha256:e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",),
            "t10k-images-idx3-ubyte.gz": ("sha256:edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",),
            "t10k-labels-idx1-ubyte.gz": ("sha256:20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",),
        },
    ),
    read=read_idx_parts,
    class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),  # in Latin letters: any terminal has them
    licence="CC BY-SA 4.0",
    citation="Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto, Ha (2018). Deep learning for classical Japanese "
    "literature. arXiv:1812.01718; made by ROIS-DS Center for Open Data in the Humanities from the Kuzushiji dataset "
    "of the National Institute of Japanese Literature, doi:10.20676/00000341",
)

_CIFAR_MD5 = (  # of data_batch_1.bin to data_batch_5.bin and test_batch.bin
    "5dd7e06a14cb22eb9f671a540d1b7c25",
    "5ea93a67294ea407fff1d09f752e9692",
    "942cd6a4bcdd0dd3c604fbe906cb4421",
    "ae636b3ba5c66a11e91e8cb52e771fcb",
    "53f37980c15c3d472c316c40844f3f0d",
    "803d5f7f4d78ea53de84dbe85f74fb6d",
)

CIFAR10 = NamedSet(
    name="cifar10",
    files=(
        DataFile(
            CIFAR_ARCHIVE,
            ("sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",),
            (
                f"https://cave.cs.toronto.edu/kriz/{CIFAR_ARCHIVE}",
                f"https://www.cs.toronto.edu/~kriz/{CIFAR_ARCHIVE}",
            ),
        ),
    ),
    unpacked=tuple(
        DataFile(name, (f"md5:{md5}",))
        for name, md5 in zip((*CIFAR_BATCHES["train"], *CIFAR_BATCHES["test"]), _CIFAR_MD5, strict=True)
    ),
    read=read_cifar10,
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    licence="none stated; its author asks for the citation",
    citation="Krizhevsky (2009). Learning multiple layers of features from tiny images. Technical report, University "
    "of Toronto",
)

_ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)


def _medmnist(name: str, md5: str, class_names: tuple[str, ...], licence: str = "CC BY 4.0") -> NamedSet:
    """A set of MedMNIST at 28×28, as of version 3: the three organ sets of earlier versions have other images."""
    return NamedSet(
        name=name,
        files=(
            DataFile(
                f"{name}.npz",
                (f"md5:{md5}",),
                (f"https://zenodo.org/records/10519652/files/{name}.npz?download=1",),
            ),
        ),
        read=read_medmnist,
        class_names=class_names,
        licence=licence,
        citation="Yang, Shi, Wei, Liu, Zhao, Ke, Pfister, Ni (2023). MedMNIST v2: a large-scale lightweight benchmark "
        "for 2D and 3D biomedical image classification. Scientific Data 10, 41; and the source that "
        "https://medmnist.com names for the set",
    )


MEDMNIST = (
    _medmnist(
        "pathmnist",
        "a8b06965200029087d5bd730944a56c1",
        (
            "adipose",
            "background",
            "debris",
            "lymphocytes",
            "mucus",
            "smooth muscle",
            "normal colon mucosa",
            "cancer-associated stroma",
            "colorectal adenocarcinoma epithelium",
        ),
    ),
    _medmnist(
        "dermamnist",
        "0744692d530f8e62ec473284d019b0c7",
        (
            "actinic keratoses and intraepithelial carcinoma",
            "basal cell carcinoma",
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ),
        licence="CC BY-NC 4.0",
    ),
    _medmnist(
        "octmnist",
        "c68d92d5b585d8d81f7112f81e2d0842",
        ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    ),
    _medmnist("pneumoniamnist", "28209eda62fecd6e6a2d98b1501bb15f", ("normal", "pneumonia")),
    _medmnist("retinamnist", "bd4c0672f1bba3e3a89f0e4e876791e4", ("0", "1", "2", "3", "4")),
    _medmnist("breastmnist", "750601b1f35ba3300ea97c75c52ff8f6", ("malignant", "normal, benign")),
    _medmnist(
        "bloodmnist",
        "7053d0359d879ad8a5505303e11de1dc",
        (
            "basophil",
            "eosinophil",
            "erythroblast",
            "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
            "lymphocyte",
            "monocyte",
            "neutrophil",
            "platelet",
        ),
    ),
    _medmnist(
        "tissuemnist",
        "ebe78ee8b05294063de985d821c1c34b",
        (
            "Collecting Duct, Connecting Tubule",
            "Distal Convoluted Tubule",
            "Glomerular endothelial cells",
            "Interstitial endothelial cells",
            "Leukocytes",
            "Podocytes",
            "Proximal Tubule Segments",
            "Thick Ascending Limb",
        ),
    ),
    _medmnist("organamnist", "68e3f8846a6bd62f0c9bf841c0d9eacc", _ORGANS),
    _medmnist("organcmnist", "b9ceb9546e10131b32923c5bbeaea2b1", _ORGANS),
    _medmnist("organsmnist", "9ab87b696fb54e2a387ebe992d6ed5f1", _ORGANS),
)

PUBLISHED = {known.name: known for known in (FASHION_MNIST, KMNIST, CIFAR10, *MEDMNIST)}
"""Every set by its name, MNIST left out: that one is in the package."""
