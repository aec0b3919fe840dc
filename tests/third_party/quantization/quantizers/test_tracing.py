"""Quantizers in compiled and exported graphs, once they have their range."""

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from third_party.quantization.quantizers import build_quantizer
from third_party.quantization.spec import AQDSpec, LSQPlusSpec, MinMaxSpec, QuantSpec, Role

from .cases import Case, data, make, one_case_each


@one_case_each
def test_compiles_to_one_graph(case: Case) -> None:
    quantizer, x = make(*case), data(*case)
    quantizer(x)
    quantizer.eval()
    torch._dynamo.reset()
    compiled = torch.compile(quantizer, fullgraph=True, backend="aot_eager")
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    left, right = compiled(a), quantizer(b)
    assert torch.equal(left, right)
    left.square().sum().backward()
    right.square().sum().backward()
    torch.testing.assert_close(a.grad, b.grad)


@one_case_each
def test_exports(case: Case) -> None:
    quantizer, x = make(*case), data(*case)
    quantizer(x)
    layer = torch.nn.Sequential(quantizer, torch.nn.Identity()).eval()
    program = torch.export.export(layer, (x,))
    assert torch.equal(program.module()(x), layer(x))


@pytest.mark.parametrize("method", [AQDSpec, LSQPlusSpec, MinMaxSpec])
def test_one_graph_serves_all_image_sizes(method: type[QuantSpec]) -> None:
    quantizer = build_quantizer(method(bits=4), Role.ACTIVATION)
    images = [torch.randn(n, 3, 8 + n, 8, generator=torch.Generator().manual_seed(n)) for n in (2, 3, 5)]
    quantizer(images[0])
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(quantizer, fullgraph=True, dynamic=True, backend=counter)
    for x in images:
        gradients = []
        for function in (compiled, quantizer):
            quantizer.zero_grad()
            function(x.clone().requires_grad_()).square().sum().backward()
            gradients.append([parameter.grad for parameter in quantizer.parameters()])
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)
    assert counter.frame_count == 1
    layer = torch.nn.Sequential(quantizer, torch.nn.Identity()).eval()
    sizes = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
    program = torch.export.export(layer, (images[0],), dynamic_shapes=(sizes,))
    assert torch.equal(program.module()(images[2]), layer(images[2]))
