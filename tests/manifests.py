"""What deploy/k8s comes to: its objects as kubectl builds them, and questions that tests ask of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

K8S = Path(__file__).parents[1] / "deploy" / "k8s"
BASE, RETIRED, BATCH = K8S / "base", K8S / "overlays" / "retired", K8S / "batch"
LEGACY = {"rtdetr": 8090, "yolo26": 8095}
WORKLOADS = ("Deployment", "StatefulSet", "Job")
OUTSIDE = {"ingress-nginx": "ingress", "monitoring": "prometheus", "kube-system": "dns"}

Object = dict[str, Any]
Arrow = tuple[str, str, int]  # from, to, port

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None,
    reason="there is no kubectl here (Debian: apt-get install kubernetes-client)",
)


@dataclass(frozen=True)
class Built:
    objects: list[Object]

    def of_kind(self, *kinds: str) -> list[Object]:
        return [one for one in self.objects if one["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object:
        return next(one for one in self.of_kind(kind) if one["metadata"]["name"] == name)

    @property
    def workloads(self) -> dict[str, Object]:
        return {one["metadata"]["name"]: one for one in self.of_kind(*WORKLOADS)}

    def selected(self, labels: dict[str, str]) -> list[str]:
        """The workloads whose pods have these labels."""
        return [
            name
            for name, workload in self.workloads.items()
            if labels.items() <= workload["spec"]["template"]["metadata"]["labels"].items()
        ]

    def configuration(self, name: str) -> dict[str, str]:
        """What is in a generated ConfigMap; `name` is without the hash of its content."""
        found = [
            one for one in self.of_kind("ConfigMap") if one["metadata"]["name"].rpartition("-")[0] == name
        ]
        assert len(found) == 1, name
        data: dict[str, str] = found[0]["data"]
        return data


@cache
def built(folder: Path) -> Built:
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Built([one for one in yaml.safe_load_all(done.stdout) if one])


def pod_of(workload: Object) -> Object:
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def serving(house: Built, name: str) -> Object:
    """The one container that runs on, of this workload."""
    (container,) = pod_of(house.workloads[name])["containers"]
    found: Object = container
    return found


def containers_of(workload: Object) -> list[Object]:
    pod = pod_of(workload)
    return [*pod.get("initContainers", []), *pod["containers"]]


def probes_of(workload: Object) -> Iterator[tuple[Object, Object]]:
    """Each probe, with its container."""
    for container in containers_of(workload):
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            if name in container:
                yield container, container[name]


def environment_of(container: Object, house: Built) -> dict[str, str]:
    """What a container is told, but for what comes out of a Secret."""
    maps = [one["configMapRef"]["name"] for one in container.get("envFrom", [])]
    told = [house.named("ConfigMap", name)["data"] for name in maps]
    own = {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}
    return {name: value for some in (*told, own) for name, value in some.items()}


def arrows(house: Built) -> set[Arrow]:
    """Who reaches whom, and where: what both the one's policies and the other's admit."""
    leave = _admitted(house, "Egress")
    enter = _admitted(house, "Ingress")
    outside = set(OUTSIDE.values())
    ours = {
        (name, peer, port) for name, peer, port in leave if peer in outside or (peer, name, port) in enter
    }
    return ours | {(peer, name, port) for name, peer, port in enter if peer in outside}


def _admitted(house: Built, direction: str) -> set[tuple[str, str, int]]:
    """Pod, its peer, and the port. A pod that no policy of a direction selects may all, which must not be."""
    policies = [
        one["spec"] for one in house.of_kind("NetworkPolicy") if direction in one["spec"]["policyTypes"]
    ]
    guarded = {
        name for policy in policies for name in house.selected(policy["podSelector"].get("matchLabels", {}))
    }
    assert guarded == set(house.workloads)
    return {
        (pod, peer, port["port"])
        for policy in policies
        for rule in policy.get(direction.lower(), [])
        for pod, where, port in product(
            house.selected(policy["podSelector"].get("matchLabels", {})),
            rule["from" if direction == "Ingress" else "to"],
            rule["ports"],
        )
        for peer in _peers(house, where)
    }


def _peers(house: Built, where: Object) -> list[str]:
    if "namespaceSelector" in where:
        return [OUTSIDE[where["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]]]
    found = house.selected(where["podSelector"]["matchLabels"])
    assert found, f"a policy admits {where}, and there is no such pod"
    return found
