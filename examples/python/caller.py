"""Reads a thermometer behind an edge: caller.py CLIENT_ID [ADDRESS [CA CERTIFICATE KEY]]"""

import pathlib
import sys

import grpc

sys.path.append(str(pathlib.Path(__file__).with_name("gen")))
from thermometer.v1 import thermometer_pb2, thermometer_pb2_grpc


def connect(address, *files):
    if not files:
        return grpc.insecure_channel(address)
    ca, certificate, key = (pathlib.Path(file).read_bytes() for file in files)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate))


def main(client_id, address="localhost:7592", *files):
    edge = [("client-id", client_id)]  # all that a caller adds
    with connect(address, *files) as channel:
        thermometer = thermometer_pb2_grpc.ThermometerServiceStub(channel)

        reading = thermometer.Read(thermometer_pb2.ReadRequest(), metadata=edge, timeout=10)
        print(f"{reading.celsius:.1f} degrees in the {reading.room}")

        request = thermometer_pb2.WatchRequest(count=3)
        for reading in thermometer.Watch(request, metadata=edge, timeout=10):
            print(f"{reading.celsius:.1f}")


if len(sys.argv) < 2:
    sys.exit("usage: caller.py CLIENT_ID [ADDRESS [CA CERTIFICATE KEY]]")
try:
    main(*sys.argv[1:])
except grpc.RpcError as error:
    sys.exit(f"{error.code().name}: {error.details()}")
