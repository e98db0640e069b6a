"""Turns a `storageUri` into the part of a pod template that brings the model's files to /mnt/models.

That part is the lowest layer of the pod: the runtime's and the user's templates lie over it, so that both can add
credentials to the init container or a size limit to the volume by naming them.
"""

from __future__ import annotations

import re
from typing import Final

from pointsman.api.names import CONTAINER
from pointsman.errors import Terminal
from pointsman.render.schema import Json

MODEL_PATH: Final = "/mnt/models"
INITIALIZER: Final = "storage-initializer"
VOLUME: Final = "model-files"

_SCRATCH: Final = "storage-initializer-tmp"

_URI = re.compile(r"([a-z][a-z0-9+.-]*)://(\S+)")
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_IMAGE = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,128})?"
)

_NAME_LIMIT = 253
_SHOWN_LIMIT = 200  # characters of a URI that an error repeats


def storage(uri: str, *, initializer_image: str | None) -> Json:
    """The part of a pod template that mounts the files of `uri` read-only at /mnt/models in the container `model`.

    Args:
        uri: `pvc://claim/path` is mounted, `oci://image` becomes an image volume, every other scheme is fetched by an
            init container: KServe's contract of a storage initializer, arguments `<uri> /mnt/models`.
        initializer_image: The image of that init container; None where the operator has none.

    Raises:
        Terminal: The URI is not one that can be mounted or fetched.
    """
    match = _URI.fullmatch(uri)
    if match is None or not uri.isprintable():
        raise Terminal(
            f"spec.model.storageUri {_shown(uri)} is not a URI; write one without spaces, such as pvc://claim/path,"
            " oci://registry/image:tag or https://host/path"
        )
    scheme, rest = match.groups()
    if scheme == "pvc":
        return _claim(uri, rest)
    if scheme == "oci":
        return _image(uri, rest)
    return _fetched(uri, initializer_image)


def _claim(uri: str, rest: str) -> Json:
    claim, _, path = rest.partition("/")
    if _CLAIM.fullmatch(claim) is None or len(claim) > _NAME_LIMIT:
        raise Terminal(
            f"spec.model.storageUri {_shown(uri)} names the PersistentVolumeClaim {_shown(claim)}, which cannot be a"
            " claim's name; write pvc://claim/path"
        )
    parts = [part for part in path.split("/") if part]
    if "." in parts or ".." in parts:
        raise Terminal(
            f"spec.model.storageUri {_shown(uri)} has `.` or `..` in its path, which would lead out of it; write the"
            " path from the volume's root, such as pvc://models/churn/7"
        )
    mount = {"subPath": "/".join(parts)} if parts else {}
    return _mounted({"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}, mount)


def _image(uri: str, rest: str) -> Json:
    if _IMAGE.fullmatch(rest) is None:
        raise Terminal(
            f"spec.model.storageUri {_shown(uri)} is not an image reference; write oci://registry/repository:tag or"
            " oci://registry/repository@sha256:digest"
        )
    return _mounted({"image": {"reference": rest}}, {})


def _fetched(uri: str, image: str | None) -> Json:
    if image is None:
        raise Terminal(
            f"spec.model.storageUri {_shown(uri)} has to be fetched, and this Pointsman has no image to fetch with;"
            " set storageInitializer.image in its Helm values, or use pvc:// or oci://"
        )
    pod = _mounted({"emptyDir": {}}, {})
    pod["spec"]["volumes"].append({"name": _SCRATCH, "emptyDir": {}})
    pod["spec"]["initContainers"] = [
        {
            "name": INITIALIZER,
            "image": image,
            "args": [literal(uri), MODEL_PATH],
            # Clients keep caches and unpack archives; the image's own file system may be read-only for its user.
            "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108  a volume of this pod alone
            # A pod needs the larger of its init containers and its containers, so this rarely costs anything.
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            # The pod's reason then says why the download failed.
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [
                {"mountPath": MODEL_PATH, "name": VOLUME},
                {"mountPath": "/tmp", "name": _SCRATCH},  # noqa: S108  the same volume
            ],
        }
    ]
    return pod


def _mounted(source: Json, mount: Json) -> Json:
    return {
        "spec": {
            "containers": [
                {
                    "name": CONTAINER,
                    "volumeMounts": [{"mountPath": MODEL_PATH, "name": VOLUME, "readOnly": True, **mount}],
                }
            ],
            "volumes": [{"name": VOLUME, **source}],
        }
    }


def literal(text: str) -> str:
    """`text` as a container's argument or environment value: Kubernetes would expand `$(NAME)` in it."""
    return text.replace("$", "$$")


def _shown(text: str) -> str:
    shown = text.encode("unicode_escape").decode()
    return f'"{shown}"' if len(shown) <= _SHOWN_LIMIT else f'"{shown[:_SHOWN_LIMIT]}..."'
