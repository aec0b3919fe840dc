"""Several processes stay in step through all that training does."""

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from tests.leaving import leave_group
from third_party.quantization.spec import Calibrate, Freeze, SetEnabled, Step, Unfreeze
from third_party.quantization.training import QuantTraining

from .models import float_net, image_batch, quantized_net
from .test_quant_training import EVERYTHING

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch.distributed is not built in")

SCHEDULE = (
    Step(1, SetEnabled(False), "conv2"),
    Step(2, SetEnabled(True), "conv2"),
    Step(3, Freeze()),
    Step(5, Unfreeze()),
    Step(6, Calibrate(2), "conv*"),
)


def _train(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    net = quantized_net()
    parallel = DistributedDataParallel(net)  # waits for the gradient of every parameter that had one at first
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    torch.manual_seed(5)
    training = QuantTraining(parallel, dataclasses.replace(EVERYTHING, schedule=SCHEDULE), optimizer, float_net())
    ranges = {}
    for iteration in range(10):
        training.before_step(iteration)
        optimizer.zero_grad()
        loss = parallel(image_batch(2 * iteration + rank)).square().sum()
        (loss + sum(training.extra_losses().values())).backward()
        optimizer.step()
        training.after_step(iteration)
        ranges[iteration] = {n: p.detach().clone() for n, p in net.named_parameters() if n.endswith("scale")}
    with training.evaluation([image_batch(70 + rank)]):
        evaluated = {name: value.clone() for name, value in net.state_dict().items()}
    torch.save((ranges, evaluated, training.resources()), f"{folder}/{rank}.pt")
    leave_group()


def test_processes_stay_in_step(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_train, (str(tmp_path),), nprocs=2)
    (ranges, evaluated, numbers), other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert numbers == other[2]
    assert all(torch.equal(value, other[1][name]) for name, value in evaluated.items())
    assert all(torch.equal(v, other[0][i][n]) for i, values in ranges.items() for n, v in values.items())

    def moved(first: int, second: int) -> set[str]:
        return {name.split(".")[0] for name in ranges[0] if not torch.equal(ranges[first][name], ranges[second][name])}

    assert moved(3, 4) == set(), "frozen before 3, released before 5"
    assert moved(4, 5) == {"conv1", "conv2", "fc"}
    assert moved(7, 9) == {"fc"}, "calibrated in 6 and 7, then frozen"
