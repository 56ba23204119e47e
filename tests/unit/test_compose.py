"""docker-compose.yml and what it mounts: read as text, no engine needed.

Whether a real server obeys the ACL is tested with the store.
"""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from revocation.__main__ import app
from revocation.errors import SettingsError
from revocation.settings import (
    AuthoritySettings,
    KafkaSettings,
    ProjectorSettings,
    SidecarSettings,
    StoreSettings,
)

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
STATIONS = [
    name for name, each in SERVICES.items() if each["image"] == "revocation:0.1.0"
]
STORES = [name for name in SERVICES if name.startswith("store-")]
REGIONS = [name.removeprefix("store-") for name in STORES]
SETTINGS = {
    "authority": AuthoritySettings,
    "projector": ProjectorSettings,
    "sidecar": SidecarSettings,
    "topics": KafkaSettings,
}
LIMITS = ("MAX_TOKEN_LIFETIME_SECONDS", "MAX_SESSION_SECONDS", "LEEWAY_SECONDS")


def environment(service):
    """Return the variables of a service, with the defaults of what .env may set."""
    return {
        name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
        for name, value in SERVICES[service]["environment"].items()
    }


def mounted(service):
    """Return the secret mounted under each name."""
    return {each["target"]: each["source"] for each in SERVICES[service]["secrets"]}


def one_shot(service):
    return SERVICES[service].get("restart") == "no"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_privilege_that_it_does_not_need(name):
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert not {"privileged", "cap_add", "network_mode", "pid"} & {*service}
    assert not any("docker.sock" in volume for volume in service.get("volumes", ()))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_and_bounded(name):
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]

    assert "healthcheck" in service or one_shot(name)
    assert {"cpus", "memory", "pids"} <= {*limits}
    assert service["logging"]["options"]["max-size"]
    assert re.search(r":\d+\.\d+\.\d+", service["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_what_can_be_waited_for(name):
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        finishes = wanted["condition"] == "service_completed_successfully"
        assert finishes == one_shot(other)
        assert finishes or wanted["condition"] == "service_healthy"


def test_all_that_is_named_is_declared_and_used():
    used = {"networks": set(), "volumes": set(), "secrets": set()}
    for name, service in SERVICES.items():
        used["networks"] |= {*service["networks"]}
        volumes = {each.split(":")[0] for each in service.get("volumes", ())}
        used["volumes"] |= {each for each in volumes if not each.startswith(".")}
        used["secrets"] |= {*mounted(name).values()} if "secrets" in service else set()

    assert {kind: {*COMPOSE[kind]} for kind in used} == used


@pytest.mark.parametrize("name", STATIONS)
def test_a_station_runs_a_command_that_exists(name):
    group = get_command(app)
    first, *rest = SERVICES[name]["command"]

    command = group.commands[first]
    if hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    assert command.make_context(first, rest)


@pytest.mark.parametrize("name", STATIONS)
def test_the_variables_of_a_station_are_its_settings(name, monkeypatch, tmp_path):
    settings = SETTINGS[SERVICES[name]["command"][0]]
    variables = environment(name)
    for target in mounted(name) if "secrets" in SERVICES[name] else ():
        (tmp_path / target).write_text("0123456789abcdef" * 2 + "\n")

    for variable, value in variables.items():
        field = variable.removeprefix("REVOCATION_").lower()
        assert field in settings.model_fields
        monkeypatch.setenv(variable, value.replace("/run/secrets", str(tmp_path)))

    region = {"region": "eu"} if "region" in settings.model_fields else {}
    assert settings(**region)


def test_stations_agree_on_how_long_things_live():
    seen = {
        tuple(environment(name)[f"REVOCATION_{limit}"] for limit in LIMITS)
        for name in STATIONS
    }
    assert len(seen) == 1


def test_the_authorities_are_twins_that_share_nothing():
    one, other = (name for name in SERVICES if name.startswith("authority"))

    for variable in ("REVOCATION_AUTHORITY_ID", "REVOCATION_INSTANCE_ID"):
        assert environment(one)[variable] != environment(other)[variable]
    assert SERVICES[one]["volumes"] != SERVICES[other]["volumes"]
    for name in (one, other):
        (volume,) = SERVICES[name]["volumes"]
        assert volume.split(":")[1] == environment(name)["REVOCATION_DATA_DIR"]


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_is_one_store_one_projector_and_one_sidecar(region):
    for station, user in (("projector", "projector"), ("sidecar", "verifier")):
        name = f"{station}-{region}"
        variables = environment(name)

        assert SERVICES[name]["command"] == [station, "--region", region]
        address = f"redis://{user}@store-{region}:6379/0"
        assert variables["REVOCATION_STORE_URL"] == address
        assert f"region-{region}" in SERVICES[name]["networks"]
        assert f"store-{region}" in SERVICES[name]["depends_on"]
        assert mounted(name) == {
            "pepper": f"pepper_{region}",
            "store_password": f"{user}_{region}",
        }
    assert SERVICES[f"store-{region}"]["networks"] == [f"region-{region}"]
    assert mounted(f"store-{region}") == {"users.acl": f"users_{region}"}


def test_there_are_three_regions():
    assert REGIONS == ["eu", "us", "ap"]
    for kind in ("projector", "sidecar"):
        assert [name for name in SERVICES if name.startswith(f"{kind}-")] == [
            f"{kind}-{region}" for region in REGIONS
        ]


def test_a_verifier_cannot_reach_kafka_nor_another_region():
    for region in REGIONS:
        name = f"sidecar-{region}"
        shared = {*SERVICES[name]["networks"]} & {*SERVICES["kafka"]["networks"]}
        assert not shared
        assert not any("BOOTSTRAP" in variable for variable in environment(name))
        networks = {each for each in SERVICES[name]["networks"] if "region" in each}
        assert networks == {f"region-{region}"}


def test_only_loopback_is_published_and_inner_networks_have_no_way_out():
    published = [port for each in SERVICES.values() for port in each.get("ports", ())]
    open_networks = {name for name, each in COMPOSE["networks"].items() if not each}

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert open_networks == {"producers", "services"}
    assert all(each.get("internal", True) for each in COMPOSE["networks"].values())


def test_the_dockerfile_builds_from_pinned_images_and_runs_as_nobody():
    text = (ROOT / "Dockerfile").read_text()
    (user,) = re.findall(r"^USER (.*)$", text, re.MULTILINE)

    assert re.search(r"^ARG PYTHON=3\.\d+\.\d+-slim-\w+$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"python:${PYTHON}"}
    assert all(SERVICES[name]["user"] == user for name in STATIONS)
    assert not re.search(r"^(ADD|ARG .*(PASSWORD|TOKEN|SECRET))", text, re.MULTILINE)


def test_the_builder_gets_only_what_the_dockerfile_copies():
    text = (ROOT / "Dockerfile").read_text()
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)

    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert allowed == {source for each in copied for source in each.split()}


REDIS = ROOT / "deploy/redis"
USERS = {
    rule[1]: rule[2:]
    for line in (REDIS / "users.acl.template").read_text().splitlines()
    if (rule := line.split()) and rule[0] == "user"
}
FUNCTIONS = (ROOT / "revocation/store/functions.lua").read_text()


def commands(user):
    return {rule[1:] for rule in USERS[user] if rule.startswith("+")}


def called(source):
    return {name.lower() for name in re.findall(r"redis\.call\('(\w+)'", source)}


def test_a_user_starts_from_nothing():
    assert {*USERS} == {"default", "health", "projector", "verifier"}
    for rules in USERS.values():
        assert {"-@all", "resetkeys", "resetchannels"} <= {*rules}
        assert not {"allcommands", "allkeys", "allchannels", "~*", "&*"} & {*rules}
        assert not any(rule.startswith("+@") for rule in rules)


def test_only_the_health_check_needs_no_password_and_it_can_only_ping():
    assert USERS["default"][0] == "off"
    assert [user for user, rules in USERS.items() if "nopass" in rules] == ["health"]
    assert commands("health") == {"ping"}
    for user in ("projector", "verifier"):
        assert f"#{user.upper()}_SHA256" in USERS[user]


def test_a_verifier_can_only_read():
    reading = {"fcall_ro", "time", "hgetall", "hmget", "mget", "pexpiretime"}
    reading |= {"get", "hget", "scan", "dbsize", "info", "xread"}

    assert commands("verifier") == reading
    assert [rule for rule in USERS["verifier"] if "~" in rule] == ["%R~{r}*"]


def test_each_user_may_do_what_the_functions_do_for_it():
    writing, _, reading = FUNCTIONS.partition("local function find(")

    assert called(writing) <= commands("projector")
    assert called(reading) <= commands("verifier")
    assert called(writing)
    assert called(reading)


def test_keys_begin_with_the_prefix_that_the_users_are_given():
    prefix = StoreSettings.model_fields["store_prefix"].default
    for user in ("projector", "verifier"):
        (keys,) = (rule for rule in USERS[user] if "~" in rule)
        assert keys.endswith(f"~{{{prefix}}}*")


def test_the_server_never_evicts_and_leaves_room_to_rewrite_its_file():
    lines = (REDIS / "redis.conf").read_text().splitlines()
    settings = dict(line.split(" ", 1) for line in lines if line and line[0] != "#")

    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["maxmemory"] == "256mb"
    assert settings["aclfile"] == "/run/secrets/users.acl"
    for name in STORES:
        limits = SERVICES[name]["deploy"]["resources"]["limits"]
        assert limits["memory"] == "512M"
        assert f"{name}:{settings['dir']}" in SERVICES[name]["volumes"]


def test_the_script_makes_every_secret_and_hashes_the_passwords(tmp_path):
    script = ["sh", str(REDIS / "make-secrets.sh")]
    subprocess.run(script, cwd=tmp_path, check=True, capture_output=True)
    secrets = {
        name: tmp_path / each["file"] for name, each in COMPOSE["secrets"].items()
    }
    before = {name: path.read_bytes() for name, path in secrets.items()}
    subprocess.run(script, cwd=tmp_path, check=True, capture_output=True)

    assert {name: path.read_bytes() for name, path in secrets.items()} == before
    assert next(iter(secrets.values())).parent.stat().st_mode & 0o777 == 0o700
    for region in REGIONS:
        users = before[f"users_{region}"].decode()
        assert [line.split()[1] for line in users.splitlines()] == [*USERS]
        for user in ("projector", "verifier"):
            password = before[f"{user}_{region}"].strip()
            assert len(password) >= 64
            assert f"#{hashlib.sha256(password).hexdigest()}" in users


@pytest.fixture
def store(tmp_path):
    (tmp_path / "pepper").write_text("0123456789abcdef" * 2)
    (tmp_path / "password").write_text("p@ss:w/ord?#%\n")

    def new(url, **settings):
        return StoreSettings(
            region="eu", pepper_file=tmp_path / "pepper", store_url=url, **settings
        )

    return new


@pytest.mark.parametrize(
    ("url", "combined"),
    [
        ("redis://me@store:6379/0", "redis://me:{}@store:6379/0"),
        ("rediss://store", "rediss://:{}@store"),
        ("unix://me@/run/valkey.sock?db=1", "unix://me:{}@/run/valkey.sock?db=1"),
    ],
)
def test_the_password_of_the_store_comes_from_its_file(store, tmp_path, url, combined):
    settings = store(url, store_password_file=tmp_path / "password")

    assert settings.store_url == combined.format("p%40ss%3Aw%2Ford%3F%23%25")
    assert store(url).store_url == url


def test_two_passwords_or_none_at_all_are_refused(store, tmp_path):
    (tmp_path / "empty").write_text("\n")

    with pytest.raises(SettingsError, match=r"STORE_URL: .*names another"):
        store("redis://me:a@store", store_password_file=tmp_path / "password")
    with pytest.raises(SettingsError, match="has 0 bytes"):
        store("redis://me@store", store_password_file=tmp_path / "empty")
    with pytest.raises(SettingsError, match="cannot read"):
        store("redis://me@store", store_password_file=tmp_path / "missing")
