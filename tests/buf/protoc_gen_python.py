"""A protoc plugin: python messages, their types and gRPC stubs, by the protoc inside grpcio-tools.

Python's module `grpc` is grpcio's own, so what a package such as `grpc.multiplexer.v1` generates could never be
imported. Files below `grpc/` are therefore generated one folder up: `from multiplexer.v1 import discovery_pb2`. Names
on the wire do not change.
"""

import pathlib
import sys
import tempfile

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from grpc_tools import protoc


def main():
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    for file in request.proto_file:
        file.name = moved(file.name)
        file.dependency[:] = map(moved, file.dependency)
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    with tempfile.TemporaryDirectory() as folder:
        generate(request, pathlib.Path(folder), response)
    sys.stdout.buffer.write(response.SerializeToString())


def moved(name):
    return name.removeprefix("grpc/")


def generate(request, folder, response):
    descriptors, out = folder / "descriptors.bin", folder / "out"
    descriptors.write_bytes(descriptor_pb2.FileDescriptorSet(file=request.proto_file).SerializeToString())
    out.mkdir()
    outputs = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    names = map(moved, request.file_to_generate)
    code = protoc.main(["protoc", f"--descriptor_set_in={descriptors}", *outputs, *names])
    if code != 0:
        sys.exit(f"the protoc of grpcio-tools ended with {code}")
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        response.file.add(name=path.relative_to(out).as_posix(), content=path.read_text())


main()
