"""Reads a thermometer behind an edge: caller.py CLIENT_ID [ADDRESS]"""

import pathlib
import sys

import grpc

sys.path.append(str(pathlib.Path(__file__).with_name("gen")))
from thermometer.v1 import thermometer_pb2, thermometer_pb2_grpc


def main(client_id, address="localhost:7592"):
    edge = [("client-id", client_id)]  # all that a caller adds
    with grpc.insecure_channel(address) as channel:
        thermometer = thermometer_pb2_grpc.ThermometerServiceStub(channel)

        reading = thermometer.Read(thermometer_pb2.ReadRequest(), metadata=edge, timeout=10)
        print(f"{reading.celsius:.1f} degrees in the {reading.room}")

        request = thermometer_pb2.WatchRequest(count=3)
        for reading in thermometer.Watch(request, metadata=edge, timeout=10):
            print(f"{reading.celsius:.1f}")


if len(sys.argv) < 2:
    sys.exit("usage: caller.py CLIENT_ID [ADDRESS]")
try:
    main(*sys.argv[1:])
except grpc.RpcError as error:
    sys.exit(f"{error.code().name}: {error.details()}")
