"""What `kubectl apply -k` would send is what Kubernetes takes, and fits together. No cluster is at hand here."""

from __future__ import annotations

import json
from functools import partial

import kubernetes_validate
import pytest
import yaml

from deploy.k8s import prometheus_rules
from tests.manifests import (
    BASE,
    BATCH,
    K8S,
    LEGACY,
    RETIRED,
    Built,
    arrows,
    built,
    containers_of,
    needs_kubectl,
    pod_of,
    serving,
)

pytestmark = needs_kubectl

VERSIONS = ("1.28", "1.37")  # of the API: the oldest that these files are for, and a new one
json_of = partial(json.dumps, sort_keys=True)
OPERATOR = "monitoring.coreos.com/v1"
TRITON_ALONE = {
    ("ingress", "backend", 8080),
    ("prometheus", "backend", 8080),
    ("prometheus", "triton", 8002),
    ("backend", "triton", 8001),
    ("backend", "redis", 6379),
    ("backend", "dns", 53),
}
WITH_LEGACY = TRITON_ALONE | {
    arrow for name, port in LEGACY.items() for arrow in (("backend", name, port), ("prometheus", name, port))
}


@pytest.fixture(params=[BASE, RETIRED], ids=lambda folder: folder.name)
def house(request) -> Built:
    return built(request.param)


# --- what Kubernetes takes --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", [BASE, RETIRED, BATCH], ids=lambda folder: folder.name)
def test_every_object_is_one_that_this_kubernetes_takes(folder, version):
    for one in built(folder).objects:
        if one["apiVersion"] != OPERATOR:
            kubernetes_validate.validate(one, version, strict=True)


def test_what_is_no_kubernetes_is_found():
    """The control of the test above."""
    wrong = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_the_operators_objects_have_its_shape(house):
    """By hand: its schemas are not at hand here."""
    for monitor in house.of_kind("ServiceMonitor"):
        assert set(monitor["spec"]) == {"selector", "endpoints"}
        assert all(
            set(one) == {"port", "path", "interval", "scrapeTimeout"} for one in monitor["spec"]["endpoints"]
        )
    words = {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
    for rule in house.of_kind("PrometheusRule"):
        groups = rule["spec"]["groups"]
        assert len({group["name"] for group in groups}) == len(groups)  # the operator refuses a second one
        assert all(set(group) <= {"name", "interval", "rules"} for group in groups)
        assert all(set(one) <= words for group in groups for one in group["rules"])


def test_the_rules_of_the_cluster_are_those_that_promtool_tests(house):
    assert prometheus_rules.rendered() == prometheus_rules.RULES.read_text(), (
        "run deploy/k8s/prometheus_rules.py"
    )
    groups = [group for rule in house.of_kind("PrometheusRule") for group in rule["spec"]["groups"]]
    tested = [
        group
        for path in prometheus_rules.rule_files()
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    assert sorted(map(json_of, groups)) == sorted(map(json_of, tested))


def test_old_and_new_kustomize_know_every_word():
    """Debian's kubectl is 1.20: it builds what keeps to these, as was tried with it."""
    known = {"apiVersion", "kind", "namespace", "bases", "resources", "configMapGenerator", "secretGenerator",
             "generatorOptions", "images"}  # fmt: skip
    for path in K8S.rglob("kustomization.yaml"):
        assert set(yaml.safe_load(path.read_text())) <= known, path


# --- what fits together -----------------------------------------------------------------------------------


def test_every_object_is_in_the_one_namespace(house):
    for one in house.objects:
        where = one["metadata"]["name"] if one["kind"] == "Namespace" else one["metadata"]["namespace"]
        assert where == "crossfade", one


def test_every_service_leads_to_pods_that_listen_there(house):
    for service in house.of_kind("Service"):
        (name,) = house.selected(service["spec"]["selector"])
        assert name == service["metadata"]["name"]
        listens = {port["name"]: port["containerPort"] for port in serving(house, name)["ports"]}
        for port in service["spec"]["ports"]:
            assert listens[port["targetPort"]] == port["port"]


@pytest.mark.parametrize(
    ("folder", "jobs"), [(BASE, {"backend", "triton", *LEGACY}), (RETIRED, {"backend", "triton"})]
)
def test_prometheus_finds_each_job_that_the_alerts_name_once(folder, jobs):
    house = built(folder)
    found = [
        service["metadata"]["name"]
        for monitor in house.of_kind("ServiceMonitor")
        for endpoint in monitor["spec"]["endpoints"]
        for service in house.of_kind("Service")
        if monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        and endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    ]
    assert sorted(found) == sorted(jobs)


def test_every_configuration_secret_and_claim_that_is_named_exists(house):
    maps = {one["metadata"]["name"] for one in house.of_kind("ConfigMap")}
    secrets = set(
        yaml.safe_load((K8S / "secrets" / "kustomization.yaml").read_text())["secretGenerator"][0]["files"]
    )
    claims = {one["metadata"]["name"] for one in house.of_kind("PersistentVolumeClaim")}
    for workload in house.workloads.values():
        templates = {one["metadata"]["name"] for one in workload["spec"].get("volumeClaimTemplates", [])}
        volumes = {one["name"]: one for one in pod_of(workload).get("volumes", [])}
        for container in containers_of(workload):
            assert {one["configMapRef"]["name"] for one in container.get("envFrom", [])} <= maps
            assert {one["name"] for one in container["volumeMounts"]} <= set(volumes) | templates
        for volume in volumes.values():
            if "configMap" in volume and not volume["configMap"].get("optional"):
                assert volume["configMap"]["name"] in maps
            if "secret" in volume:
                assert volume["secret"]["secretName"] == "crossfade"
                assert {one["key"] for one in volume["secret"].get("items", [])} <= secrets
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims


def test_nobody_reaches_anybody_but_by_these_arrows():
    assert arrows(built(BASE)) == WITH_LEGACY
    assert arrows(built(RETIRED)) == TRITON_ALONE


def test_the_batch_job_reaches_the_backend_and_nobody_else():
    both = Built([*built(BASE).objects, *built(BATCH).objects])
    assert arrows(both) - WITH_LEGACY == {("batch", "backend", 8080), ("batch", "dns", 53)}


def test_an_update_a_drain_and_a_quiet_hour_leave_enough(house):
    least = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"]["minReplicas"]
        for one in house.of_kind("HorizontalPodAutoscaler")
    }
    deployments = {one["metadata"]["name"]: one for one in house.of_kind("Deployment")}
    for name, deployment in deployments.items():
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        assert ("replicas" in deployment["spec"]) != (name in least), "one of the two says how many"
    for budget in house.of_kind("PodDisruptionBudget"):
        (name,) = house.selected(budget["spec"]["selector"]["matchLabels"])
        replicas = least.get(name) or deployments[name]["spec"]["replicas"]
        assert 0 < budget["spec"]["minAvailable"] < replicas
    assert set(least) <= set(deployments)
    assert len(house.of_kind("PodDisruptionBudget")) == len(deployments)


@pytest.mark.parametrize("folder", [BASE, RETIRED, BATCH], ids=lambda folder: folder.name)
def test_every_pod_may_as_little_as_it_can(folder):
    for workload in built(folder).workloads.values():
        pod = pod_of(workload)
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for container in containers_of(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            for bound in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][bound])


def test_the_overlay_knows_nothing_of_legacy():
    retired = built(RETIRED)
    text = yaml.safe_dump_all(one for one in retired.objects if one["kind"] != "PrometheusRule")
    for word in ("rtdetr:", "yolo26:", "RTDETR_URL", "YOLO26_URL", "to-legacy", *map(str, LEGACY.values())):
        assert word not in text
    assert retired.configuration("backend")["LEGACY_ENABLED"] == "false"
    assert not set(LEGACY) & {one["metadata"]["name"] for one in retired.objects}
