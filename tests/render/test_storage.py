import pytest

from pointsman.errors import Terminal
from pointsman.render.storage import storage

IMAGE = "registry.example/storage-initializer:v1"


@pytest.mark.parametrize(
    ("uri", "volume", "sub_path"),
    [
        ("pvc://models", {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}, None),
        ("pvc://models/", {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}, None),
        ("pvc://models/churn/7", {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}, "churn/7"),
        ("pvc://models//etc/", {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}, "etc"),
        ("pvc://a.b/..7/v..2", {"persistentVolumeClaim": {"claimName": "a.b", "readOnly": True}}, "..7/v..2"),
        ("oci://churn:7", {"image": {"reference": "churn:7"}}, None),
        ("oci://registry.example:5000/ml/churn", {"image": {"reference": "registry.example:5000/ml/churn"}}, None),
        (f"oci://r.example/churn@sha256:{'a' * 64}", {"image": {"reference": f"r.example/churn@sha256:{'a' * 64}"}}, None),
    ],
)  # fmt: skip
def test_mounts_read_only(uri: str, volume: dict[str, object], sub_path: str | None) -> None:
    pod = storage(uri, initializer_image=None)["spec"]
    mount = {"mountPath": "/mnt/models", "name": "model-files", "readOnly": True}
    assert pod["volumes"] == [{"name": "model-files", **volume}]
    assert pod["containers"] == [
        {"name": "model", "volumeMounts": [mount | ({} if sub_path is None else {"subPath": sub_path})]}
    ]
    assert "initContainers" not in pod


@pytest.mark.parametrize(
    ("uri", "argument"),
    [
        ("s3://bucket/churn/7", "s3://bucket/churn/7"),
        ("https://host/a?token=b&c", "https://host/a?token=b&c"),
        ("gs://bucket/é", "gs://bucket/é"),
        ("hf://org/model:v1", "hf://org/model:v1"),
        ("s3://bucket/$(MODEL_NAME)/$x", "s3://bucket/$$(MODEL_NAME)/$$x"),
    ],
)
def test_fetches_other_schemes_with_the_initializer(uri: str, argument: str) -> None:
    pod = storage(uri, initializer_image=IMAGE)["spec"]
    (init,) = pod["initContainers"]
    assert (init["name"], init["image"], init["args"]) == ("storage-initializer", IMAGE, [argument, "/mnt/models"])
    volumes = {volume["name"] for volume in pod["volumes"] if volume["emptyDir"] == {}}
    writable = {mount["mountPath"] for mount in init["volumeMounts"] if not mount.get("readOnly")}
    assert volumes == {mount["name"] for mount in init["volumeMounts"]}
    assert writable == {"/mnt/models", "/tmp"}  # noqa: S108  in the container
    assert {"name": "HOME", "value": "/tmp"} in init["env"]  # noqa: S108  in the container
    assert pod["containers"][0]["volumeMounts"] == [
        {"mountPath": "/mnt/models", "name": "model-files", "readOnly": True}
    ]


LONG = "x" * 2000

REFUSED = {
    "no scheme": ("models/churn", "is not a URI; write one without spaces, such as pvc://claim/path"),
    "a space": ("s3://bucket/a b", "is not a URI"),
    "a line end": ("s3://bucket/a\n", r'"s3://bucket/a\n" is not a URI'),
    "a control character": ("s3://bucket/a\x00", r'"s3://bucket/a\x00" is not a URI'),
    "an option instead": ("--help", '"--help" is not a URI'),
    "no claim": ("pvc:///models", 'names the PersistentVolumeClaim "", which cannot be a claim\'s name'),
    "a claim in capitals": ("pvc://Models/x", 'names the PersistentVolumeClaim "Models"'),
    "a claim that is a path": ("pvc://../x", 'names the PersistentVolumeClaim ".."'),
    "a claim that is too long": (f"pvc://{'a' * 254}", "cannot be a claim's name; write pvc://claim/path"),
    "a way up": ("pvc://models/../secrets", "has `.` or `..` in its path, which would lead out of it"),
    "a way up at the end": ("pvc://models/a/..", "write the path from the volume's root, such as pvc://models/churn/7"),
    "the folder itself": ("pvc://models/./a", "has `.` or `..` in its path"),
    "an image with a scheme": ("oci://https://x", "is not an image reference; write oci://registry/repository:tag"),
    "an image in capitals": ("oci://registry/Churn", "is not an image reference"),
    "an image without a tag after the colon": ("oci://registry/churn:", "is not an image reference"),
    "no initializer": ("s3://bucket/a", "set storageInitializer.image in its Helm values, or use pvc:// or oci://"),
    "something endless": (f"oci://{LONG}?", f'"oci://{LONG[:194]}..." is not an image reference'),
}


@pytest.mark.parametrize(("uri", "sentence"), REFUSED.values(), ids=REFUSED)
def test_refuses_with_a_sentence(uri: str, sentence: str) -> None:
    with pytest.raises(Terminal) as refused:
        storage(uri, initializer_image=None)
    assert sentence in str(refused.value)
    assert str(refused.value).startswith("spec.model.storageUri ")
    assert str(refused.value).isprintable()
