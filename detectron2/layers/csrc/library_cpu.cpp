// Schemas of the native operators and their CPU kernels. Fake kernels and autograd are registered from Python.
//
// Parameters: the boxes are rows of (image index, x0, y0, x1, y1); batch, channels, height and width are the
// shape of the features, which the backward pass does not see.

#include <torch/csrc/stable/library.h>

#include "roi_align/roi_align_cpu.h"

STABLE_TORCH_LIBRARY(detectron2, library) {
  library.def(
      "roi_align_forward(Tensor input, Tensor rois, float spatial_scale, int pooled_h, int pooled_w, "
      "int sampling_ratio, bool aligned) -> Tensor");
  library.def(
      "roi_align_backward(Tensor grad, Tensor rois, float spatial_scale, int pooled_h, int pooled_w, int batch, "
      "int channels, int height, int width, int sampling_ratio, bool aligned) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(detectron2, CPU, library) {
  library.impl("roi_align_forward", TORCH_BOX(&detectron2::roi_align_forward_cpu));
  library.impl("roi_align_backward", TORCH_BOX(&detectron2::roi_align_backward_cpu));
}
