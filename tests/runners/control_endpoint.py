"""The control endpoint of a task manager, as a worker sees it. It can run as a program, for tests that kill it."""

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


def serve() -> tuple[grpc.Server, int]:
    """Starts an endpoint in this process, on a free port."""
    server = grpc.server(futures.ThreadPoolExecutor())
    beam_fn_api_pb2_grpc.add_BeamFnControlServicer_to_server(Control(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    return server, port


if __name__ == "__main__":
    server, port = serve()
    print(port, flush=True)
    server.wait_for_termination()
