"""Names of the interface facts that this state of the package leaves for later, by pattern of their full name.

Patterns are regular expressions over ``module.name``; each must match something, so that the table cannot go stale.
"""

import re

LATER = {
    "LazyConfig": [
        r"detectron2\.config\.(lazy|instantiate)\..*",
        r".*\.(LazyConfig|LazyCall|instantiate|dump_dataclass|reload_lazy_config)",
    ],
    "Caffe2, TorchScript and ONNX export": [
        r"detectron2\.export\..*",
        r".*\.TracingAdapter",
        r"detectron2\.utils\.testing\.(convert_scripted_instances|reload_script_model|has_dynamic_axes)",
        r"detectron2\.utils\.testing\.(un)?register_custom_op_onnx_export",
        r"detectron2\.utils\.testing\.skipIfUnsupportedMinOpsetVersion",
    ],
    "keypoint head": [
        r"detectron2\.modeling\.roi_heads\.keypoint_head\..*",
        r".*[Kk]eypoint_?([Hh]ead|RCNN|rcnn).*",
        r".*\.(KRCNNConvDeconvUpsampleHead|ROI_KEYPOINT_HEAD_REGISTRY)",
        r"detectron2\.data\.datasets\.builtin_meta\.(COCO_PERSON_)?KEYPOINT_\w+",
    ],
    "cascade": [r"detectron2\.modeling\.roi_heads\.cascade_rcnn\..*", r".*\.CascadeROIHeads"],
    "rotated boxes": [
        r".*[Rr]otated.*",
        r".*\.(RRPN|RROIHeads)",
        r"detectron2\.modeling\.proposal_generator\.rrpn\..*",
    ],
    "semantic and panoptic segmentation": [
        r"detectron2\.modeling\.meta_arch\.(semantic_seg|panoptic_fpn)\..*",
        r".*\.(SemanticSegmentor|PanopticFPN|SemSegFPNHead|build_sem_seg_head|SEM_SEG_HEADS_REGISTRY)",
        r".*\.combine_semantic_and_instance_outputs",
    ],
    "further backbones": [
        r"detectron2\.modeling\.backbone\.(mvit|regnet|swin|vit|utils)\..*",
        r".*\.(MViT|SwinTransformer|ViT|SimpleFeaturePyramid|RegNet|get_vit_lr_decay_rate)",
    ],
    "test-time augmentation": [r".*\.test_time_augmentation\..*", r".*\.(GeneralizedRCNNWithTTA|DatasetMapperTTA)"],
    "mmdet wrapper": [r".*\.mmdet_wrapper\..*", r".*\.MMDet\w+"],
    "further data sets and evaluators": [
        r"detectron2\.data\.datasets\.(cityscapes\w*|coco_panoptic|lvis\w*|pascal_voc)\..*",
        r"detectron2\.evaluation\.(cityscapes|lvis|panoptic|pascal_voc|sem_seg)_evaluation\..*",
        r".*\.(COCOPanopticEvaluator|LVISEvaluator|SemSegEvaluator|Cityscapes\w+Evaluator|PascalVOCDetectionEvaluator)",
        r"detectron2\.data\.datasets(\.builtin|\.builtin_meta)?\..*([Pp]anoptic|PANOPTIC|cityscapes|CITYSCAPES|lvis|LVIS).*",
        r"detectron2\.data\.datasets(\.builtin|\.builtin_meta)?\..*(ade20k|ADE20K|pascal_voc|load_voc|separated|load_sem_seg).*",
    ],
    "tracking": [r"detectron2\.tracking\..*"],
    "projects": [r"detectron2\.projects\..*"],
    "the original's compiled module": [r"detectron2\._C\..*"],
    "not part of Detectron2 0.6": [r"detectron2\.fb\..*", r".*\.(FastRCNNOutputs|augment_image)"],
    "__future__ imports": [r".*\.(absolute_import|division|print_function|unicode_literals)"],
}


def reason_for(name: str) -> str | None:
    """Why a full name is left for later, or None when it is due."""
    return next((why for why, rules in LATER.items() if any(re.fullmatch(r, name) for r in rules)), None)


def unused_patterns(names: list[str]) -> list[str]:
    """Patterns that match none of the names."""
    return [r for rules in LATER.values() for r in rules if not any(re.fullmatch(r, name) for name in names)]
