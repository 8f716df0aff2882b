"""What a worker sees of a task manager: a control endpoint. A program, for tests that end it; prints its port."""

import threading
from collections.abc import Iterator
from concurrent import futures

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc


class Control(beam_fn_api_pb2_grpc.BeamFnControlServicer):
    def Control(self, request_iterator: Iterator[object], context: grpc.ServicerContext) -> Iterator[object]:  # noqa: N802
        """Holds the stream of each worker, and asks nothing of it."""
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait()
        return iter(())


if __name__ == "__main__":
    server = grpc.server(futures.ThreadPoolExecutor())
    beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(Control(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()
