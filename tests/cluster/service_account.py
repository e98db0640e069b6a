"""What a pod is given to reach an API server, and an API server's certificates, as tests make and replace them."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

from hack.cluster.shell import run


class Authorities:
    """Certificate authorities by name, each with a key pair for a server on the loopback."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, name: str) -> Path:
        """A new one; the file of its certificate."""
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        files = ("-keyout", f"{name}.ca.key", "-out", f"{name}.ca.crt", "-subj", f"/CN={name}")
        run("openssl", "req", "-x509", *key, *files, *usage, cwd=self._folder)
        signed = ("-CA", f"{name}.ca.crt", "-CAkey", f"{name}.ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
        files = ("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", "/CN=server")
        plain = ("-addext", "basicConstraints=critical,CA:FALSE")
        run("openssl", "req", "-x509", *key, *files, *signed, *plain, cwd=self._folder)
        return self.certificate(name)

    def certificate(self, name: str) -> Path:
        """The file of its certificate."""
        return self._folder / f"{name}.ca.crt"

    def serving(self, name: str) -> ssl.SSLContext:
        """For a server that it vouches for."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        return context


class ServiceAccount:
    """The folder of a pod's service account, written as a kubelet does: all of it anew, and then switched to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("token", "ca.crt"):
            (folder / name).symlink_to(Path("..data", name))

    def is_given(self, *, token: str, authority: Path) -> None:
        """Replace both files."""
        data = self.folder / f"..{time.time_ns()}"
        data.mkdir()
        (data / "token").write_text(token)
        (data / "ca.crt").write_bytes(authority.read_bytes())
        (self.folder / "..new").symlink_to(data.name)
        (self.folder / "..new").rename(self.folder / "..data")
