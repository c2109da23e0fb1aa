"""A server that takes incidents by POST, for tests/outputs.rs: writes each request as a line of JSON to standard output.

Arguments: the answers to give in turn, separated by commas; the last stays. Then certificate and key, for https.
The first line says on which port it listens."""

import http.server
import json
import ssl
import sys

answers = [int(answer) for answer in sys.argv[1].split(",")]


def tell(line):
    print(json.dumps(line), flush=True)


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        tell({"path": self.path, "headers": headers, "body": json.loads(body), "answer": answer})
        self.send_response(answer)
        if answer // 100 == 3:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        tell({"path": self.path, "method": "GET"})
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
tell(server.server_address[1])
server.serve_forever()
