"""Groups of aiokafka, which has the older assignors, all of them eager."""

from harness import run
from lives import Life

CLIENT = "aiokafka"


def body(checks, address, apus):
    checks.part("range", whole_life, checks, address, apus)
    checks.part("roundrobin", short_life, checks, address, apus, "roundrobin")


def whole_life(checks, address, apus):
    with Life(checks, address, apus, CLIENT, "classic", "range") as life:
        life.two_then(3)
        life.roll("a")
        life.kill_one()
        life.kill_broker(checks.broker)
        life.end()


def short_life(checks, address, apus, assignor):
    with Life(checks, address, apus, CLIENT, "classic", assignor) as life:
        life.two_then(1)
        life.roll("a")
        life.end()


run("groups by aiokafka", body)
