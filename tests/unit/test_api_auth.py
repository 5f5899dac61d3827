"""Keys: who may do what, and that no key is ever told to anybody."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from ai.core.errors import BadSetting
from ai.web.problems import Problem
from backend.api.keys import KEY_FILE, Keys, Role, admin_key
from tests.api_parts import settings_of

SECRET = "s3cret-of-the-test"


def test_a_role_may_do_what_those_before_it_may():
    keys = Keys.parsed("cam:caller:a1,eye:viewer:b2,ops:admin:c3")
    for key, highest in (("a1", Role.CALLER), ("b2", Role.VIEWER), ("c3", Role.ADMIN)):
        for role in Role:
            if role <= highest:
                assert keys.require(role, key).role == highest
            else:
                with pytest.raises(Problem) as refused:
                    keys.require(role, key)
                assert refused.value.status == 403


@pytest.mark.parametrize("presented", [None, "", "wrong", "c3 ", "C3", "c", "\udcff", "é" * 5000])
def test_a_missing_or_a_wrong_key_is_401_and_not_repeated(presented):
    with pytest.raises(Problem) as refused:
        Keys.parsed("ops:admin:c3").require(Role.CALLER, presented)
    assert refused.value.status == 401
    assert "WWW-Authenticate" in refused.value.headers
    assert len(refused.value.detail) < 100


def test_detection_is_open_until_a_key_for_it_exists():
    assert Keys.parsed("ops:admin:c3,eye:viewer:b2").detection_is_open
    closed = Keys.parsed("ops:admin:c3,cam:caller:a1")
    assert not closed.detection_is_open
    closed.require_caller("c3")
    with pytest.raises(Problem):
        closed.require_caller(None)


def test_a_key_may_hold_colons():
    assert Keys.parsed("ops:admin:a:b:c").require(Role.ADMIN, "a:b:c").name == "ops"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SECRET, "entry 1 is not name:role:key"),
        (f"admin:{SECRET}", "entry 1 is not name:role:key"),
        (f"a:admin:x,ops:{SECRET}:admin", r"entry 2 \(ops\) has an unknown role; it must be caller, viewer, admin"),
        (f"ops:admin:{SECRET}\x07", r"entry 1 \(ops\) has a key that is not"),
        (f"ops:admin:{SECRET} {SECRET}", r"entry 1 \(ops\) has a key that is not"),
        ("ops:admin:", r"entry 1 \(ops\) has a key that is not"),
        (f":admin:{SECRET}", "entry 1 has a name that is not"),
        (f"{SECRET}!:admin:x", "entry 1 has a name that is not"),
        (f"a:admin:{SECRET},a:viewer:x", "a and a have the same name"),
        (f"a:admin:{SECRET},b:viewer:{SECRET}", "a and b have the same key"),
        (",", "holds no key"),
    ],
)  # fmt: skip
def test_a_bad_entry_is_named_and_its_key_is_not(text, words):
    with pytest.raises(BadSetting, match=words) as bad:
        Keys.parsed(text)
    assert SECRET not in str(bad.value)


def test_without_keys_an_admins_is_made_that_only_its_owner_reads(tmp_path):
    keys = Keys.of(settings_of(tmp_path / "var", api_keys=" "))
    path = tmp_path / "var" / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_text().strip()
    assert len(key) >= 40
    assert keys.require(Role.ADMIN, key).name == "admin"
    assert keys.detection_is_open
    assert key not in repr(keys)


def test_workers_that_start_at_once_agree_on_the_key(tmp_path):
    for attempt in range(20):
        var = tmp_path / str(attempt)
        with ThreadPoolExecutor(8) as pool:
            made = set(pool.map(lambda _, var=var: admin_key(var), range(8)))
        assert len(made) == 1
        assert [path.name for path in var.iterdir()] == [KEY_FILE]


def test_a_key_file_that_holds_none_stops_the_start_with_a_sentence(tmp_path):
    (tmp_path / KEY_FILE).write_text("")
    with pytest.raises(BadSetting, match="holds no key"):
        admin_key(tmp_path)
    with pytest.raises(BadSetting, match="cannot be read or made"):
        admin_key(tmp_path / KEY_FILE)
