"""Logins of every client over TLS: with a password (SCRAM-SHA-512) and with a token, and what each says when it is refused.

Then renewal of sessions, and a certificate that is replaced while clients are connected.
"""

import asyncio
import logging
import os
import ssl
import subprocess
import time

from harness import DEADLINE, Broker, own_brokers, until
from pki import Authority, Issuer

PASSWORD = "a long password, with commas = and more"
TRUST = "wrong certificate"


class World:
    """Keys, certificates and files of one run, and the brokers that it started."""

    def __init__(self, apus, folder):
        self.apus, self.folder, self.brokers, self.said = apus, folder, [], []
        self.root = Authority(os.path.join(folder, "pki"), "root")
        self.stranger = Authority(os.path.join(folder, "pki"), "stranger")
        self.certificate, self.key = self.sign_server()
        self.issuer = Issuer(os.path.join(folder, "pki"))
        self.password_file = os.path.join(folder, "password")
        with open(os.open(self.password_file, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(PASSWORD + "\n")

    def sign_server(self):
        return self.root.sign("server", "/O=Example/CN=server", "IP:127.0.0.1,DNS:localhost")

    def broker(self, name, *extra):
        """A broker over TLS, ready."""
        tls = ("--tls-cert", self.certificate, "--tls-key", self.key)
        broker = Broker(self.apus, os.path.join(self.folder, name), extra=[*tls, *extra])
        broker.launch()
        self.brokers.append(broker)
        until(lambda: '"event":"ready"' in broker.said() or not broker.alive() or time.sleep(0.02), "the broker is ready")
        if not broker.alive():
            raise RuntimeError(broker.said())
        return broker

    def tell(self, client, what, error):
        self.said.append(f"{client}, {what}: {' '.join(str(error).split())[:300]}")


class Login:
    """One way in, as every client's settings."""

    def __init__(self, world, user="admin", password=PASSWORD, token=None, authority=None):
        self.user, self.password, self.token = user, password, token
        self.authority = authority or world.root.certificate

    def librdkafka(self):
        settings = {"security.protocol": "SASL_SSL", "ssl.ca.location": self.authority}
        if self.token:
            return {**settings, "sasl.mechanisms": "OAUTHBEARER"}
        return {
            **settings,
            "sasl.mechanisms": "SCRAM-SHA-512",
            "sasl.username": self.user,
            "sasl.password": self.password,
        }

    def confluent(self):
        if not self.token:
            return self.librdkafka()
        token = self.token
        return {**self.librdkafka(), "oauth_cb": lambda _: (token(), time.time() + 300)}

    def python(self, provider):
        settings = {"security_protocol": "SASL_SSL"}
        if self.token:
            return {**settings, "sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": provider(self.token)}
        return {
            **settings,
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": self.user,
            "sasl_plain_password": self.password,
        }


# --- one record there and back, by each client; an error of the login is raised


def by_kcat(address, login, topic):
    settings = [f"-X{name}={value}" for name, value in login.librdkafka().items()]
    said_by_kcat(address, *settings, "-P", "-t", topic, data=b"hello")
    return said_by_kcat(address, *settings, "-C", "-t", topic, "-o", "beginning", "-c", "1", "-e").strip()


def said_by_kcat(address, *arguments, data=None):
    """Standard output; an error has what kcat said of its reason, not only that it gave up."""
    done = subprocess.run(("kcat", "-b", address, *arguments), input=data, capture_output=True, timeout=DEADLINE)
    if done.returncode != 0:
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.startswith("%")]
        telling = [line for line in lines if any(word in line for word in ("SASL", "SSL"))]
        raise RuntimeError((telling or lines or ["no word"])[0].split("bootstrap: ")[-1])
    return done.stdout


def by_confluent(address, login, topic):
    from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

    errors = []
    settings = {"bootstrap.servers": address, "error_cb": errors.append, **login.confluent()}
    producer = Producer({**settings, "logger": silent()})
    failed = []
    producer.produce(topic, b"hello", on_delivery=lambda error, _: failed.append(error))

    def one_way_or_the_other():
        producer.poll(0.2)
        # -195 and -187 only say that there is no connection; the reason is another one.
        return failed or [error for error in errors if error.name() in ("_AUTHENTICATION", "_SSL")]

    until(one_way_or_the_other, "delivered, or refused", 60)
    if not failed or failed[0]:
        raise KafkaException(failed[0] if failed else [e for e in errors if e.name() in ("_AUTHENTICATION", "_SSL")][0])
    consumer = Consumer({**settings, "group.id": "unused", "logger": silent()})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = until(lambda: consumer.poll(1.0), "read", 60)
        if message.error():
            raise KafkaException(message.error())
        return message.value()
    finally:
        consumer.close()


def by_kafka_python(address, login, topic):
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.net.sasl.oauth import AbstractTokenProvider

    class Provider(AbstractTokenProvider):
        def __init__(self, token):
            super().__init__()
            self.give = token

        def token(self):
            return self.give()

    settings = {"bootstrap_servers": address, "ssl_cafile": login.authority, **login.python(Provider)}
    with Listening("kafka") as heard:
        try:
            producer = KafkaProducer(**settings, max_block_ms=20_000)
            try:
                producer.send(topic, b"hello").get(20)
            finally:
                producer.close(1)
            consumer = KafkaConsumer(**settings, group_id=None, auto_offset_reset="earliest")
            try:
                consumer.assign([TopicPartition(topic, 0)])
                consumer.seek_to_beginning()
                messages = until(lambda: consumer.poll(timeout_ms=1000), "read", 60)
                return next(iter(messages.values()))[0].value
            finally:
                consumer.close()
        except Exception as error:
            raise RuntimeError(heard.worst(error)) from error


def by_aiokafka(address, login, topic):
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from aiokafka.abc import AbstractTokenProvider
    from aiokafka.helpers import create_ssl_context

    class Provider(AbstractTokenProvider):
        def __init__(self, token):
            self.give = token

        async def token(self):
            return self.give()

    async def body():
        context = create_ssl_context(cafile=login.authority)
        settings = {"bootstrap_servers": address, "ssl_context": context, **login.python(Provider)}
        producer = AIOKafkaProducer(**settings, request_timeout_ms=20_000)
        try:
            await producer.start()
            await producer.send_and_wait(topic, b"hello")
        finally:
            await producer.stop()
        consumer = AIOKafkaConsumer(**settings, group_id=None, auto_offset_reset="earliest")
        try:
            await consumer.start()
            consumer.assign([TopicPartition(topic, 0)])
            await consumer.seek_to_beginning()
            return (await asyncio.wait_for(consumer.getone(), 60)).value
        finally:
            await consumer.stop()

    with Listening("aiokafka") as heard:
        try:
            return asyncio.run(asyncio.wait_for(body(), DEADLINE))
        except Exception as error:
            raise RuntimeError(heard.worst(error)) from error


def by_apus(world, address, login, topic):
    command = ["--server", address, "--tls-ca", login.authority]
    secret = os.path.join(world.folder, "secret")
    with open(os.open(secret, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write((login.token() if login.token else login.password) + "\n")
    command += ["--token-file", secret] if login.token else ["--user", login.user, "--password-file", secret]

    def run(*arguments):
        done = subprocess.run((world.apus, *arguments, *command), capture_output=True, timeout=DEADLINE)
        if done.returncode != 0:
            raise RuntimeError(f"exit {done.returncode}: {done.stderr.decode().strip()}")
        return done.stdout

    run("pub", topic, "hello")
    return run("sub", topic, "--from", "start", "-n", "1", "-o", "raw").strip()


def loads(checks, world, address):
    """`apus bench` makes its load over TLS, logged in: with a password, and with a token."""
    password = ("--user", "admin", "--password-file", world.password_file)
    token_file = os.path.join(world.folder, "token")
    with open(os.open(token_file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(world.issuer.token("robot") + "\n")
    for way, login in (("password", password), ("token", ("--token-file", token_file))):
        for load in (
            ("pub", "--topic", "loaded", "--records", "2000", "--connections", "3"),
            ("sub", "--topic", "loaded"),
            ("e2e", "--rate", "200", "--warmup", "0s", "--duration", "1s"),
            ("group", "--members", "5", "--partitions", "10", "--idle-for", "0s", "--commit-for", "1s"),
        ):
            command = (world.apus, "bench", *load, "-s", address, "--tls-ca", world.root.certificate, *login)
            done = subprocess.run(command, capture_output=True, timeout=DEADLINE)
            checks.equal(f"apus bench {load[0]}, {way}: {done.stderr.decode()}", done.returncode, 0)
    wrong = os.path.join(world.folder, "guess")
    with open(os.open(wrong, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write("guess\n")
    command = (world.apus, "bench", "pub", "-s", address, "--tls-ca", world.root.certificate, "--user", "admin")
    done = subprocess.run((*command, "--password-file", wrong), capture_output=True, timeout=DEADLINE)
    checks.equal("apus bench, wrong password", done.returncode, 77)


CLIENTS = (("kcat", by_kcat), ("confluent-kafka", by_confluent), ("kafka-python", by_kafka_python), ("aiokafka", by_aiokafka))


class Listening(logging.Handler):
    """What a client's own log said meanwhile: often more than its error does."""

    def __init__(self, name):
        super().__init__(logging.WARNING)
        self.logger, self.lines = logging.getLogger(name), []

    def emit(self, record):
        self.lines.append(record.getMessage())

    def __enter__(self):
        self.logger.addHandler(self)
        self.logger.propagate = False
        return self

    def __exit__(self, *_):
        self.logger.removeHandler(self)

    def worst(self, error):
        words = ("uthenticat", "ertificate", "token")
        telling = [line for line in self.lines if any(word in line for word in words)]
        text = f"{type(error).__name__}: {error}"
        return text if any(word in text for word in words) or not telling else f"{text} (log: {telling[0]})"


def silent():
    logger = logging.getLogger("librdkafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


# --- the parts


def body(checks, apus, folder):
    world = World(apus, folder)
    try:
        broker = world.broker(
            *("first", "--auth", "scram,oauth", "--super-user", "robot"),
            *("--bootstrap-user", "admin", "--bootstrap-password-file", world.password_file),
            *("--jwks", world.issuer.keys, "--jwt-issuer", world.issuer.name, "--jwt-audience", "apus"),
        )
        address = f"127.0.0.1:{broker.port}"
        for name, client in (*CLIENTS, ("apus", lambda *a: by_apus(world, *a))):
            checks.part(f"{name}", one_client, checks, world, name, client, address)
        checks.part("apus bench", loads, checks, world, address)
        checks.part("kcat's own token", unsigned, checks, world, address)
        checks.part("plain text", plain_text, checks, world, broker)
        checks.part("users", users, checks, world, address)
        checks.part("a new certificate", new_certificate, checks, world, broker)
        checks.part("sessions", sessions, checks, world)
        checks.part("certificates of clients", client_certificates, checks, world)
        checks.part("keys from a URL", keys_from_url, checks, world)
        for each in world.brokers:
            checks.true("the broker lives", each.alive())
            checks.true("it ends in order", each.stop() == 0)
    finally:
        for each in world.brokers:
            each.kill()
        for line in world.said:
            print("    " + line)


def one_client(checks, world, name, client, address):
    token = lambda: world.issuer.token("robot")  # noqa: E731
    topic = name.replace("-", ".")
    checks.equal(f"{name}, password", client(address, Login(world), topic), b"hello")
    if name != "kcat":  # it has no way to be given a token
        checks.equal(f"{name}, token", client(address, Login(world, token=token), topic), b"hello")
    refused(checks, world, name, client, address, "wrong password", Login(world, password="guess"))
    refused(checks, world, name, client, address, TRUST, Login(world, authority=world.stranger.certificate))
    if name != "kcat":
        expired = lambda: world.issuer.token("robot", lifetime=-60)  # noqa: E731
        refused(checks, world, name, client, address, "expired token", Login(world, token=expired))


def refused(checks, world, name, client, address, what, login):
    """A client must say why; that it gave up is not enough."""
    words = {"wrong password": ("uthenticat", "password"), TRUST: ("ertificate",), "expired token": ("uthenticat", "token")}
    if name == "kafka-python":
        # It throws away what it has read when the end of the connection came with it, as happens on a busy machine.
        words["wrong password"] += ("bootstrap",)
        words["expired token"] += ("bootstrap",)
    try:
        client(address, login, "never")
    except Exception as error:  # noqa: BLE001
        world.tell(name, what, error)
        checks.true(f"{name}, {what}: {error}", any(word in str(error) for word in words[what]))
    else:
        checks.true(f"{name}, {what}: let in", False)


def unsigned(checks, world, address):
    """librdkafka can make a token without a signature: nobody may get in with that."""
    settings = {
        **Login(world, token=lambda: "").librdkafka(),
        "enable.sasl.oauthbearer.unsecure.jwt": "true",
        "sasl.oauthbearer.config": "principal=admin",
    }
    try:
        said_by_kcat(address, *[f"-X{name}={value}" for name, value in settings.items()], "-L", "-m", "5")
    except RuntimeError as error:
        world.tell("kcat", "a token of its own making", error)
        checks.true("refused", True)
    else:
        checks.true("an unsigned token is refused", False)


def plain_text(checks, world, broker):
    import socket

    with socket.create_connection(("127.0.0.1", broker.port), timeout=30) as peer:
        peer.sendall(b"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x01\xff\xff")
        # A TLS alert at most, then the end.
        answer = until(lambda: peer.recv(100) in (b"",) or None, "closed", 30)
        checks.true("closed", answer)
    until(lambda: "does not speak TLS" in broker.said() or time.sleep(0.02), "a line about it", 30)


def users(checks, world, address):
    from confluent_kafka.admin import (
        AdminClient,
        ScramCredentialInfo,
        ScramMechanism,
        UserScramCredentialDeletion,
        UserScramCredentialUpsertion,
    )

    admin = AdminClient({"bootstrap.servers": address, **Login(world).confluent()})
    described = admin.describe_user_scram_credentials().result(DEADLINE)
    checks.equal("the users", sorted(described), ["admin"])
    infos = sorted((info.mechanism.name, info.iterations) for info in described["admin"].scram_credential_infos)
    checks.equal("admin's", infos, [("SCRAM_SHA_256", 16384), ("SCRAM_SHA_512", 16384)])
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192)
    made = admin.alter_user_scram_credentials([UserScramCredentialUpsertion("alice", info, b"wonderland", b"salt" * 4)])
    made["alice"].result(DEADLINE)
    checks.equal("alice gets in, and may do nothing", denied(address, Login(world, "alice", "wonderland")), True)
    few = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 100)
    checks.fails(
        "100 iterations",
        lambda: admin.alter_user_scram_credentials([UserScramCredentialUpsertion("bob", few, b"x", b"salt" * 4)])[
            "bob"
        ].result(DEADLINE),
        "UNACCEPTABLE_CREDENTIAL",
    )
    gone = admin.alter_user_scram_credentials([UserScramCredentialDeletion("alice", ScramMechanism.SCRAM_SHA_512)])
    gone["alice"].result(DEADLINE)
    checks.fails(
        "twice",
        lambda: admin.alter_user_scram_credentials(
            [UserScramCredentialDeletion("alice", ScramMechanism.SCRAM_SHA_512)]
        )["alice"].result(DEADLINE),
        "RESOURCE_NOT_FOUND",
    )
    command = ("--server", address, "--tls-ca", world.root.certificate, "--user", "admin")
    command += ("--password-file", world.password_file)

    def run(*arguments):
        done = subprocess.run((world.apus, "user", *arguments, *command), capture_output=True, timeout=DEADLINE)
        return done.returncode, (done.stdout + done.stderr).decode()

    checks.equal("apus user add", run("add", "carol", "--new-password-file", world.password_file)[0], 0)
    checks.true("again: refused", run("add", "carol", "--new-password-file", world.password_file)[0] == 1)
    checks.true("apus user ls", "carol" in run("ls")[1])
    checks.equal("carol gets in", denied(address, Login(world, "carol")), True)
    checks.equal("apus user rm", run("rm", "carol", "-y")[0], 0)
    checks.true("carol is gone", "carol" not in run("ls")[1])


def denied(address, login):
    """Whether a client that logs in is told that it may not, rather than that it can not."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": address, "logger": silent(), **login.confluent()})
    try:
        admin.create_topics([NewTopic("forbidden", 1, 1)], operation_timeout=30)["forbidden"].result(DEADLINE)
    except Exception as error:  # noqa: BLE001
        return error.args[0].name() in ("TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED")
    return False


def serial(world, port):
    context = ssl.create_default_context(cafile=world.root.certificate)
    import socket

    with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        with context.wrap_socket(peer, server_hostname="localhost") as tls:
            return tls.getpeercert()["serialNumber"]


def new_certificate(checks, world, broker):
    """A producer that is connected keeps its connection; who comes later sees the new certificate."""
    from confluent_kafka import Producer

    address, errors, delivered = f"127.0.0.1:{broker.port}", [], []
    producer = Producer(
        {"bootstrap.servers": address, "error_cb": errors.append, "linger.ms": 0, **Login(world).confluent()}
    )

    def one():
        producer.produce("steady", b"x", on_delivery=lambda error, _: delivered.append(error))
        return producer.flush(30) == 0

    checks.true("before", one())
    old = serial(world, broker.port)
    world.sign_server()
    until(lambda: one() and serial(world, broker.port) != old, "the new certificate is shown", 60)
    # A key that is no key changes nothing.
    with open(world.key, "rb") as file:
        good = file.read()
    with open(world.key, "wb") as file:
        file.write(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    new = serial(world, broker.port)
    until(lambda: "the old certificate stays in use" in broker.said() or time.sleep(0.05), "a line about it", 60)
    checks.equal("still shown", serial(world, broker.port), new)
    checks.true("after", one())
    with open(world.key, "wb") as file:
        file.write(good)
    checks.equal("errors", [str(error) for error in errors], [])
    checks.equal("undelivered", [error for error in delivered if error], [])


def sessions(checks, world):
    """Sessions of two seconds: clients renew them on the live connection, and nothing is lost or refused."""
    broker = world.broker(
        *("sessions", "--auth", "scram", "--session-max", "2s"),
        *("--bootstrap-user", "admin", "--bootstrap-password-file", world.password_file),
    )
    from confluent_kafka import Producer

    address, errors, delivered = f"127.0.0.1:{broker.port}", [], []
    producer = Producer(
        {"bootstrap.servers": address, "error_cb": errors.append, "linger.ms": 0, **Login(world).confluent()}
    )
    end = time.monotonic() + 9

    def one():
        producer.produce("steady", b"x", on_delivery=lambda error, _: delivered.append(error))
        producer.flush(30)
        producer.poll(0.05)
        return time.monotonic() > end

    until(one, "nine seconds of producing", 120)
    checks.equal("errors", [str(error) for error in errors], [])
    checks.true("produced", len(delivered) > 20)
    checks.equal("undelivered", [error for error in delivered if error], [])
    checks.true("no session ran out", "sessionExpired" not in broker.said())
    login = Login(world)
    done = subprocess.run(
        (
            *(world.apus, "pub", "steady", "--server", address, "--tls-ca", login.authority, "--user", "admin"),
            *("--password-file", world.password_file),
        ),
        stdin=slow_lines(),
        capture_output=True,
        timeout=DEADLINE,
    )
    checks.equal(f"apus pub over three sessions: {done.stderr.decode()}", done.returncode, 0)
    checks.true("none of them ran out", "sessionExpired" not in broker.said())


def slow_lines():
    """A pipe that gives a line now and then for some seconds."""
    command = 'for n in 1 2 3 4 5 6 7; do echo "line $n"; sleep 1; done'
    return subprocess.Popen(("sh", "-c", command), stdout=subprocess.PIPE).stdout


def client_certificates(checks, world):
    """The certificate is the login: its subject is the principal."""
    certificate, key = world.root.sign("alice", "/O=Example/CN=alice")
    broker = world.broker(
        *("mutual", "--tls-client-ca", world.root.certificate, "--tls-client-auth", "required"),
        *("--super-user", "robot;User:CN=alice,O=Example"),
    )
    checks.true("it serves", broker.alive())
    address = f"127.0.0.1:{broker.port}"
    base = ["-Xsecurity.protocol=ssl", f"-Xssl.ca.location={world.root.certificate}"]
    mine = [f"-Xssl.certificate.location={certificate}", f"-Xssl.key.location={key}"]
    try:
        said_by_kcat(address, *base, "-L", "-m", "5")
    except RuntimeError as error:
        world.tell("kcat", "no certificate", error)
    else:
        checks.true("who has no certificate is let in", False)
    said_by_kcat(address, *base, *mine, "-P", "-t", "hers", data=b"hello")
    read = said_by_kcat(address, *base, *mine, "-C", "-t", "hers", "-o", "beginning", "-c", "1", "-e")
    checks.equal("alice may do everything", read.strip(), b"hello")
    stranger, its_key = world.stranger.sign("mallory", "/O=Example/CN=alice")
    try:
        said_by_kcat(address, *base, f"-Xssl.certificate.location={stranger}", f"-Xssl.key.location={its_key}", "-L", "-m", "5")
    except RuntimeError as error:
        world.tell("kcat", "a certificate that nobody signed", error)
    else:
        checks.true("a stranger's certificate is taken", False)


def keys_from_url(checks, world):
    """A broker starts without its issuer and lets nobody in; it fetches the keys when they are there, and keeps them."""
    import http.server
    import signal
    import threading

    from broker import free_port

    asked, moved = [], threading.Event()

    class Issuer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if moved.is_set():
                self.send_response(302)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                return
            with open(world.issuer.keys, "rb") as file:
                keys = file.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(keys)))
            self.end_headers()
            self.wfile.write(keys)

        def log_message(self, *_):
            pass

    port = free_port()
    broker = world.broker(
        *("fetching", "--auth", "oauth", "--super-user", "robot", "--jwks", f"http://127.0.0.1:{port}/keys"),
        *("--jwt-issuer", world.issuer.name, "--jwt-audience", "apus"),
    )
    login = Login(world, token=lambda: world.issuer.token("robot"))
    address = f"127.0.0.1:{broker.port}"
    try:
        by_confluent(address, login, "early")
    except Exception as error:  # noqa: BLE001
        checks.true(f"without keys: {error}", "token" in str(error))
    else:
        checks.true("without keys nobody comes in", False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Issuer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        broker.process.send_signal(signal.SIGHUP)
        until(lambda: "read the keys of a token issuer" in broker.said() or time.sleep(0.05), "keys", 60)
        checks.equal("with them", by_confluent(address, login, "late"), b"hello")
        moved.set()
        broker.process.send_signal(signal.SIGHUP)
        until(lambda: "302" in broker.said() or time.sleep(0.05), "a line about the redirect", 60)
        checks.equal("it is not followed", set(asked), {"/keys"})
        checks.equal("the old keys stay", by_confluent(address, login, "late"), b"hello")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    own_brokers("logins", body)
