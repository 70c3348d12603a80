"""Groups of kafka-python: cooperative and eager assignors."""

from harness import run
from lives import Life

CLIENT = "kafka-python"


def body(checks, address, apus):
    checks.part("cooperative", cooperative, checks, address, apus)
    for assignor in ("range", "sticky"):
        checks.part(assignor, eager, checks, address, apus, assignor)


def cooperative(checks, address, apus):
    with Life(checks, address, apus, CLIENT, "classic", "cooperative-sticky") as life:
        life.two_then(3)
        life.roll("a")
        life.kill_one()
        life.kill_broker(checks.broker)
        life.end()


def eager(checks, address, apus, assignor):
    with Life(checks, address, apus, CLIENT, "classic", assignor) as life:
        life.two_then(1)
        life.roll("a")
        life.end()


run("groups by kafka-python", body)
