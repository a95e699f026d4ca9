"""The deployment examples: what can be checked by its own program is; of the others, what makes them safe to copy."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.grafana.conftest import GRAFANA
from tests.real.need import need

DEPLOY = GRAFANA / "deploy"
ROOT = GRAFANA.parent
COMPOSE: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


@pytest.mark.parametrize("name", ["prometheus/prometheus.yml", "deploy/prometheus.yml"])
def test_promtool_accepts_the_configuration(name: str, tmp_path: Path) -> None:
    need("promtool")
    for rules in ("recording.yml", "alerts.yml"):
        (tmp_path / rules).symlink_to(GRAFANA / "prometheus" / rules)
    config = tmp_path / "prometheus.yml"
    config.write_text((GRAFANA / name).read_text().replace("/etc/prometheus/", ""))
    done = subprocess.run(["promtool", "check", "config", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "15 rules found" in done.stdout


def test_promtool_accepts_the_agents_configuration() -> None:
    need("promtool")
    config = DEPLOY / "prometheus-agent.yml"
    argv = ["promtool", "check", "config", "--agent", str(config)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nginx_accepts_its_snippet(tmp_path: Path) -> None:
    need("nginx", "openssl")
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=metrics.example.com", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    snippet = (DEPLOY / "nginx.conf").read_text().replace("/etc/nginx/tls", str(tmp_path))
    config = tmp_path / "nginx.conf"
    config.write_text(f"pid {tmp_path}/pid; events {{}} http {{ access_log off; {snippet} }}")
    argv = ["nginx", "-t", "-c", str(config), "-e", str(tmp_path / "error.log")]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_image_is_pinned_and_every_port_is_on_loopback() -> None:
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name


def test_the_containers_mount_files_that_exist_and_claudes_folder_read_only() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service["volumes"]]
    for mount in mounts:
        source = mount.split(":")[0]
        if source.startswith("."):
            assert (DEPLOY / source).exists(), mount
    (claude,) = [mount for mount in mounts if mount.endswith(":/claude:ro")]
    assert "~/.claude" in claude


def test_prometheus_in_a_container_asks_for_a_name_that_the_monitor_accepts() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    name, port = target.split(":")
    exporter = tomllib.loads((DEPLOY / "config/config.toml").read_text())["exporter"]
    assert name in SERVICES
    assert name in exporter["hosts"]
    assert exporter["listen"].endswith(f":{port}")


def test_grafana_finds_its_dashboards_and_its_data_source() -> None:
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/claude-tracker.yaml").read_text())
    path = provider["providers"][0]["options"]["path"]
    assert f"../dashboards:{path}:ro" in SERVICES["grafana"]["volumes"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(path)
    assert (GRAFANA / "dashboards" / Path(home).name).exists()
    assert path in (GRAFANA / "README.md").read_text()


def test_the_image_is_built_from_files_that_exist() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split()[:-1]), line
    assert re.search(r"^USER monitor$", text, re.MULTILINE)
    settings = dict(re.findall(r"(\w+)=(\S+)", re.findall(r"^ENV (.+)$", text, re.MULTILINE)[0]))
    assert f":{settings['CLAUDE_CONFIG_DIR']}:ro" in str(SERVICES["monitor"]["volumes"])


def test_the_cluster_has_one_monitor_without_privileges_behind_a_service_of_the_rules_name() -> (
    None
):
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yml").read_text()))
    by_kind = {document["kind"]: document for document in documents}
    assert set(by_kind) == {"ConfigMap", "Deployment", "Service", "ServiceMonitor"}
    pod = by_kind["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert by_kind["Deployment"]["spec"]["replicas"] == 1
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    service = by_kind["Service"]
    assert service["metadata"]["name"] == "claude-tracker"  # becomes the job
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["targetPort"] in ports
    monitor = by_kind["ServiceMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert monitor["endpoints"][0]["relabelings"][0]["targetLabel"] == "instance"
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    exporter = tomllib.loads(by_kind["ConfigMap"]["data"]["config.toml"])["exporter"]
    assert exporter["listen"] == f":{ports['metrics']}"


def test_alloy_names_the_machine() -> None:
    text = (DEPLOY / "config.alloy").read_text()
    assert re.search(r'"instance"\s*=\s*constants\.hostname', text)
    assert text.count("{") == text.count("}")
    assert "prometheus.remote_write.store.receiver" in text
    assert 'prometheus.remote_write "store"' in text


def test_every_scrape_gives_the_job_the_name_that_the_rules_need() -> None:
    alerts = (GRAFANA / "prometheus/alerts.yml").read_text()
    assert set(re.findall(r'job="([^"]+)"', alerts)) == {"claude-tracker"}
    for name in (
        "prometheus/prometheus.yml",
        "deploy/prometheus.yml",
        "deploy/prometheus-agent.yml",
    ):
        config = yaml.safe_load((GRAFANA / name).read_text())
        assert [job["job_name"] for job in config["scrape_configs"]] == ["claude-tracker"]
