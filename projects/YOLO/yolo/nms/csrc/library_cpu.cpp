// CPU kernels of the operators whose schemas and fake kernels stand in operators.py.

#include <torch/csrc/stable/library.h>

#include "nms_cpu.h"

STABLE_TORCH_LIBRARY_IMPL(detectron2_yolo, CPU, library) {
  library.impl("nms_padded", TORCH_BOX(&yolo_nms::nms_padded_cpu));
}
