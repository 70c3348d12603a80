"""A real browser: the page at `/`, and a page that loses its network while records flow.

The broker and the browser live in two network namespaces of their own, tied by one link. Taking the link down is what
a train does in a tunnel: nothing is closed, nothing arrives. Without the right to make namespaces (root) only the page
is looked at. `--screenshots DIR` keeps pictures of it.
"""

import concurrent.futures
import ctypes
import http.client
import json
import os
import subprocess
import sys
import threading
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from harness import HERE, Broker, Confluent, own_brokers

from broker import free_port

PARTITIONS, BEFORE, DURING, AFTER = 3, 1_000, 10_000, 1_000
CUT_SECONDS = 5
BROKER_HOST, BROWSER_HOST, WEB_PORT = "10.213.0.1", "10.213.0.2", 8080
CLONE_NEWNET = 0x40000000
SCREENSHOTS = None


class Link:
    """Two namespaces and the link between them."""

    def __init__(self):
        self.broker, self.browser = (f"apus-{os.getpid()}-{side}" for side in ("broker", "browser"))

    def make(self):
        for space in (self.broker, self.browser):
            self.ip("netns", "add", space)
            self.ip("-n", space, "link", "set", "lo", "up")
        self.ip("-n", self.broker, "link", "add", "one", "type", "veth", "peer", "two", "netns", self.browser)
        for space, name, host in ((self.broker, "one", BROKER_HOST), (self.browser, "two", BROWSER_HOST)):
            self.ip("-n", space, "addr", "add", f"{host}/24", "dev", name)
            self.ip("-n", space, "link", "set", name, "up")

    def set(self, state):
        self.ip("-n", self.broker, "link", "set", "one", state)

    def remove(self):
        for space in (self.broker, self.browser):
            subprocess.run(("ip", "netns", "del", space), stderr=subprocess.DEVNULL)

    @staticmethod
    def ip(*words):
        subprocess.run(("ip", *words), check=True)

    @staticmethod
    def enter(space):
        """Moves the calling thread, and what it starts, into a namespace."""
        with open(f"/run/netns/{space}") as place:
            if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")


def browser():
    options = webdriver.ChromeOptions()
    words = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --window-size=1200,800"
    for word in words.split():
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def until(condition, what, deadline=60):
    """Polls through the browser, which is slow enough not to need a pause."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
    raise TimeoutError(f"not within {deadline} s: {what}")


def write(host, topic, numbers):
    """By REST, as lines; every record is acknowledged when it returns."""
    lines = "".join(json.dumps({"value": {"n": n}, "partition": n % PARTITIONS}) + "\n" for n in numbers)
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request(
        "POST", f"/v1/topics/{topic}/records", body=lines, headers={"Content-Type": "application/x-ndjson"}
    )
    answer = connection.getresponse()
    reports = [json.loads(line) for line in answer.read().splitlines()]
    connection.close()
    if answer.status != 200 or len(reports) != len(numbers) or any("offset" not in report for report in reports):
        raise RuntimeError(f"{answer.status}: {reports[:2]}")


class Side:
    """A thread that lives in a namespace, with all that it starts."""

    def __init__(self, space):
        self.thread = concurrent.futures.ThreadPoolExecutor(1, initializer=Link.enter, initargs=(space,))

    def run(self, work, *values):
        return self.thread.submit(work, *values).result()


def answers(host):
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()


# --- a page that loses its network


def network(checks, apus, folder):
    link = Link()
    try:
        link.make()
        ours, theirs = Side(link.broker), Side(link.browser)
        web = ["--http", f"{BROKER_HOST}:{WEB_PORT}", "--insecure"]
        broker = Broker(apus, os.path.join(folder, "network"), extra=web)
        ours.run(broker.start)
        driver = theirs.run(browser)
        try:
            theirs.run(driver.get, f"http://{BROKER_HOST}:{WEB_PORT}/")
            for topic, is_killed in (("cut", False), ("killed", True)):
                checks.part(topic, outage, checks, link, ours, theirs, broker, driver, topic, is_killed)
        finally:
            theirs.run(driver.quit)
            broker.kill()
    finally:
        link.remove()


def outage(checks, link, ours, theirs, broker, driver, topic, is_killed):
    host, written = f"{BROKER_HOST}:{WEB_PORT}", 0

    def put(count):
        nonlocal written
        for first in range(written, written + count, 100):
            ours.run(write, host, topic, range(first, first + 100))
        written += count

    def told():
        return theirs.run(driver.execute_script, TELL)

    ours.run(Confluent.create, f"127.0.0.1:{broker.port}", topic, PARTITIONS)
    with open(os.path.join(HERE, "browser.js")) as script:
        theirs.run(driver.execute_script, script.read().replace("CHANNEL", topic))
    put(BEFORE)
    until(lambda: all(one["seen"] >= BEFORE for one in told().values()), "the browser sees what is there")
    link.set("down")
    end = time.monotonic() + CUT_SECONDS
    put(DURING // 2)
    if is_killed:
        broker.kill()
        ours.run(broker.start)
        until(lambda: ours.run(answers, host), "the broker is back")
    put(DURING // 2)
    # The outage itself has a length; nothing is waited for.
    threading.Event().wait(max(0, end - time.monotonic()))
    during = told()
    link.set("up")
    put(AFTER)
    until(lambda: all(one["seen"] >= written for one in told().values()), f"the browser catches up on '{topic}'")
    for way, one in told().items():
        checks.equal(f"{topic}, {way}: what came while the network was gone", during[way]["seen"] - BEFORE, 0)
        checks.equal(f"{topic}, {way}: refusals", one["refused"], [])
        checks.equal(f"{topic}, {way}: answers that were not recovered", one["missed"], 0)
        seen = theirs.run(driver.execute_script, f"return followers.{way}.seen")
        checks.equal(f"{topic}, {way}: every record once", sorted(n for _, _, n in seen), list(range(written)))
        for partition in range(PARTITIONS):
            offsets = [offset for place, offset, _ in seen if place == partition]
            checks.equal(f"{topic}, {way}: offsets of {partition}", offsets, list(range(len(offsets))))
        if is_killed:
            checks.true(f"{topic}, {way}: it came back", one["answers"] > 1)
    print(f"browser: '{topic}': {written} records, {told()}")


TELL = """
const told = {};
for (const [way, one] of Object.entries(followers))
  told[way] = { seen: one.seen.length, answers: one.answers, missed: one.missed, refused: one.refused };
return told;
"""


# --- the page for people


def page(checks, apus, folder):
    port = free_port()
    broker = Broker(apus, os.path.join(folder, "page"), extra=["--http", f"127.0.0.1:{port}"])
    broker.start()
    driver = browser()
    try:
        checks.part("the page", look, checks, driver, broker, f"127.0.0.1:{port}")
    finally:
        driver.quit()
        broker.kill()


HOSTILE = """<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>\x1b[31m\r\n\u202e"""


def look(checks, driver, broker, host):
    def text(place):
        return driver.find_element(By.ID, place).text

    def submit(form):
        driver.find_element(By.CSS_SELECTOR, f"#{form} button").click()

    Confluent.create(f"127.0.0.1:{broker.port}", "orders", PARTITIONS)
    write(host, "orders", range(40))
    for theme in ("light", "dark"):
        scheme = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
        driver.get(f"http://{host}/#orders")
        driver.refresh()
        until(lambda: len(driver.find_elements(By.CSS_SELECTOR, "#rows tr")) >= 40, "the tail has what is there")
        driver.find_element(By.ID, "key").send_keys("me")
        driver.find_element(By.ID, "value").send_keys('{"hello":"world"}')
        submit("publish")
        until(lambda: "offset" in text("published"), "published")
        until(lambda: '{"hello":"world"}' in text("rows"), "what was published is in the tail")
        checks.equal(f"{theme}: state", text("state"), "live")
        until(lambda: "sse" in text("clients"), "the page's own connection is among those that it shows")
        if SCREENSHOTS:
            driver.save_screenshot(os.path.join(SCREENSHOTS, f"page-{theme}.png"))
    colours = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    checks.true("dark is dark", sum(int(word) for word in colours[4:-1].split(",")) < 200)
    driver.find_element(By.ID, "new-topic").send_keys("no name")
    submit("create")
    until(lambda: "bad" in driver.find_element(By.ID, "create-said").get_attribute("class"), "a bad name is refused")
    driver.find_element(By.ID, "new-topic").clear()
    driver.find_element(By.ID, "new-topic").send_keys("made-here")
    submit("create")
    until(lambda: text("name") == "made-here", "a topic that was made is chosen")
    connection = http.client.HTTPConnection(host, timeout=60)
    record = {"text": HOSTILE, "key": HOSTILE, "headers": {"h": HOSTILE}}
    connection.request(
        "POST", "/v1/topics/made-here/records", json.dumps(record), {"Content-Type": "application/json"}
    )
    checks.equal("a hostile record is a record", connection.getresponse().status, 200)
    until(lambda: "onerror" in text("rows"), "and is shown")
    checks.equal("as text", driver.find_elements(By.CSS_SELECTOR, "#rows img, #rows script"), [])
    checks.equal("title", driver.title, "Apus")
    errors = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    # The one refusal that was asked for is all that the console may say.
    checks.equal("console", [entry["message"] for entry in errors if "400" not in entry["message"]], [])
    requests = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = {
        entry["params"]["request"]["url"] for entry in requests if entry["method"] == "Network.requestWillBeSent"
    }
    checks.true("there were requests", len(asked) > 5)
    checks.equal("requests elsewhere", [url for url in asked if not url.startswith((f"http://{host}/", "data:"))], [])


def body(checks, apus, folder):
    page(checks, apus, folder)
    if os.geteuid() == 0:
        network(checks, apus, folder)
    else:
        print("browser: no network was cut: that needs root")


if "--screenshots" in sys.argv:
    where = sys.argv.index("--screenshots")
    SCREENSHOTS = sys.argv[where + 1]
    del sys.argv[where : where + 2]
own_brokers("browser", body)
