"""Keys, certificates and tokens for tests, made with the openssl command: nothing of them is ever trusted elsewhere."""

import base64
import json
import os
import subprocess
import time


def openssl(*arguments, data=None):
    done = subprocess.run(("openssl", *arguments), input=data, capture_output=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Authority:
    """A root of its own, and what it signed, as PEM files in a folder."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.certificate, self.key = self.path("pem"), self.path("key")
        os.makedirs(folder, exist_ok=True)
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", f"/O=Example/CN={name}", "-keyout", self.key, "-out", self.certificate),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def path(self, ending):
        return os.path.join(self.folder, f"{self.name}.{ending}")

    def sign(self, name, subject, alternatives=None):
        """(certificate file, key file) for a subject; written whole, so a broker may watch them."""
        base = os.path.join(self.folder, name)
        openssl(
            *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", subject, "-keyout", base + ".key.new", "-out", base + ".csr"),
        )
        with open(base + ".ext", "w") as extensions:
            extensions.write("basicConstraints=CA:FALSE\n")
            if alternatives:
                extensions.write(f"subjectAltName={alternatives}\n")
        openssl(
            *("x509", "-req", "-in", base + ".csr", "-CA", self.certificate, "-CAkey", self.key, "-days", "1"),
            *("-CAcreateserial", "-extfile", base + ".ext", "-out", base + ".pem.new"),
        )
        os.chmod(base + ".key.new", 0o600)
        os.replace(base + ".key.new", base + ".key")
        os.replace(base + ".pem.new", base + ".pem")
        return base + ".pem", base + ".key"


class Issuer:
    """Signs tokens (RS256) and tells its public key as a key set."""

    def __init__(self, folder, name="https://id.example.com/", audience="apus"):
        self.name, self.audience = name, audience
        self.key, self.keys = os.path.join(folder, "issuer.key"), os.path.join(folder, "jwks.json")
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.key)
        modulus = openssl("rsa", "-in", self.key, "-noout", "-modulus").decode().strip().split("=")[1]
        key = {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": url64(bytes.fromhex(modulus)), "e": "AQAB"}
        with open(self.keys, "w") as file:
            json.dump({"keys": [key]}, file)

    def token(self, subject, lifetime=600):
        now = int(time.time())
        claims = {"iss": self.name, "aud": self.audience, "sub": subject, "iat": now - 3600, "exp": now + lifetime}
        parts = [{"alg": "RS256", "typ": "JWT", "kid": "one"}, claims]
        signed = ".".join(url64(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{url64(openssl('dgst', '-sha256', '-sign', self.key, data=signed.encode()))}"
