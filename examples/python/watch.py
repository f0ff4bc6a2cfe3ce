"""Tells which edges are connected, and which come and go: watch.py [ADDRESS]"""

import pathlib
import sys

import grpc

sys.path.append(str(pathlib.Path(__file__).with_name("gen")))
from multiplexer.v1 import discovery_pb2, discovery_pb2_grpc


def main(address="localhost:7592"):
    with grpc.insecure_channel(address) as channel:
        discovery = discovery_pb2_grpc.DiscoveryServiceStub(channel)
        # The snapshot: first the edges of now, each as connected.
        request = discovery_pb2.WatchGRPCServerRequest(snapshot=True)
        for change in discovery.WatchGRPCServer(request):
            tell(change)


def tell(change):
    match change.event:
        case change.EVENT_CONNECTED:
            print(f"{change.server} is connected", flush=True)
        case change.EVENT_DISCONNECTED:
            print(f"{change.server} is gone", flush=True)
        case change.EVENT_SNAPSHOT_END:
            print("these were all", flush=True)


try:
    main(*sys.argv[1:])
except KeyboardInterrupt:
    pass
except grpc.RpcError as error:
    sys.exit(f"{error.code().name}: {error.details()}")
