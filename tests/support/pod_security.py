"""The rules of PodSecurity `restricted`, as Kubernetes' admission controller has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
SELINUX_TYPES = frozenset(
    {"container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
)
SECCOMP = frozenset({"RuntimeDefault", "Localhost"})


def violations(pod: dict[str, Any]) -> list[str]:
    """Judge the template of a pod.

    Returns:
        What `restricted` forbids of it; nothing if it may run.
    """
    spec = pod["spec"]
    context = spec.get("securityContext", {})
    found = [
        f"{field} is set" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)
    ]
    found += _volumes(spec)
    found += _any_context("pod", context)
    found += [f"sysctl {each['name']}" for each in context.get("sysctls", ())]
    annotations = pod["metadata"].get("annotations", {})
    found += [key for key in annotations if "apparmor" in key or "seccomp" in key]
    containers = [
        container
        for kind in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(kind, ())
    ]
    for container in containers:
        found += _container(container, context)
    return found


def _volumes(spec: dict[str, Any]) -> Iterator[str]:
    for volume in spec.get("volumes", ()):
        kinds = volume.keys() - {"name"}
        if not kinds <= VOLUMES:
            yield f"volume {volume['name']} is a {', '.join(kinds)}"


def _any_context(name: str, context: dict[str, Any]) -> Iterator[str]:
    """What a pod's and a container's context may say alike."""
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"{name}: a host process"
    if context.get("runAsUser") == 0:
        yield f"{name}: runs as root"
    options = context.get("seLinuxOptions", {})
    if options.get("type", "container_t") not in SELINUX_TYPES or options.keys() & {"user", "role"}:
        yield f"{name}: SELinux options"
    if context.get("appArmorProfile", {}).get("type") == "Unconfined":
        yield f"{name}: AppArmor is off"
    if "seccompProfile" in context and context["seccompProfile"]["type"] not in SECCOMP:
        yield f"{name}: seccomp is off"


def _container(container: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    name, context = container["name"], container.get("securityContext", {})
    yield from _any_context(name, context)
    both = {**pod, **context}
    if both.get("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot is not true"
    if both.get("seccompProfile") is None:
        yield f"{name}: no seccomp profile"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: privileges can be escalated"
    if context.get("privileged"):
        yield f"{name}: is privileged"
    if context.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    yield from _capabilities(name, context.get("capabilities", {}))
    if any(port.get("hostPort") for port in container.get("ports", ())):
        yield f"{name}: a port of the host's"
    probes = [container.get(f"{kind}Probe", {}) for kind in ("startup", "liveness", "readiness")]
    for asked in [*probes, *container.get("lifecycle", {}).values()]:
        if any("host" in asked.get(kind, {}) for kind in ("httpGet", "tcpSocket")):
            yield f"{name}: a probe of another host"


def _capabilities(name: str, capabilities: dict[str, Any]) -> Iterator[str]:
    if "ALL" not in capabilities.get("drop", ()):
        yield f"{name}: not all capabilities are dropped"
    if not {"NET_BIND_SERVICE"} >= set(capabilities.get("add", ())):
        yield f"{name}: capabilities are added"
