"""Quantizers in compiled and exported graphs, once they have their range."""

import torch

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
