"""What can be tested of the GPU's engine without a GPU: which tensors a capture may use again. `meta` stands for it."""

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from ai.engines.graphed_engine import FromProcessor, GraphedEngine, make_compilable
from ai.engines.torch_engine import DetectorModule
from ai.rtdetr.model import detector
from ai.yolo26 import model as yolo26

THERE = torch.device("meta")


def forward(number: float) -> list[torch.Tensor]:
    there = torch.zeros(2, device=THERE)
    scale = torch.as_tensor([number, number], device=there.device)
    embedding = (torch.arange(3) * number).to(device=THERE, dtype=torch.float16)
    like = torch.ones(2).to(there)
    return [scale, embedding, like]


def test_an_index_made_on_the_processor_is_brought_over_once():
    table, here, carried = torch.zeros((4, 5), device=THERE), torch.arange(3), FromProcessor("meta")
    for use in (carried.take_notes, carried.hand_out):
        with use():
            assert table[here, torch.zeros(3, dtype=torch.long, device=THERE)].shape == (3,)
            assert table[here].shape == (3, 5)
            assert table[1:3, 0].shape == (2,)
    assert [one.device for one in carried.noted] == [THERE, THERE]


def test_what_was_brought_over_is_handed_out_again_in_the_same_order():
    carried = FromProcessor("meta")
    with carried.take_notes():
        first = forward(1.0)
    with carried.hand_out():
        again = forward(2.0)
    assert all(one is two for one, two in zip(first, again, strict=True))
    assert all(one is two for one, two in zip(first, carried.noted, strict=True))


def test_what_stays_where_it_is_is_left_alone():
    carried = FromProcessor("meta")
    with carried.take_notes():
        torch.as_tensor([1.0])
        torch.zeros(2).to(torch.float16)
        torch.zeros(2, device=THERE).to(THERE)
        torch.zeros(2, device=THERE).to(torch.float16)
    assert carried.noted == []


def test_each_free_run_takes_its_own_notes():
    carried = FromProcessor("meta")
    for _ in range(3):
        with carried.take_notes():
            latest = forward(1.0)
    assert len(carried.noted) == 3
    assert carried.noted[0] is latest[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_engine_says_so():
    with pytest.raises(RuntimeError, match="sees no GPU"):
        GraphedEngine(torch.nn.Identity(), detector().head, (1,))


def test_a_network_is_compiled_as_one_for_any_batch():
    """With a compiler that only counts. As it is, YOLO falls into dozens of parts, anew for every batch size."""
    yolo = yolo26.detector()
    module = DetectorModule(yolo.load_module(), yolo.head).eval()
    counter = CompileCounter()
    torch._dynamo.reset()
    with torch.inference_mode():
        make_compilable(module, torch.zeros((1, 3, 64, 64), dtype=torch.uint8))
        compiled = torch.compile(module, backend=counter)
        for size in (4, 2):
            pixels = torch.randint(0, 255, (size, 3, 64, 64), dtype=torch.uint8)
            torch._dynamo.maybe_mark_dynamic(pixels, 0)
            assert torch.equal(compiled(pixels), module(pixels))
    assert counter.frame_count == 1
