// CPU kernels of the operators whose schemas, fake kernels and autograd stand in operators.py and histogram.py.

#include <torch/csrc/stable/library.h>

#include "fake_quantize_cpu.h"
#include "histogram_cpu.h"

STABLE_TORCH_LIBRARY_IMPL(third_party_quantization, CPU, library) {
  library.impl("fake_quantize", TORCH_BOX(&quantization::fake_quantize_cpu));
  library.impl("fake_quantize_backward", TORCH_BOX(&quantization::fake_quantize_backward_cpu));
  library.impl("add_to_histogram", TORCH_BOX(&quantization::add_to_histogram_cpu));
}
