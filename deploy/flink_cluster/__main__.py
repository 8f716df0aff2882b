"""The test cluster from a terminal: `python -m deploy.flink_cluster up`, `status` or `down`."""

import argparse
import sys

from deploy.flink_cluster.cluster import POOL, Cluster
from deploy.flink_cluster.network import why_no_namespaces
from deploy.flink_cluster.parts import ClusterError


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.flink_cluster", description="A Flink cluster with an S3 server on this machine."
    )
    parser.add_argument("action", choices=["up", "down", "status"])
    parser.add_argument("--hosts", type=int, choices=[3, 1], help="by default 3 with root, else 1")
    parser.add_argument("--no-s3", action="store_true", help="no S3 server")
    parser.add_argument("--slots", type=int, help="of each task manager; by default 1 with three hosts, else 2")
    parser.add_argument("--state", help="the cluster's folder; by default FACELOG_FLINK_HOME/cluster")
    parser.add_argument("--pool", metavar="COMMAND", default=POOL, help="the worker pool; by default Beam's own")
    parser.add_argument("--restarts", type=int, default=20, help="how often a job may start again (default 20)")
    parser.add_argument(
        "--no-restart", dest="restarts", action="store_const", const=0, help="jobs end with one failure"
    )
    choice = parser.parse_args()
    try:
        cluster = Cluster(
            choice.state,
            hosts=choice.hosts or (1 if why_no_namespaces() else 3),
            slots=choice.slots,
            s3=not choice.no_s3,
            pool=choice.pool,
            restarts=choice.restarts,
        )
        if choice.action == "up":
            cluster.up()
            print(f"--flink-master={cluster.master}")
            print(f"--flink-job-server-jar={cluster.job_server_jar}")
            for name, value in cluster.env.items() if cluster.s3 else ():
                print(f"export {name}={value}")
        elif choice.action == "down":
            cluster.down()
        else:
            running = cluster.status()
            print("\n".join(f"{name}: {count} processes" for name, count in running.items()) or "nothing runs")
            return 0 if running else 3
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
