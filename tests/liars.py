"""Servers that speak Triton's protocols and say whatever a test wants, true or not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import numpy as np
from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc import service_pb2 as pb

from ai.core.spec import DetectorSpec
from tests.scripted import BOX, SIZE, SPEC

Handler = Callable[[bytes, dict[str, str]], Awaitable[bytes]]

ENCODED, PIXELS = "encoded", "pixels"


def configuration(model: str) -> model_config_pb2.ModelConfig:
    """The honest one, of a model that takes encoded pictures or of one that takes pixels."""
    config = model_config_pb2.ModelConfig(name=model, max_batch_size=8)
    if model == ENCODED:
        config.input.add(name="image", data_type="TYPE_UINT8", dims=[-1])
        config.output.add(name="detections", data_type="TYPE_FP32", dims=[SPEC.max_detections, 6])
        config.output.add(name="image_size", data_type="TYPE_INT32", dims=[2])
    else:
        config.input.add(name="images", data_type="TYPE_UINT8", dims=[3, SPEC.input_height, SPEC.input_width])
        config.output.add(name="rows", data_type="TYPE_FP32", dims=[SPEC.max_detections, 6])
    config.parameters["detector"].string_value = json.dumps(SPEC.to_table())
    return config


def metadata(model: str) -> pb.ModelMetadataResponse:
    return pb.ModelMetadataResponse(name=model, versions=["1"], platform="liar")


def answer(model: str = ENCODED) -> pb.ModelInferResponse:
    """The honest one, with one box."""
    rows = np.full((1, SPEC.max_detections, 6), -1, np.float32)
    rows[0, 0] = BOX if model == ENCODED else [10, 20, 50, 60, 0.75, 1]
    response = pb.ModelInferResponse(model_name=model, model_version="1")
    response.outputs.add(name="detections" if model == ENCODED else "rows", datatype="FP32", shape=rows.shape)
    response.raw_output_contents.append(rows.tobytes())
    if model == ENCODED:
        response.outputs.add(name="image_size", datatype="INT32", shape=[1, 2])
        response.raw_output_contents.append(np.array([SIZE], np.int32).tobytes())
    return response


class GrpcLiar:
    """Answers ModelInfer with the bytes of `answer`, or with `status`; describes its models as `config` says."""

    def __init__(self) -> None:
        self.answered = 0
        self.tell_the_truth()

    def tell_the_truth(self) -> None:
        self.answer: bytes | None = None
        self.status: tuple[grpc.StatusCode, str] | None = None
        self.config: bytes | None = None
        self.metadata: bytes | None = None
        self.asked = pb.ModelInferRequest()
        self.headers: dict[str, str] = {}

    def say(self, response: pb.ModelInferResponse) -> None:
        self.answer = response.SerializeToString()

    async def start(self) -> str:
        self.server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(getattr(self, f"_{name}"))
            for name in ("ModelInfer", "ModelConfig", "ModelMetadata")
        }
        service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers)
        self.server.add_generic_rpc_handlers((service,))
        port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        return f"127.0.0.1:{port}"

    async def stop(self) -> None:
        await self.server.stop(None)

    async def _ModelInfer(self, request: bytes, context: Any) -> bytes:
        self.answered += 1
        self.asked = pb.ModelInferRequest.FromString(request)
        self.headers = dict(context.invocation_metadata())
        if self.status is not None:
            await context.abort(*self.status)
        return self._honest().SerializeToString() if self.answer is None else self.answer

    def _honest(self) -> pb.ModelInferResponse:
        response = answer(self.asked.model_name)
        response.id = self.asked.id
        return response

    async def _ModelConfig(self, request: bytes, context: Any) -> bytes:
        model = pb.ModelConfigRequest.FromString(request).name
        honest = pb.ModelConfigResponse(config=configuration(model))
        return honest.SerializeToString() if self.config is None else self.config

    async def _ModelMetadata(self, request: bytes, context: Any) -> bytes:
        model = pb.ModelMetadataRequest.FromString(request).name
        return metadata(model).SerializeToString() if self.metadata is None else self.metadata


class HttpLiar:
    """Answers infer with the raw bytes of `reply`, a whole HTTP response or what passes for one."""

    def __init__(self) -> None:
        self.tell_the_truth()

    def tell_the_truth(self) -> None:
        self.reply: bytes | None = None
        self.drip_s = 0.0  # between two bytes
        self.config: bytes | None = None
        self.metadata: bytes | None = None
        self.asked: dict[str, Any] = {}
        self.headers: dict[str, str] = {}

    def say(self, response: pb.ModelInferResponse) -> None:
        self.reply = http_reply(response)

    async def start(self) -> str:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path, headers, body = await _read(reader)
            await self._write(writer, self._answer(path, headers, body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        model = path.split("/")[3]
        if path.endswith("/infer"):
            self.headers = headers
            self.asked = json.loads(body[: int(headers["inference-header-content-length"])])
            honest = answer(model)
            honest.id = self.asked.get("id", "")
            return http_reply(honest) if self.reply is None else self.reply
        if path.endswith("/config"):
            honest = MessageToDict(configuration(model), preserving_proto_field_name=True)
            return http(json.dumps(honest).encode() if self.config is None else self.config)
        honest = MessageToDict(metadata(model), preserving_proto_field_name=True)
        return http(json.dumps(honest).encode() if self.metadata is None else self.metadata)

    async def _write(self, writer: asyncio.StreamWriter, reply: bytes) -> None:
        if not self.drip_s:
            writer.write(reply)
            await writer.drain()
            return
        for byte in reply:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(self.drip_s)


async def _read(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return head[0].split()[1], headers, body


def http(body: bytes, status: str = "200 OK", **headers: object) -> bytes:
    named = {"Content-Length": len(body), "Connection": "close", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + body


def http_reply(response: pb.ModelInferResponse, **headers: object) -> bytes:
    """The same answer as KServe's binary extension says it."""
    contents = [*response.raw_output_contents]
    outputs = [
        {
            "name": output.name,
            "datatype": output.datatype,
            "shape": list(output.shape),
            "parameters": {"binary_data_size": len(contents[index]) if index < len(contents) else 4},
        }
        for index, output in enumerate(response.outputs)
    ]
    words = {"model_version": response.model_version, "outputs": outputs}
    head = json.dumps(words | ({"id": response.id} if response.id else {})).encode()
    return http(head + b"".join(contents), **{"Inference_Header_Content_Length": len(head), **headers})


def spec_of(**fields: Any) -> DetectorSpec:
    return DetectorSpec.from_table({**SPEC.to_table(), **fields})
