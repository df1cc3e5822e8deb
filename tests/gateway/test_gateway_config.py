"""Settings, secrets and keys: safe defaults, no silence, no leaks."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bailiwick.errors import ConfigError
from bailiwick.gateway.config import load_config
from bailiwick.gateway.keys import load_keys, make_data_dir
from bailiwick.gateway.secrets import resolve
from bailiwick.model.policy import SecretRef


def test_defaults_are_safe_without_a_file(tmp_path: Path) -> None:
    config = load_config(tmp_path / "policy.yaml", {})
    assert (config.environment, config.postgres.host, config.postgres.port) == ("production", "127.0.0.1", 6432)
    assert config.data_dir == tmp_path / ".bailiwick"
    assert config.admin_socket == tmp_path / ".bailiwick" / "admin.sock"
    assert (config.sessions.default_ttl, config.sessions.max_ttl) == (timedelta(minutes=30), timedelta(hours=12))


def test_file_beside_the_policy_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("postgres: {port: 7000, host: 0.0.0.0}\nlimits:\n  statement: 1MiB\n")
    config = load_config(tmp_path / "policy.yaml", {"BAILIWICK_POSTGRES_PORT": "7001"})
    assert (config.postgres.port, config.postgres.host, config.limits.statement) == (7001, "0.0.0.0", 1024 * 1024)


def test_policy_in_a_folder_has_its_settings_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("environment: staging")
    assert load_config(tmp_path, {}).environment == "staging"


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("postgres: {prot: 1}", "gateway.yaml:1:12: unknown key `postgres.prot`", "did you mean `postgres.port`?"),
        ("enviroment: staging", "gateway.yaml:1:1: unknown key `enviroment`", "did you mean `environment`?"),
        ("environment: prod", "gateway.yaml:1:14: `environment`: `prod` is not an environment", "write `staging`"),
        ("\npostgres:\n  port: 99999", "gateway.yaml:3:9: `postgres.port`: `99999` is not a port", "0 to 65535"),
        ("postgres: {port: -1}", "is not a port", "0 to 65535"),
        ("sessions: {max_ttl: 0h}", "is not a duration", "30m"),
        ("sessions: {max_ttl: 1h, max_ttl: 2h}", "`sessions.max_ttl` is given twice", "remove one"),
        ("sessions: {max_ttl: 10m}", "`sessions.default_ttl` is longer than `sessions.max_ttl`", "lower"),
        ("postgres: {tls_cert: a.pem}", "belong together", "give both"),
        ("postgres: 5", "gateway.yaml:1:11: a mapping of settings", ""),
        ("environment: [staging]", "`environment` takes one value", ""),
        ("- a", "a mapping of settings", ""),
        ("a: [", "is not YAML", "syntax"),
        (
            "http: {url: https://apis.example/v1}",
            "`http.url`: `https://apis.example/v1` is not a URL without",
            "scheme",
        ),
        ("authzen: user", "gateway.yaml:1:10: `authzen` maps names to settings", ""),
        ("authzen: {subject: {}}", "`authzen` has an unknown key `subject`", "`subjects`"),
        ("authzen: {subjects: {agent: a-bot}}", "`agent` is known already", "another type"),
        ("authzen: {subjects: {user: [a-bot]}}", "`authzen.subjects.user` is no agent", "name the agent"),
        ("authzen: {actions: {can_call: call}}", "`authzen.actions.can_call` is no verb of data", "read, create"),
        ("authzen: {actions: {a b: read}}", "`a b` cannot be such a name", "letters"),
    ],
)
def test_wrong_settings_name_their_place_and_a_remedy(tmp_path: Path, text: str, message: str, remedy: str) -> None:
    (tmp_path / "gateway.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, {})
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert "\n" not in caught.value.message


def test_misspelt_variable_is_an_error_and_a_stranger_is_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BAILIWICK_POSTGRES_PROT"):
        load_config(tmp_path, {"BAILIWICK_POSTGRES_PROT": "1"})
    assert load_config(tmp_path, {"BAILIWICK_TEST_SHARD": "1"}).postgres.port == 6432


def test_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        load_config(tmp_path, {}, tmp_path / "other.yaml")


def test_secrets_come_from_environment_and_files_only(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("from-file\n")
    assert resolve(SecretRef("file:pw"), {}, tmp_path).reveal() == "from-file"
    whole = resolve(SecretRef("postgres://a:${PW}@host/db"), {"PW": "x"}, tmp_path)
    assert whole.reveal() == "postgres://a:x@host/db"


def test_resolved_secret_shows_in_no_text(tmp_path: Path) -> None:
    secret = resolve(SecretRef("${PW}"), {"PW": "canary-9911"}, tmp_path)
    assert "canary-9911" not in f"{secret} {secret!r} {secret!s} {secret:>20} {[secret]}"


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("${PW}", "`PW` is not set"),
        ("${EMPTY}", "`EMPTY` is not set"),
        ("${a b}", "does not name an environment variable"),
        ("file:missing", "cannot be read"),
        ("file:blank", "empty"),
        ("vault:secret/crm", "not supported yet"),
    ],
)
def test_secret_that_cannot_be_resolved_is_a_clear_error(tmp_path: Path, ref: str, message: str) -> None:
    (tmp_path / "blank").write_text("\n")
    with pytest.raises(ConfigError, match=message) as caught:
        resolve(SecretRef(ref), {"EMPTY": ""}, tmp_path)
    assert caught.value.remedy


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "d")
    first = load_keys(tmp_path / "d")
    again = load_keys(tmp_path / "d")
    assert first.signing.private_bytes_raw() == again.signing.private_bytes_raw()
    assert first.mask == again.mask
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "d").iterdir()}
    assert modes == {"signing.key": 0o600, "mask.key": 0o600}
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    assert first.mask.hex() not in repr(first)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    make_data_dir(tmp_path / "d")
    load_keys(tmp_path / "d")
    (tmp_path / "d" / "signing.key").chmod(mode)
    with pytest.raises(ConfigError, match="can be read by others"):
        load_keys(tmp_path / "d")


def test_key_that_is_a_link_or_rubbish_is_refused(tmp_path: Path) -> None:
    make_data_dir(tmp_path / "d")
    load_keys(tmp_path / "d")
    path = tmp_path / "d" / "signing.key"
    path.rename(tmp_path / "d" / "elsewhere")
    path.symlink_to(tmp_path / "d" / "elsewhere")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_keys(tmp_path / "d")
    path.unlink()
    path.write_text("rubbish")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="not an Ed25519 private key"):
        load_keys(tmp_path / "d")


def test_data_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o755)
    with pytest.raises(ConfigError, match="open to others"):
        make_data_dir(tmp_path / "d")


def test_mask_pads_give_the_standard_hmac(tmp_path: Path) -> None:
    import hashlib
    import hmac

    make_data_dir(tmp_path / "d")
    keys = load_keys(tmp_path / "d")
    inner, outer = keys.mask_pads()
    digest = hashlib.sha256(outer + hashlib.sha256(inner + b"value").digest()).hexdigest()
    assert digest == hmac.new(keys.mask, b"value", "sha256").hexdigest()
