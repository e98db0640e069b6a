"""Makes one certificate authority a cluster, a key pair for each component, and the kubeconfig files that use them."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import yaml

from hack.cluster.layout import NODE, Layout
from hack.cluster.shell import run

DAYS = "3650"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")  # made in no time, unlike RSA


@dataclass(frozen=True)
class Identity:
    """Who a certificate speaks for: the subject that the API server reads as user and groups, and the names it serves."""

    name: str
    subject: str
    serves: tuple[str, ...] = ()


def identities(layout: Layout) -> tuple[Identity, ...]:
    """The components that need a certificate, and the administrator."""
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    addresses = ("127.0.0.1", str(layout.address), str(layout.services[1]))
    node = (f"DNS:{NODE}", "IP:127.0.0.1", f"IP:{layout.address}")
    api = ("DNS:localhost", *(f"DNS:{name}" for name in names), *dict.fromkeys(f"IP:{a}" for a in addresses))
    return (
        Identity("apiserver", "/CN=kube-apiserver", serves=api),
        Identity("admin", "/O=system:masters/CN=pointsman-admin"),
        Identity("kcm", "/CN=system:kube-controller-manager"),
        Identity("scheduler", "/CN=system:kube-scheduler"),
        Identity("proxy", "/CN=system:kube-proxy"),
        Identity("kubelet", f"/O=system:nodes/CN=system:node:{NODE}", serves=node),
        Identity("aggregator", "/CN=pointsman-aggregator"),
        Identity("apikubelet", "/O=system:masters/CN=apiserver-kubelet-client"),
    )


def make(layout: Layout) -> None:
    """Write the authority, the service account keys, and per identity `NAME.key`, `NAME.crt` and a kubeconfig."""
    pki = layout.pki
    pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = ("-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=pointsman-local")
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("openssl", "req", "-x509", *NEW_KEY, *authority, *usage, "-days", DAYS, cwd=pki)
    run("openssl", "ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", "sa.key", cwd=pki)
    run("openssl", "ec", "-in", "sa.key", "-pubout", "-out", "sa.pub", cwd=pki)
    for identity in identities(layout):
        _sign(layout, identity)
        _kubeconfig(layout, identity.name)


def _sign(layout: Layout, identity: Identity) -> None:
    name, pki = identity.name, layout.pki
    extension = (
        "basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"  # Python 3.13 insists
        "extendedKeyUsage=clientAuth,serverAuth\n"
    )
    if identity.serves:
        extension += f"subjectAltName={','.join(identity.serves)}\n"
    (pki / f"{name}.ext").write_text(extension)
    request = ("-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", identity.subject)
    run("openssl", "req", "-new", *NEW_KEY, *request, cwd=pki)
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.crt", "-extfile", f"{name}.ext")
    run("openssl", "x509", "-req", "-in", f"{name}.csr", *signed, "-days", DAYS, cwd=pki)


def _kubeconfig(layout: Layout, name: str) -> None:
    def inline(file: str) -> str:
        return base64.b64encode((layout.pki / file).read_bytes()).decode()

    context = f"pointsman-{layout.name}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": context, "cluster": {"server": layout.api, "certificate-authority-data": inline("ca.crt")}}
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": inline(f"{name}.crt"),
                    "client-key-data": inline(f"{name}.key"),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": name}}],
        "current-context": context,
    }
    path = layout.kubeconfig_of(name)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
