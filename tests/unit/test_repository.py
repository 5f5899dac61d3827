"""The model repository: what is built says the right thing, only what changed is built, and nothing half."""

import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from ai.core.spec import Serving
from ai.engines.onnxruntime_engine import OnnxRuntimeEngine
from ai.engines.openvino_engine import OpenVinoEngine
from ai.engines.quantize import CannotCalibrate, pictures_in
from ai.triton import repository
from ai.triton.building import tensorrt
from ai.triton.building.catalogue import built_in
from ai.triton.building.tuning import CannotTune
from ai.triton.building.words import ALSO, BUILD_ENGINES
from ai.triton.repository import CannotBuild, Options, build
from ai.triton.stored import versions
from ai.triton.stored.config import DETECTOR, config_text, read_config
from ai.triton.stored.served import NotServable, Served
from tests.tiny import A_DOG, SPEC, broken_source, tiny_source


def built(folder, source=None, **options):
    return build(folder, {"tiny": source or tiny_source(folder)}, Options(**options), lambda _: None)


def quiet(_):
    pass


# --- configurations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [engine for engine in BUILD_ENGINES if engine != "torch"])
def test_every_configuration_is_a_model_config(tmp_path, engine):
    also = tuple(set(ALSO) - {"raw"}) if engine == "tensorrt" else ALSO
    models = built(tmp_path, engine=engine, also=also, bounded_queue=True)
    assert {"tiny_jpeg", "tiny_jpeg_streaming", "tiny_jpeg_batch", "tiny"} == {one.model for one in models}
    for one in models:
        config = read_config(tmp_path / one.model / "config.pbtxt")
        assert config.name == one.model
        queue = config.dynamic_batching.default_queue_policy
        assert queue.max_queue_size > 0
        assert queue.default_timeout_microseconds > 0
        assert config.dynamic_batching.priority_levels == (0 if "streaming" in one.model else 2)
        warmed = {sample.batch_size for sample in config.model_warmup}
        is_front = engine == "tensorrt" and "jpeg" in one.model
        assert warmed == (set() if is_front else {1, *config.dynamic_batching.preferred_batch_size})
        for sample in config.model_warmup:
            for tensor in sample.inputs.values():
                picture = tmp_path / one.model / "warmup" / tensor.input_data_file
                assert picture.stat().st_size == np.prod(tensor.dims)
        assert '"labels": ["cat", "dog"]' in config.parameters[DETECTOR].string_value


def test_no_queue_has_a_policy_unless_it_is_asked_for(tmp_path):
    """Any policy makes Triton 2.51 let a request lie for half a second now and then."""
    built(tmp_path, also=ALSO)
    for path in tmp_path.glob("*/config.pbtxt"):
        batching = read_config(path).dynamic_batching
        assert not batching.HasField("default_queue_policy")
        assert batching.priority_levels == 0
        assert list(batching.preferred_batch_size)


def test_a_typo_in_a_configuration_is_found_here_not_at_load(tmp_path):
    built(tmp_path)
    path = tmp_path / "tiny_jpeg" / "config.pbtxt"
    path.write_text(path.read_text().replace("max_batch_size", "max_bach_size"))
    with pytest.raises(text_format.ParseError, match="max_bach_size"):
        read_config(path)


def test_the_tiers_differ_where_they_should(tmp_path):
    built(tmp_path, also=("tiers",))
    streaming, batch = (
        read_config(tmp_path / f"tiny_jpeg_{tier}" / "config.pbtxt") for tier in ("streaming", "batch")
    )
    assert (streaming.max_batch_size, streaming.dynamic_batching.max_queue_delay_microseconds) == (8, 100)
    assert streaming.dynamic_batching.preserve_ordering
    assert (batch.max_batch_size, batch.dynamic_batching.max_queue_delay_microseconds) == (128, 5000)


def test_no_tier_asks_more_of_a_network_than_it_can_take(tmp_path):
    spec = replace(SPEC, serving=Serving(max_batch=1))
    built(tmp_path, tiny_source(tmp_path, spec=spec), also=("tiers",))
    for path in tmp_path.glob("*/config.pbtxt"):
        assert read_config(path).max_batch_size == 1


def test_what_the_spec_says_of_serving_goes_before_the_engine_s_habits(tmp_path):
    spec = replace(SPEC, serving=Serving(instances=3, max_batch=2, queue_delay_ms=30))
    built(tmp_path, tiny_source(tmp_path, spec=spec))
    config = read_config(tmp_path / "tiny_jpeg" / "config.pbtxt")
    assert config.instance_group[0].count == 3
    assert config.max_batch_size == 2
    assert list(config.dynamic_batching.preferred_batch_size) == [2]
    assert config.dynamic_batching.max_queue_delay_microseconds == 30_000


def test_whoever_builds_may_ask_for_more_instances_than_the_spec_does(tmp_path):
    built(tmp_path, also=("tensors", "tiers"), instances=2)
    configs = [read_config(path) for path in tmp_path.glob("tiny*/config.pbtxt")]
    assert [config.instance_group[0].count for config in configs] == [2] * 4


@pytest.mark.parametrize(
    ("options", "encoded"),
    [(Options("torch"), 4), (Options("torch", decode="cpu"), 1), (Options("torch", instances=2), 2)],
    ids=["usually", "decoded on the processor", "as asked for"],
)
def test_what_shares_a_network_on_a_gpu_has_four_instances(options, encoded):
    """What takes pixels shares none: each further instance would cost the network's memory."""
    asked = replace(options, also=("tensors", "raw", "tiers"))
    plans = [one.plan for one in repository._models("yolo26", built_in("yolo26"), asked)]
    counts = {
        plan.name: text_format.Parse(config_text(plan, [300, 6]), ModelConfig()).instance_group[0].count
        for plan in plans
    }
    jpeg, pixels = ("yolo26_jpeg", "yolo26_jpeg_batch", "yolo26_jpeg_streaming"), ("yolo26", "yolo26_raw")
    assert counts == dict.fromkeys(jpeg, encoded) | dict.fromkeys(pixels, options.instances or 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_what_cannot_be_compiled_for_a_gpu_is_told_in_torch_s_words_and_is_no_version(tmp_path):
    with pytest.raises(CannotTune, match="sees no GPU"):
        build(tmp_path, {"rtdetr": built_in("rtdetr")}, Options("torch", tuned=True), quiet)
    assert versions.numbers(tmp_path / "rtdetr_jpeg") == []


def test_what_was_compiled_for_one_model_of_a_network_is_where_the_next_begins(tmp_path, monkeypatch):
    """What compiles is a script here: it needs a GPU."""
    script = tmp_path / "bin" / "python"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\nmkdir -p "$3/tuned" && echo kernel >> "$3/tuned/graph"\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    models = tmp_path / "models"
    tuned = Options("torch", tuned=True)
    [jpeg] = build(models, {"rtdetr": built_in("rtdetr")}, tuned, quiet)
    build(models, {"yolo26": built_in("yolo26")}, tuned, quiet)
    [again] = build(models, {"rtdetr": built_in("rtdetr")}, replace(tuned, instances=2), quiet)
    kernels = {
        str(path.parents[1].relative_to(models)): path.read_text() for path in models.glob("*/*/tuned/graph")
    }
    assert kernels == {
        f"rtdetr_jpeg/{jpeg.version}": "kernel\n",
        "yolo26_jpeg/1": "kernel\n",
        f"rtdetr_jpeg/{again.version}": "kernel\n" * 2,
    }


def test_the_torch_engine_needs_a_network(tmp_path):
    with pytest.raises(CannotBuild, match="tiny is a graph alone"):
        built(tmp_path, engine="torch")


def test_for_the_torch_engine_a_version_holds_weights_and_the_network_s_own_spec(tmp_path):
    [one, *_] = build(tmp_path, {"rtdetr": built_in("rtdetr")}, Options("torch"), quiet)
    config = read_config(tmp_path / "rtdetr_jpeg" / "config.pbtxt")
    assert config.instance_group[0].kind == config.instance_group[0].KIND_GPU
    served = Served.load(tmp_path / "rtdetr_jpeg" / str(one.version))
    assert (served.family, served.head.box_format, served.spec.box_format) == (
        "rtdetr",
        "cxcywh-unit",
        "xyxy-pixels",
    )
    assert served.batch_sizes == (1, 2, 4, 8, 16, 32)


def test_an_unknown_engine_is_named_with_those_that_there_are(tmp_path):
    with pytest.raises(CannotBuild, match="'tflite': allowed are openvino"):
        built(tmp_path, engine="tflite")


# --- versions ---------------------------------------------------------------------------------------------


def test_only_what_changed_is_built(tmp_path):
    assert [(one.version, one.changed) for one in built(tmp_path)] == [(1, True)]
    assert [(one.version, one.changed) for one in built(tmp_path)] == [(1, False)]
    assert [(one.version, one.changed) for one in built(tmp_path, tiny_source(tmp_path, A_DOG))] == [
        (2, True)
    ]
    assert [(one.version, one.changed) for one in built(tmp_path, engine="onnxruntime")] == [(3, True)]


def test_more_models_do_not_change_those_that_there_are(tmp_path):
    built(tmp_path)
    assert {one.model for one in built(tmp_path, also=ALSO) if not one.changed} == {"tiny_jpeg"}
    assert not any(one.changed for one in built(tmp_path))


def test_what_a_file_holds_counts_not_what_it_is_called(tmp_path):
    engine = tmp_path / "tiny.engine"
    versions_built = []
    for content in (b"one", b"one", b"two"):
        engine.write_bytes(content)
        [_, plan] = built(tmp_path / "models", engine="tensorrt", compiled=engine)
        versions_built.append(plan.version)
    assert versions_built == [1, 1, 2]


def test_weights_that_are_only_a_name_are_asked_for(tmp_path):
    source = replace(built_in("yolo26"), weights=tmp_path / "yolo26m.pt")
    with pytest.raises(CannotBuild, match=r"yolo26m\.pt is a name"):
        build(tmp_path, {"yolo26": source}, Options("torch"), quiet)


def test_a_graph_is_exported_once_for_all_models_that_hold_it(tmp_path):
    source, calls = tiny_source(tmp_path), []

    def write(path):
        calls.append(path)
        source.write_onnx(path)

    built(tmp_path, replace(source, write_onnx=write), also=("tensors", "tiers"))
    built(tmp_path, replace(source, write_onnx=write), also=("tensors", "tiers"))
    assert len(calls) == 1


def test_a_build_that_fails_leaves_the_old_version_and_nothing_else(tmp_path):
    built(tmp_path)
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))

    def fail(path):
        path.write_bytes(b"half of a gra")
        raise RuntimeError("the disk is full")

    source = replace(tiny_source(tmp_path, A_DOG), write_onnx=fail)
    with pytest.raises(RuntimeError, match="disk"):
        built(tmp_path, source)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_what_a_killed_build_left_is_no_version_and_is_swept(tmp_path):
    built(tmp_path)
    model = tmp_path / "tiny_jpeg"
    (model / ".2.part").mkdir()
    (model / ".2.part" / "model.onnx").write_bytes(b"half")
    assert versions.numbers(model) == [1]
    assert built(tmp_path, tiny_source(tmp_path, A_DOG))[0].version == 2
    assert not list(model.glob(".*.part"))


def test_what_lies_on_a_killed_build_s_bench_is_not_taken(tmp_path):
    source = tiny_source(tmp_path)
    left_over = tmp_path / ".workshop-killed" / source.fingerprint / "model.onnx"
    left_over.parent.mkdir(parents=True)
    left_over.write_bytes(b"int8, or half of it")
    built(tmp_path, source)
    assert (tmp_path / "tiny_jpeg" / "1" / "model.onnx").read_bytes() != b"int8, or half of it"
    assert not list(tmp_path.glob(".workshop*"))


def test_two_builds_at_once_do_not_meet(tmp_path):
    source = tiny_source(tmp_path)

    def write(path):
        with pytest.raises(CannotBuild, match="another build"):
            built(tmp_path, tiny_source(tmp_path, A_DOG))
        source.write_onnx(path)

    assert built(tmp_path, replace(source, write_onnx=write))[0].version == 1


def test_a_build_killed_before_its_configuration_stood_is_healed_by_the_next(tmp_path):
    built(tmp_path)
    config = tmp_path / "tiny_jpeg" / "config.pbtxt"
    wanted = config.read_text()
    for damage in (lambda: config.write_text("of the version before"), config.unlink):
        damage()
        assert not built(tmp_path)[0].changed
        assert config.read_text() == wanted


def test_two_versions_are_kept(tmp_path):
    for score in (0.5, 0.6, 0.7, 0.8):
        built(tmp_path, tiny_source(tmp_path, [(1, 1, 9, 9, score, 0)]))
    assert versions.numbers(tmp_path / "tiny_jpeg") == [3, 4]


def test_a_version_set_aside_takes_its_configuration_with_it(tmp_path):
    model = tmp_path / "tiny_jpeg"
    built(tmp_path)
    config = (model / "config.pbtxt").read_text()
    built(tmp_path, tiny_source(tmp_path, spec=replace(SPEC, labels=("fox", "owl"))))
    assert (model / "config.pbtxt").read_text() != config
    assert versions.set_aside(model, 2).name == "failed-2-1"
    assert versions.numbers(model) == [1]
    assert (model / "config.pbtxt").read_text() == config
    assert built(tmp_path, broken_source())[0].version == 3, "a number that failed is not used again"


def test_a_version_says_what_it_was_built_from(tmp_path):
    source = tiny_source(tmp_path)
    built(tmp_path, source)
    served = Served.load(tmp_path / "tiny_jpeg" / "1")
    assert (served.spec, served.source, served.engine) == (SPEC, source.fingerprint, "openvino")
    (tmp_path / "tiny_jpeg" / "1" / "served.json").write_text("{}")
    with pytest.raises(NotServable, match="cannot be read"):
        Served.load(tmp_path / "tiny_jpeg" / "1")


# --- engines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [OpenVinoEngine, OnnxRuntimeEngine])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_an_engine_answers_each_picture_of_a_batch(tmp_path, engine, count):
    """The yellow pages: a graph that answers every picture's own mean, so that a mixed-up order is seen."""
    path = tmp_path / "mean.onnx"
    tiny_source(tmp_path).write_onnx(path)
    model = onnx.load(str(path))
    model.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.ones(1, np.float32), "zero"))
    onnx.save(model, str(path))
    pixels = np.zeros((count, 3, 64, 64), np.uint8) + np.arange(count, dtype=np.uint8)[:, None, None, None]
    answers = engine(path, threads=2).infer(pixels)
    assert answers.shape == (count, 10, 6)
    np.testing.assert_allclose(answers[:, 5, 0], np.arange(count), atol=1e-4)


def test_calibrating_needs_pictures(tmp_path):
    with pytest.raises(CannotCalibrate, match="holds 0 pictures"):
        pictures_in(tmp_path)


# --- TensorRT: written here, compiled in NVIDIA's container -----------------------------------------------


def test_a_front_hands_on_no_more_than_its_plan_takes(tmp_path):
    spec = replace(SPEC, serving=Serving(max_batch=32))
    built(tmp_path, tiny_source(tmp_path, spec=spec), engine="tensorrt", also=("tiers",))
    assert read_config(tmp_path / "tiny" / "config.pbtxt").max_batch_size == 32
    assert "--maxShapes=images:32x3x64x64" in (tmp_path / "tiny" / "1" / "build_plan.sh").read_text()
    for front in ("tiny_jpeg", "tiny_jpeg_batch"):
        assert Served.load(tmp_path / front / "1").batch_sizes[-1] == 32
    with pytest.raises(CannotBuild, match="raw"):
        built(tmp_path, engine="tensorrt", also=("raw",))


def test_the_container_gets_a_graph_the_call_that_compiles_it_and_a_front_that_decodes(tmp_path):
    built(tmp_path, engine="tensorrt")
    config = read_config(tmp_path / "tiny" / "config.pbtxt")
    assert config.platform == "tensorrt_plan"
    assert config.max_batch_size == 8
    script = (tmp_path / "tiny" / "1" / "build_plan.sh").read_text()
    for size, profile in ((1, "min"), (4, "opt"), (8, "max")):
        assert f"--{profile}Shapes=images:{size}x3x64x64" in script
    assert "--workspace" not in script, "gone in TensorRT 10"
    front = Served.load(tmp_path / "tiny_jpeg" / "1")
    assert (front.engine, front.tensor_model) == ("bls", "tiny")


ENGINE = bytes(range(200, 256)) * 4


def test_the_header_that_ultralytics_writes_is_stripped():
    header = b'{"stride": 32}'
    assert tensorrt.strip_header(len(header).to_bytes(4, "little") + header + ENGINE) == ENGINE
    assert tensorrt.strip_header(ENGINE) == ENGINE
    assert tensorrt.strip_header(b"\x0e\x00\x00\x00{" + ENGINE) == b"\x0e\x00\x00\x00{" + ENGINE
    with pytest.raises(tensorrt.NotAnEngine, match="no engine behind it"):
        tensorrt.strip_header(len(header).to_bytes(4, "little") + header)


def test_an_engine_of_ultralytics_is_taken_without_its_header(tmp_path):
    header = b'{"stride": 32}'
    given = tmp_path / "yolo26m.engine"
    given.write_bytes(len(header).to_bytes(4, "little") + header + ENGINE)
    built(tmp_path, engine="tensorrt", compiled=given)
    assert (tmp_path / "tiny" / "1" / "model.plan").read_bytes() == ENGINE
