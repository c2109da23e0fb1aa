#!/usr/bin/env python3
"""How long /metrics takes: asked TIMES times over a fresh connection each, milliseconds from connecting to the last byte.

    perf/metrics.py PORT TIMES
"""

import socket
import sys
import time

port, times = int(sys.argv[1]), int(sys.argv[2])
took, size = [], 0
for _ in range(times):
    begun = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    took.append((time.perf_counter() - begun) * 1e3)
    if not answer.startswith(b"HTTP/1.1 200"):
        sys.exit(f"the sensor on port {port} answered {answer[:60]!r}")
    size = len(answer)
took.sort()
print(f"{times} answers of {size} bytes: p50 {took[times // 2]:.2f} ms, p99 {took[times * 99 // 100]:.2f} ms, most {took[-1]:.2f} ms")
