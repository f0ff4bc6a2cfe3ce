"""The messages and stubs of both services, generated at run time from the protos of this repository."""

import sys
from pathlib import Path

import grpc

ROOT = Path(__file__).resolve().parents[3]
sys.path += [str(ROOT / "proto"), str(ROOT / "examples/proto/grpc/multiplexer/examples/v1")]
# The package grpc.testing would otherwise be looked for in grpcio alone.
grpc.__path__.append(str(ROOT / "proto/grpc"))

testing, testing_grpc = grpc.protos_and_services("grpc/testing/test.proto")
messages = grpc.protos("grpc/testing/messages.proto")
empty = grpc.protos("grpc/testing/empty.proto")
echo, echo_grpc = grpc.protos_and_services("echo.proto")
