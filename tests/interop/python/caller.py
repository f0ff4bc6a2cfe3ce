"""Runs cases with grpcio, and prints how each ended and their sum.

Usage: caller.py ADDRESS CLIENT_ID LABEL CASE...
"""

import sys

import grpc

import extras
import standard
from calling import LABEL, NAMES, channel
from protos import echo_grpc, testing_grpc


def main():
    passed = 0
    with channel() as shared:
        testing = testing_grpc.TestServiceStub(shared)
        echo = echo_grpc.EchoServiceStub(shared)
        for name in NAMES:
            try:
                if name in standard.CASES:
                    standard.CASES[name](testing)
                else:
                    extras.CASES[name](echo)
            except Exception as error:
                print(f"FAIL {LABEL}: {name}: {why(error)}", flush=True)
            else:
                passed += 1
                print(f"ok   {LABEL}: {name}", flush=True)
    print(f"{passed}/{len(NAMES)} {LABEL}", flush=True)
    sys.exit(0 if passed == len(NAMES) else 1)


def why(error):
    """What went wrong, in one line."""
    if isinstance(error, grpc.RpcError):
        return f"{error.code().name}: {error.details()!r}"
    return f"{type(error).__name__}: {error}"


main()
