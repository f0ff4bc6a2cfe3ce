"""A hook: says which edges may come, and prints which came and left. Run as `python3 hook.py PORT EDGE=TENANT...`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TENANTS = dict(argument.split("=") for argument in sys.argv[2:])


def authorize(asked):
    if "caller" in asked:
        return {"allow": True}
    tenant = TENANTS.get(asked["edge"]["clientId"])
    if tenant is None:
        return {"reason": "no tenant has this edge"}
    return {"allow": True, "context": {"tenant": tenant}}


def connected(told):
    # Who was let in without a question has no context.
    print(told["clientId"], "of", told.get("context", {}).get("tenant", "nobody"), "came", flush=True)
    return {}


def disconnected(told):
    print(told["clientId"], "left", flush=True)
    return {}


class Hook(BaseHTTPRequestHandler):
    answers = {"/authorize": authorize, "/connected": connected, "/disconnected": disconnected}

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path not in self.answers:
            return self.send_error(404)
        answer = json.dumps(self.answers[self.path](asked)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("localhost", int(sys.argv[1])), Hook)
print("listens on http://localhost:%d" % server.server_port, flush=True)
server.serve_forever()
