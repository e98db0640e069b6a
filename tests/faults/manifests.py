"""Manifests that nobody would write: good ones with a few fields made odd, from the schema and from beyond it, by a seeded random."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import yaml

from pointsman.api.values import API_VERSION
from tests.api.cel_examples import EXAMPLES, ROLLOUT, SPECS
from tests.conftest import CRDS

Json = dict[str, Any]
Path = tuple[str | int, ...]

KINDS = ("ModelDeployment", "ModelRuntime", "RolloutPolicy", "ModelRevision")
POD_TEMPLATE = "io.k8s.api.core.v1.PodTemplateSpec"

_STEM = "pointsman.dev/"
_DEPTH = 7
_NONSENSE = 0.1
_FORBIDDEN = frozenset({"finalizers"})  # pods that nobody could delete again

TEXTS = (
    "", " ", "\t\n", "\x00", "\x7f", "\u202e-drawkcab", "e\u0301", "😀" * 9, "\u2028", "ﬀ", "İ", "null", "true", "NaN", "1e400",
    "-0", "0x10", "model", "http", "metrics", "churn", "a" * 63, "a" * 253, "x" * 2048, "é" * 128, "../../etc/passwd", "$(MODEL_NAME)",
    "$(rm -rf /)", "{{ .Values }}", "%s%n", "'; drop table pods; --", "a\nb", '"} or vector(1) #', "1", "8080", "10.0.0.1", "::1",
)  # fmt: skip
PATTERNS = (
    ".*", "", "(", "[", "a{1001}", "(?=a)", "(?!x)", "(a)\\1", "(?P<n>a)(?P=n)", "a++", "(?>a)", "\\Z", "\\d+|\\pL", "[[:alpha:]]+", "(?i)x",
    "(a*)*b", "\\", '"', '"} or vector(1) #', "\n", "\x00", "5..|", "^$", "x" * 256, "😀", "(?P<>a)", "(?#comment)a", "a{2,1}", "\\u0041", "(?(1)a|b)",
)  # fmt: skip
QUANTITIES = (
    "1",
    "0",
    "-1",
    "100m",
    "1e3",
    "1E",
    "1.5Gi",
    "0.1m",
    "9223372036854775807",
    "1e400",
    "1 Gi",
    "much",
    "",
    "1ki",
    "+5",
)
DURATIONS = ("1s", "1ms", "0.001ms", "999999h", "999999h999999h9h", "1h1h1h1h1h", "0h0m1s", "1.999h", "10s", "0s")
TIMES = ("2026-01-01T00:00:00Z", "2100-12-31T23:59:59.999999Z", "2026-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z")
INTEGERS = (0, 1, -1, 2, 3, 17, 1000, 65535, 65536, 2**31 - 1, 2**31, 2**53, -(2**31))
HOSTILE = (
    None,
    True,
    -1,
    0,
    2**31,
    2**63 - 1,
    1.5,
    1e300,
    "",
    "\x00",
    "x" * 5000,
    "💥",
    [],
    {},
    [[]],
    [None],
    {"x": 1},
    {"": ""},
)
SCHEMES = (
    "pvc://models/churn/7",
    "pvc://models",
    "oci://r.example.com/a:1",
    "oci://A B",
    "https://host/x?y#z",
    "hf://org/model",
    "s3://😀/k",
)


@dataclass(frozen=True)
class Manifest:
    """An object to apply, and what of it is odd."""

    object: Json
    odd: tuple[Path, ...]

    @property
    def kind(self) -> str:
        kind: str = self.object["kind"]
        return kind

    @property
    def name(self) -> str:
        name: str = self.object["metadata"]["name"]
        return name


def schemas() -> dict[str, Json]:
    """The schemas of crds/ by kind."""
    found = {}
    for file in CRDS.glob("*.yaml"):
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]
        found[definition["names"]["kind"]] = definition["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return found


class Manifests:
    """An endless supply; the same seed gives the same.

    template  the API server's own schema of a PodTemplateSpec, and `definitions` what it refers to
    """

    def __init__(self, seed: int, definitions: Mapping[str, Json]) -> None:
        self._random = Random(seed)  # noqa: S311  a test's
        self._schemas = schemas()
        self._definitions = definitions

    def within(self, kind: str, name: str) -> Manifest:
        """A good one, with a few fields set to anything that their schema allows."""
        spec = self._good(kind)
        schema, times = self._schemas[kind]["spec"], self._random.choice((0, 1, 1, 2, 3, 8))
        odd = tuple(self._vary(spec, schema, ("spec",)) for _ in range(times))
        if isinstance(spec.get("template"), dict) and self._random.random() < 0.4:
            odd += (self._vary_pod(spec["template"], ("spec", "template")),)
        traffic = spec.get("traffic")
        if traffic and not traffic.get("hostnames") and self._random.random() < 0.9:
            traffic["hostnames"] = [self._hostname()]  # who takes every host leaves none to those who come later
        return Manifest(self._object(kind, name, spec), odd)

    def beyond(self, kind: str, name: str) -> Manifest:
        """A good one with one field that its schema refuses: of a wrong type, out of its limits, against a rule, or unknown."""
        spec = self._good(kind)
        odd = self._break(spec, self._schemas[kind]["spec"], ("spec",))
        return Manifest(self._object(kind, name, spec), (odd,))

    def status(self, kind: str, before: Json) -> Json:
        """A status after somebody has edited it, or restored the object without it."""
        status = {} if self._random.random() < 0.2 else copy.deepcopy(before)
        for _ in range(self._random.choice((0, 1, 2))):
            self._vary(status, self._schemas[kind]["status"], ("status",))
        return status

    def metadata(self) -> Json:
        """Annotations and labels, our own among them."""
        pick, some = self._random.choice, self._random.sample
        ours = ("abort", "promote", "retry", "approve", "pause", "decided", "applied")
        annotations = {
            _STEM + name: pick((*TEXTS, "x/1", "x/1/1", "/", "x/99999999999999999999")) for name in some(ours, 2)
        }
        annotations |= {"huge": "x" * 200_000} if self._random.random() < 0.05 else {}
        labels = {
            pick((_STEM + "deployment", _STEM + "revision", "app.kubernetes.io/managed-by", "team")): pick(
                ("", "churn", "a" * 63)
            )
        }
        return {"annotations": annotations, "labels": labels}

    # -- good ones

    def _good(self, kind: str) -> Json:
        random = self._random
        spec = copy.deepcopy(SPECS[kind])
        if kind in ("ModelDeployment", "ModelRuntime", "ModelRevision"):
            container = {
                "name": "model",
                "image": "server:1",
                "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 8082}],
            }
            spec["template"] = {"spec": {"containers": [container]}}
        if kind == "ModelRevision":
            spec["deployment"] = f"fuzz-{random.randrange(50)}"
        if kind == "ModelDeployment":
            if random.random() < 0.8:
                spec.pop("autoscaling")
                spec["replicas"] = random.choice((1, 1, 1, 2))
            spec["model"] = {"version": str(random.randrange(100))}
            spec["traffic"] = {"parentRefs": [{"name": "models"}], "hostnames": [self._hostname()]}
            spec["rollout"] = {
                **copy.deepcopy(ROLLOUT),
                "capacity": {"maxSurge": 1},
                "warmup": {"duration": "1s", "requests": 0},
                "interval": "1s",
            }
            spec["rollout"]["gates"] = [gate for gate in spec["rollout"]["gates"] if gate.get("source") != "Gateway"]
            for part in ("traffic", "rollout"):
                if random.random() < 0.3:
                    del spec[part]
        return spec

    def _hostname(self) -> str:
        return f"{self._random.getrandbits(40):x}.example.com"

    def _object(self, kind: str, name: str, spec: Json) -> Json:
        meta = {"name": name, **(self.metadata() if self._random.random() < 0.2 else {})}
        return {"apiVersion": API_VERSION, "kind": kind, "metadata": meta, "spec": spec}

    # -- within the schema

    def _vary(self, spec: Json, schema: Json, where: Path) -> Path:
        """Set one field, present or not, to what its schema allows; its path."""
        node, here, path = schema, spec, where
        while True:
            if node.get("x-kubernetes-preserve-unknown-fields"):
                return self._vary_pod(here, path)
            known = self._resolved(node)
            choices = list(known.get("properties", {}).items())
            if not choices:
                return path
            name, child = self._random.choice(choices)
            below = here.get(name)
            path = (*path, name)
            if isinstance(below, list) and below and isinstance(below[0], dict) and self._random.random() < 0.7:
                index = self._random.randrange(len(below))
                node, here, path = child["items"], below[index], (*path, index)
            elif isinstance(below, dict) and self._random.random() < 0.8:
                node, here = child, below
            elif below is not None and name not in known.get("required", ()) and self._random.random() < 0.2:
                del here[name]
                return path
            else:
                here[name] = self._value(child, path)
                return path

    def _vary_pod(self, template: Json, where: Path) -> Path:
        """The same in a pod template, whose schema is the API server's own."""
        schema, here, path = {"$ref": POD_TEMPLATE}, template, where
        while True:
            known = self._resolved(schema)
            choices = [(name, child) for name, child in known.get("properties", {}).items() if name not in _FORBIDDEN]
            if not choices:
                return path
            name, child = self._random.choice(choices)
            below = here.get(name)
            path = (*path, name)
            if self._random.random() < _NONSENSE:  # the ModelDeployment's schema takes anything in here
                here[name] = copy.deepcopy(self._random.choice(HOSTILE))
                return path
            if isinstance(below, list) and below and isinstance(below[0], dict):
                schema, here, path = child["items"], below[0], (*path, 0)
            elif isinstance(below, dict) and below:
                schema, here = child, below
            else:
                here[name] = self._value(child, path)
                return path

    def _value(self, schema: Json, path: Path) -> Any:
        random = self._random
        schema = self._resolved(schema)
        good = [
            value for rule in schema.get("x-kubernetes-validations", ()) for value in _examples(rule["message"], "good")
        ]
        if good and (schema.get("type") != "object" or random.random() < 0.5):
            return copy.deepcopy(random.choice(good))
        if "enum" in schema:
            return random.choice(schema["enum"])
        if schema.get("x-kubernetes-preserve-unknown-fields") and not schema.get("properties"):
            template = copy.deepcopy(SPECS["ModelRuntime"]["template"]) if random.random() < 0.8 else {}
            for _ in range(random.randrange(4)):
                self._vary_pod(template, ())
            return template
        make = {
            "object": self._mapping,
            "array": self._list,
            "integer": self._integer,
            "number": self._integer,
            "boolean": self._boolean,
        }
        return make.get(schema.get("type", "string"), self._text)(schema, path)

    def _mapping(self, schema: Json, path: Path) -> Json:
        random = self._random
        if "additionalProperties" in schema:
            keys = random.sample(
                ("code", "path", "le", "a_b", "_x", "cpu", "memory", "x.example.com/y", "😀", ""),
                max(schema.get("minProperties", 0), random.choice((0, 1, 1, 3))),
            )
            return {key: self._value(schema["additionalProperties"], (*path, key)) for key in keys}
        wanted = {name for name in schema.get("properties", {}) if random.random() < (0.3 if len(path) < _DEPTH else 0)}
        wanted |= set(schema.get("required", ()))
        return {name: self._value(schema["properties"][name], (*path, name)) for name in sorted(wanted - _FORBIDDEN)}

    def _list(self, schema: Json, path: Path) -> list[Any]:
        least, most = schema.get("minItems", 0), min(schema.get("maxItems", 4), 20)
        lengths = (least, least + 1, 1, 2, most) if len(path) < _DEPTH else (least,)
        length = max(least, min(most, self._random.choice(lengths)))
        return [self._value(schema["items"], (*path, index)) for index in range(length)]

    def _integer(self, schema: Json, _: Path) -> int:
        least, most = schema.get("minimum", -(2**31)), schema.get("maximum", 2**31 - 1)
        allowed = [number for number in (*INTEGERS, least, most, least + 1) if least <= number <= most]
        return int(self._random.choice(allowed))

    def _boolean(self, _schema: Json, _: Path) -> bool:
        return self._random.random() < 0.5

    def _text(self, schema: Json, path: Path) -> Any:
        name = str(path[-1]) if path else ""
        if schema.get("format") == "date-time":
            return self._random.choice(TIMES)
        if "port" in name.lower() or schema.get("format") == "int-or-string":
            return self._random.choice((80, 0, 65536, "http", "metrics", "50%", *TEXTS[:8]))
        if "match" in path or "failed" in path:
            pool: tuple[str, ...] = PATTERNS
        elif {"limits", "requests", "sizeLimit", "overhead", "capacity"} & set(map(str, path)):
            pool = QUANTITIES
        else:
            pool = (*TEXTS, *DURATIONS, *SCHEMES)
        least, most = schema.get("minLength", 0), schema.get("maxLength", 5000)
        fitting = [text for text in (*pool, "z" * min(most, 100_000)) if least <= len(text) <= most]
        return self._random.choice(fitting)

    def _resolved(self, schema: Json) -> Json:
        """The schema that it refers to, where it does."""
        while True:
            inner = schema.get("allOf") or ([schema] if "$ref" in schema else None)
            if inner is None:
                return schema
            schema = self._definitions[inner[0]["$ref"].rsplit("/", 1)[-1]]

    # -- beyond the schema

    def _break(self, spec: Json, schema: Json, where: Path) -> Path:
        places = [
            place for place in _places(spec, schema, where) if not place[1].get("x-kubernetes-preserve-unknown-fields")
        ]
        holder, below, key, path = self._random.choice([(h, s, k, p) for p, s, h, k in places])
        bad = [
            value for rule in below.get("x-kubernetes-validations", ()) for value in _examples(rule["message"], "bad")
        ]
        if "properties" in below and self._random.random() < 0.5:
            unknown = self._random.choice(("unknown", "Replicas", "x-y", "😀", "spec"))
            holder[key][unknown] = self._random.choice(HOSTILE[1:])
            return (*path, unknown)
        if bad and below.get("type") != "object" and self._random.random() < 0.6:
            holder[key] = copy.deepcopy(self._random.choice(bad))
        else:
            holder[key] = copy.deepcopy(
                self._random.choice([value for value in HOSTILE[1:] if not _allowed(below, value)])
            )
        return path


def _examples(message: str, side: str) -> tuple[Any, ...]:
    """Of a rule; not those that are whole objects, metadata and all."""
    found: tuple[Any, ...] = getattr(EXAMPLES[message], side) if message in EXAMPLES else ()
    return tuple(value for value in found if not (isinstance(value, dict) and "metadata" in value))


def _places(here: Json, schema: Json, path: Path) -> Iterator[tuple[Path, Json, Any, Any]]:
    """Everything in an object that its schema knows: path, schema, and where it is kept."""
    for name, value in here.items():
        child = schema.get("properties", {}).get(name)
        if child is None:
            continue
        yield (*path, name), child, here, name
        if isinstance(value, dict):
            yield from _places(value, child, (*path, name))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from _places(value[0], child["items"], (*path, name, 0))


def _allowed(schema: Json, value: object) -> bool:
    """Whether a value has the type and size that the schema asks for; what has no type there is a string or an integer."""
    types: dict[str, tuple[type, ...]] = {"object": (dict,), "array": (list,), "string": (str,), "integer": (int,)}
    if isinstance(value, bool) or schema.get("type") == "boolean":
        return isinstance(value, bool) and schema.get("type") == "boolean"
    if not isinstance(value, types.get(schema.get("type", ""), (str, int))):
        return False
    if isinstance(value, str):
        return "enum" not in schema and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 2**20)
    if isinstance(value, int):
        return bool(schema.get("minimum", -(2**63)) <= value <= schema.get("maximum", 2**63 - 1))
    return True
