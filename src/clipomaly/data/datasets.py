"""Every data set by name, and how one is opened: sorted samples, read when they are asked for.

Nothing is downloaded. A reader that does not find its folder's parts says which, and where they come from.
The readers stand in `road`, `driving`, `defects` and `own`; labels in one convention, see `samples`.
"""

from __future__ import annotations

from pathlib import Path

from clipomaly.data import defects, driving, own, road
from clipomaly.data.driving import CITYSCAPES_TRAIN_IDS
from clipomaly.data.samples import IGNORE, DataSet, Sample, SplitError, read_label
from clipomaly.data.sources import natural_key
from clipomaly.errors import DataError

__all__ = ["CITYSCAPES_TRAIN_IDS", "DATASETS", "IGNORE", "DataSet", "Sample", "open_dataset", "read_label"]


def open_dataset(name: str, folder: str | Path | None = None, split: str | None = None) -> list[Sample]:
    """The samples of a data set, sorted; `split` where the set has several (all of it otherwise).

    Without a folder, those that come with the package:

    >>> len(open_dataset("proving-ground", split="apron")) > 0
    True
    """
    if name not in DATASETS:
        raise DataError(f"unknown data set {name!r}: use one of {', '.join(DATASETS)}")
    dataset = DATASETS[name]
    if folder is None:
        if dataset.bundled is None:
            raise DataError(f"data set {name} does not come with the package: name its folder with --root")
        place, usual = dataset.bundled
        folder, split = Path(__file__).parents[1] / place, split or usual
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"data set {name}: {folder} is not a folder. Get it from: {dataset.source}")
    try:
        samples = dataset.read(folder, split)
    except SplitError as error:
        raise SplitError(f"data set {name}: {error}") from error
    except DataError as error:
        raise DataError(f"data set {name}: {error}. Get it from: {dataset.source}") from error
    return sorted(samples, key=lambda s: natural_key(s.name))


def _inspection(folder: Path, split: str | None) -> list[Sample]:
    """Inspection pictures; a split such as `1,2` keeps those whose masks show only these defects."""
    from clipomaly.data.industrial import inspection_samples

    if split is not None and not all(part.isdecimal() for part in split.split(",")):
        raise SplitError(f"there is no split {split!r}; give mask values such as 1,2")
    return inspection_samples(folder, map(int, split.split(",")) if split else ())


_SMIYC = "the project SegmentMeIfYouCan (Chan et al., 2021)"
_FISHYSCAPES = "the benchmark Fishyscapes (Blum et al., 2021)"

#: Every data set by name.
DATASETS: dict[str, DataSet] = {
    "road-anomaly": DataSet(
        "RoadAnomaly: 60 frames, masks of anomalies",
        "anomaly",
        road.road_anomaly,
        "the project page of Detecting the Unexpected via Image Resynthesis (Lis et al., 2019), RoadAnomaly",
    ),
    "anomaly-track": DataSet(
        "SegmentMeIfYouCan AnomalyTrack", "anomaly", road.masks, f"{_SMIYC}, dataset_AnomalyTrack"
    ),
    "obstacle-track": DataSet(
        "SegmentMeIfYouCan ObstacleTrack",
        "anomaly",
        road.masks,
        f"{_SMIYC}, dataset_ObstacleTrack",
        small=True,
    ),
    "fishyscapes": DataSet(
        "Fishyscapes Lost & Found, 100 frames; and others laid out as images/ and labels_masks/",
        "anomaly",
        road.fishyscapes,
        f"{_FISHYSCAPES}, fishyscapes_lostandfound.zip; its images from the Lost and Found data set",
    ),
    "fishyscapes-static": DataSet(
        "Fishyscapes Static: things pasted into Cityscapes",
        "anomaly",
        road.fishyscapes_static,
        f"{_FISHYSCAPES}, fs_val_v3.zip; its pictures from Cityscapes, leftImg8bit/val",
    ),
    "lost-and-found": DataSet(
        "Lost and Found: small obstacles on the road",
        "anomaly",
        road.lost_and_found,
        "the Lost and Found data set (Pinggera et al., 2016): leftImg8bit.zip and gtCoarse.zip",
        small=True,
    ),
    "street-hazards": DataSet(
        "StreetHazards: rendered towns with unknown things",
        "anomaly",
        road.street_hazards,
        "the repository anomaly-seg of Hendrycks et al. (2019): streethazards_test.tar",
    ),
    "bdd-anomaly": DataSet(
        "BDD-Anomaly: BDD100K with motorcycle, train and bicycle as the unknown",
        "anomaly",
        road.bdd_anomaly,
        "BDD100K (Yu et al., 2020), semantic segmentation; the split of Hendrycks et al. (2019)",
        unknown=("motorcycle", "train", "bicycle"),
    ),
    "names": DataSet(
        "Pictures whose file names say what is in them",
        "pictures",
        own.named,
        "your own folder of pictures called NAME0001.jpg",
    ),
    "camvid": DataSet(
        "CamVid, 11 classes",
        "classes",
        driving.camvid,
        "the SegNet tutorial's CamVid folder (Brostow et al., 2009; Badrinarayanan et al., 2017)",
        "camvid",
    ),
    "cityscapes": DataSet(
        "Cityscapes, 19 classes",
        "classes",
        driving.cityscapes,
        "the Cityscapes project (Cordts et al., 2016): leftImg8bit_trainvaltest and gtFine_trainvaltest",
        "cityscapes",
    ),
    "mapillary": DataSet(
        "Mapillary Vistas 1.2 and 2.0, read as the classes of Cityscapes",
        "classes",
        driving.mapillary,
        "Mapillary Vistas (Neuhold et al., 2017), research edition",
        "cityscapes",
    ),
    "mvtec": DataSet(
        "MVTec AD: objects and textures with defects",
        "defects",
        defects.mvtec,
        "MVTec AD (Bergmann et al., 2019), mvtec_anomaly_detection",
    ),
    "mpdd": DataSet(
        "MPDD: painted metal parts",
        "defects",
        defects.mvtec,
        "MPDD (Jezek et al., 2021), the layout of MVTec AD",
    ),
    "btad": DataSet(
        "BTAD: three industrial products",
        "defects",
        defects.btad,
        "beanTech AD (Mishra et al., 2021), BTech_Dataset_transformed",
    ),
    "visa": DataSet(
        "VisA: twelve objects with defects",
        "defects",
        defects.visa,
        "the repository spot-diff of Zou et al. (2022): VisA_20220922.tar with its split_csv/",
    ),
    "neu-seg": DataSet(
        "NEU-Seg: steel surfaces, three kinds of defects",
        "defects",
        defects.neu_seg,
        "NEU-Seg (Dong et al., 2020): images/ and annotations/",
    ),
    "magnetic-tile": DataSet(
        "Magnetic tile defects: five kinds, and tiles without",
        "defects",
        defects.magnetic_tile,
        "the repository Magnetic-tile-defect-datasets (Huang et al., 2018)",
    ),
    "allo": DataSet(
        "ALLO: anomalies on a station in lunar orbit",
        "defects",
        defects.allo,
        "ALLO (Leveugle et al., arXiv 2409.20435), brought into images/ and masks/",
    ),
    "inspection": DataSet(
        "Industrial inspection: pictures with masks of defects",
        "defects",
        _inspection,
        "your own images/ and masks/, or MVTec AD, VisA and others with their meta.json",
    ),
    "proving-ground": DataSet(
        "Rendered roads and aprons with exact truth",
        "open",
        own.proving_ground,
        "`clipomaly world render`",
        bundled=("proving_ground", "road"),
    ),
    "folder": DataSet(
        "Any folder of pictures, with masks beside images/ or without",
        "anomaly",
        own.folder_of,
        "your own pictures, as images/NAME.jpg beside masks/NAME.png (without loss: no JPEG)",
    ),
}
