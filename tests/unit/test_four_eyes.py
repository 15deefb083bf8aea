"""Two persons correct a value: whatever name the asker takes, and whoever is declared."""

import os
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from confusable_homoglyphs.confusables import confusables_data

from dagster_project import chain
from dagster_project.corrections import acts, people
from dagster_project.corrections.ledger import Account, Correction, Refused, is_same_account, read_ledger
from dagster_project.corrections.names import (
    MAX_SPELLINGS,
    cannot_be_told_apart,
    comparison_fault,
    name_fault,
    skeleton,
)
from dagster_project.corrections.people import read_people
from dagster_project.corrections.request import from_options
from dagster_project.errors import InputRejected, NotReconciled, UsageError
from dagster_project.ingest.bronze import check_wave
from dagster_project.ingest.profile import normal
from dagster_project.ingest.wave import load_wave
from tests.small_wave import WAVE, SmallWave

WAIT = {"attempt": "D1301001", "field": "wait_s", "expect": "12", "to": "30", "reason": "录音显示等待30秒"}
BECAUSE = "两人共用值班电脑"
FIRST: Account = {"uid": 1001, "name": "first", "sudo_uid": None, "login_uid": None}
SECOND: Account = {"uid": 1002, "name": "second", "sudo_uid": None, "login_uid": None}


@pytest.fixture
def log_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Account], None]:
    """Act by another account of the operating system from now on."""
    return lambda account: monkeypatch.setattr(people, "account", lambda: account)


def add(wave: SmallWave, by: str, **changes: str) -> str:
    added, _ = acts.add(wave.paths, WAVE, from_options({**WAIT, **changes}), by)
    return added[0].id


def approve(wave: SmallWave, by: str, *ids: str, because: str | None = BECAUSE) -> list[Correction]:
    return acts.approve(wave.paths, WAVE, ids or ["C0001"], by, same_account_because=because)


def state(wave: SmallWave) -> str:
    return read_ledger(wave.paths, WAVE).corrections["C0001"].state


def declare(wave: SmallWave, *rows: str, header: str = "id,name,may_ask,may_approve") -> None:
    wave.paths.people.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8-sig")


# --- nobody is declared: names ------------------------------------------------------------------

DISGUISES = {
    "the same": ("Wang Wu", "Wang Wu"),
    "case and spaces": ("Wang Wu", " wANG  wU"),
    "no space": ("Wang Wu", "wangwu"),
    "word order": ("Wang Wu", "WU, Wang"),
    "word order without space": ("Wang Wu", "WuWang"),
    "a hyphen": ("Wang Wu", "Wang-Wu"),
    "another dash": ("Wang-Wu", "Wang\u2013Wu"),
    "a trailing dot": ("Wang Wu", "Wang Wu."),
    "accents": ("Wang Wu", "Wáng Wǔ"),
    "a stacked accent": ("Wang Wu", "Wa\u0489ng Wu"),
    "a suffix": ("Wang Wu", "Wang Wu Jr."),
    "a suffix without space": ("Wang Wu", "WuWangJr"),
    "a number": ("Wang Wu", "Wang Wu 2"),
    "a digit for a letter": ("Wang Wu", "W4ng Wu"),
    "a letter in brackets": ("Wang Wu", "Wang Wu (a)"),
    "an initial": ("Wang Wu", "W. Wu"),
    "initials": ("Wang Wu", "W. W."),
    "a doubled letter": ("Wang Wu", "Wanng Wu"),
    "full width": ("Wang Wu", "Ｗａｎｇ　Ｗｕ"),
    "mathematical letters": ("Wang Wu", "𝐖𝒂𝓃𝔤 𝖂𝘶"),
    "Cyrillic": ("Wang Wu", "W\u0430ng Wu"),
    "Greek": ("Wang Wu", "Wang W\u03c5"),
    "Cherokee": ("Wang Wu", "\u13b3ang Wu"),
    "a phonetic letter": ("Wang Wu", "W\u0251ng Wu"),
    "two letters for one": ("Wang Wu", "VVang VVu"),
    "r and n for m": ("Ma Ming", "Ma rning"),
    "l for I": ("Li Lei", "Ii Iei"),
    "pinyin": ("王五", "Wang Wu"),
    "pinyin with tones": ("王五", "Wang2 Wu3"),
    "pinyin in the other order": ("王五", "Wu, Wang"),
    "half pinyin": ("王五", "王 Wu"),
    "Wade-Giles": ("张三", "Chang San"),
    "u with two dots": ("吕布", "Lü Bu"),
    "v for u with two dots": ("吕布", "Lv Bu"),
    "another reading": ("曾单", "Ceng Dan"),
    "yet another reading": ("曾单", "Zeng Shan"),
    "a traditional character": ("张三", "張三"),
    "a variant character": ("吴高", "吳髙"),
    "a compatibility character": ("李伟", "\uf9e1伟"),
    "a radical": ("王五", "\u2f5f五"),
    "a character of the same reading": ("王五", "汪武"),
    "a title": ("王五", "王五先生"),
    "a surname and a title": ("王五", "王主任"),
    "a familiar form": ("王五", "小王"),
    "a character more": ("王五", "王小五"),
    "a middle dot": ("王五", "王·五"),
    "both names": ("王五", "王五 (Wang Wu)"),
    "another script": ("王五", "\u3128\u30a6"),
    "letters between": ("王五", "王a五"),
}


@pytest.mark.parametrize("name, disguise", DISGUISES.values(), ids=DISGUISES)
@pytest.mark.parametrize("is_turned", (False, True), ids=("asks", "approves"))
def test_nobody_approves_under_a_disguise_of_the_own_name(
    wave: SmallWave, name: str, disguise: str, is_turned: bool
) -> None:
    asker, approver = (disguise, name) if is_turned else (name, disguise)
    with pytest.raises((InputRejected, UsageError)) as refused:
        add(wave, asker)
        approve(wave, approver)
    assert refused.value.exit_code in (2, 3)
    assert not read_ledger(wave.paths, WAVE).effective


PAIRS = [("王五", "赵六"), ("Wang Wu", "Zhao Liu"), ("甲", "乙"), ("张三", "李四"), ("Alice Smith", "Bob Jones")]


@pytest.mark.parametrize("asker, approver", PAIRS)
def test_persons_of_ordinary_different_names_are_two(wave: SmallWave, asker: str, approver: str) -> None:
    add(wave, asker)
    approve(wave, approver)
    assert state(wave) == "approved"


def test_names_of_one_reading_are_refused_until_they_are_declared(wave: SmallWave) -> None:
    add(wave, "李伟")
    with pytest.raises(InputRejected, match=r"李薇.*raw/people\.csv.*declare the persons"):
        approve(wave, "李薇")
    declare(wave, "P1,李伟,yes,no", "P2,李薇,no,yes")
    acts.withdraw(wave.paths, WAVE, ["C0001"], "P1", "重新提出")
    add(wave, "李伟")
    approve(wave, "李薇", "C0002")
    assert read_ledger(wave.paths, WAVE).corrections["C0002"].approved_person == "P2"


@pytest.fixture(scope="module")
def usable() -> list[str]:
    """Characters that may be in the name of an undeclared person; of the Chinese ones every 61st."""
    found = []
    for code in range(0x110000):
        is_chinese = unicodedata.name(chr(code), "").startswith("CJK")
        if (
            not (is_chinese and code % 61)
            and not name_fault(f"a{chr(code)}")
            and not comparison_fault(f"a {chr(code)}")
        ):
            found.append(chr(code))
    return found


def passes_for_another(base: str, disguise: str) -> bool:
    name = normal(disguise)
    return not (name_fault(name) or comparison_fault(name) or cannot_be_told_apart(base, name))


@pytest.mark.parametrize("base", ("Wang Wu", "王五"))
def test_no_code_point_put_into_a_name_makes_another_person(base: str, usable: list[str]) -> None:
    assert len(usable) > 1000
    for each in usable:
        for place in range(len(base) + 1):
            assert not passes_for_another(base, base[:place] + each + base[place:]), f"U+{ord(each):04X} at {place}"


@pytest.mark.parametrize("base", ("Wang Wu", "Zhao Liu", "Li Mo", "王五"))
def test_no_look_alike_of_a_character_makes_another_person(base: str) -> None:
    for place, character in enumerate(base):
        for form in {character, character.lower(), character.upper()}:
            for each in confusables_data.get(form, ()):
                disguise = base[:place] + each["c"].replace("\u200e", "") + base[place + 1 :]
                assert not passes_for_another(base, disguise), f"{each} for {character}"


IMPOSSIBLE = {
    "a variation selector": "\ufe00", "a grapheme joiner": "\u034f", "a Hangul filler": "\u3164",
    "another Hangul filler": "\u115f", "a blank braille pattern": "\u2800", "a Khmer vowel": "\u17b4",
    "a tag": "\U000e0020", "a Mongolian selector": "\u180b", "a control": "\x07", "private use": "\ue5e5",
    "unassigned": "\u0378", "a symbol": "☺", "a surrogate": "\udc80", "a joiner": "\u200d", "a full stop": "\u3002",
    "an enclosing mark": "\u20dd", "a wide space": "\u2003", "a line": "\u2028", "a roman numeral": "Ⅱ",
}  # fmt: skip


@pytest.mark.parametrize("character", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_character_that_no_name_has_is_refused_with_its_code_point(wave: SmallWave, character: str) -> None:
    for by in (f"王{character}五", f"Wa{character}ng"):
        with pytest.raises(UsageError, match=rf"--by.*U\+{ord(character):04X}|--by.*不可见字符"):
            add(wave, by)


def test_a_name_that_is_none_or_too_long_is_refused(wave: SmallWave) -> None:
    for by in ("", "-", "007", "先生", "王" * 81, "乐" * 9, "a b c d e f g h ij kl mn op qr st uv wx yz"):
        with pytest.raises(UsageError, match="--by"):
            add(wave, by)
    assert MAX_SPELLINGS < 1000  # what two names are compared in is bounded


def test_a_run_says_that_persons_should_be_declared(wave: SmallWave) -> None:
    told: list[str] = []
    check_wave(wave.paths, load_wave(wave.paths, WAVE), told.append)
    assert not any("people.csv" in each for each in told)
    add(wave, "王五")
    check_wave(wave.paths, load_wave(wave.paths, WAVE), told.append)
    assert sum("people.csv" in each for each in told) == 1
    declare(wave, "P1,王五,yes,no")
    told.clear()
    check_wave(wave.paths, load_wave(wave.paths, WAVE), told.append)
    assert not any("people.csv" in each for each in told)


# --- persons are declared ------------------------------------------------------------------------


def test_only_declared_persons_act_each_by_their_right(wave: SmallWave) -> None:
    declare(wave, "P1,王五,yes,no", "P2,赵六,no,yes", "P3,Иван Петров,yes,yes", "P4,买买提·艾力,no,no")
    for by in ("赵六", "P4", "钱七", "Wang Wu", "王五\ufe00", "p1", "P1,王五", "王五P1", ""):
        with pytest.raises(InputRejected, match=r"P1 王五, P3 Иван Петров$"):
            add(wave, by)
    assert add(wave, "P1") == "C0001"
    for by in ("王五", "P1", "P4", "钱七", "赵\u200b六"):
        with pytest.raises(InputRejected, match=r"P2 赵六, P3 Иван Петров$"):
            approve(wave, by)
    approve(wave, "赵六")
    (only,) = read_ledger(wave.paths, WAVE).corrections.values()
    assert (only.by, only.person, only.approved_by, only.approved_person) == ("王五", "P1", "赵六", "P2")
    # by id or by name, it is the same person
    assert add(wave, "P3", attempt="D1301002") == "C0002"
    with pytest.raises(InputRejected, match="另一人"):
        approve(wave, "Иван Петров", "C0002")


def test_a_person_who_was_not_declared_is_compared_by_name(wave: SmallWave) -> None:
    add(wave, "Wang Wu")
    declare(wave, "P1,王五,yes,yes", "P2,赵六,yes,yes")
    with pytest.raises(InputRejected, match="另一人"):
        approve(wave, "P1")
    approve(wave, "P2")
    add(wave, "P1", attempt="D1301002")
    wave.paths.people.unlink()
    with pytest.raises(InputRejected, match="另一人"):
        approve(wave, "汪五", "C0002")


PEOPLE: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "no rows": ("id,name,may_ask,may_approve\n", ("没有数据行",)),
    "an unknown column": ("id,name,may_ask,may_approve,role\nP1,王五,yes,no,x\n", ("未知的列「role」",)),
    "a missing column": ("id,name,may_ask\nP1,王五,yes\n", ("缺少列「may_approve」",)),
    "a column twice": ("id,name,may_ask,may_approve,id\nP1,王五,yes,no,P1\n", ("列「id」重复",)),
    "neither yes nor no": (
        "id,name,may_ask,may_approve\nP1,王五,Yes,1\n", ("row 2 「may_ask」", "「may_approve」 「1」"),
    ),
    "an empty cell": ("id,name,may_ask,may_approve\nP1,,yes,no\n", ("row 2 「name」", "必填")),
    "an id that is no code": ("id,name,may_ask,may_approve\n王五,王五,yes,no\n", ("row 2 「id」",)),
    "a formula": ('id,name,may_ask,may_approve\nP1,"=HYPERLINK(""x"")",yes,no\n', ("row 2 「name」", "公式")),
    "an invisible character": ("id,name,may_ask,may_approve\nP1,王\u034f五,yes,no\n", ("row 2 「name」", "U+034F")),
    "a ragged row": ("id,name,may_ask,may_approve\nP1,王五,yes\n", ("row 2", "3 格")),
    "an id twice": ("id,name,may_ask,may_approve\nP1,王五,yes,no\nP1,赵六,yes,no\n", ("row 3 「id」", "第 2 行")),
    "ids that look alike": ("id,name,may_ask,may_approve\nPl,王五,yes,no\np-1,赵六,yes,no\n", ("row 3 「id」", "形近")),
    "names that look alike": (
        "id,name,may_ask,may_approve\nP1,Wang Wu,yes,no\nP2,W\u0430ng-Wu,no,yes\n", ("row 3 「name」", "形近"),
    ),
    "a name that is another's id": (
        "id,name,may_ask,may_approve\nP1,王五,yes,no\nP2,P1,no,yes\n", ("row 3 「name」", "第 2 行"),
    ),
    "another encoding": ("id,name,may_ask,may_approve\nP1,王五,yes,no\n".encode("gb18030"), ("UTF-8",)),
    "empty": ("", ("缺少列「id」", "没有数据行")),
}  # fmt: skip


@pytest.mark.parametrize("content, told", PEOPLE.values(), ids=PEOPLE)
def test_a_faulty_declaration_of_persons_is_refused_with_its_place(
    wave: SmallWave, content: str | bytes, told: tuple[str, ...]
) -> None:
    wave.paths.people.write_bytes(content if isinstance(content, bytes) else content.encode())
    for act in (lambda: read_people(wave.paths), lambda: add(wave, "王五")):
        with pytest.raises(InputRejected) as refused:
            act()
        for each in ("people.csv", *told):
            assert each in str(refused.value), each
    assert not wave.paths.ledger(WAVE).exists()


def test_a_declaration_that_cannot_be_read_is_not_taken_for_none(wave: SmallWave) -> None:
    wave.paths.people.symlink_to("elsewhere.csv")
    with pytest.raises(InputRejected, match=r"people\.csv"):
        add(wave, "王五")
    wave.paths.people.unlink()
    wave.paths.people.mkdir()
    with pytest.raises(InputRejected, match=r"people\.csv"):
        add(wave, "王五")


# --- accounts ------------------------------------------------------------------------------------


def test_one_account_twice_needs_a_reason_which_the_ledger_keeps(
    wave: SmallWave, log_in: Callable[[Account], None]
) -> None:
    log_in(FIRST)
    add(wave, "王五")
    with pytest.raises(InputRejected, match=r"first \(uid 1001\).*--same-account-because"):
        approve(wave, "赵六", because=None)
    with pytest.raises(InputRejected, match="same_account_because"):
        approve(wave, "赵六", because=" ")
    with pytest.raises(InputRejected, match="个人信息"):
        approve(wave, "赵六", because="电话 13912345678")
    assert state(wave) == "pending"
    approve(wave, "赵六")
    records = chain.read(wave.paths.ledger(WAVE))
    assert [each["account"] for each in records] == [FIRST, FIRST]
    assert records[1]["same_account_because"] == BECAUSE
    assert read_ledger(wave.paths, WAVE).corrections["C0001"].approved_same_account_because == BECAUSE


def test_two_accounts_need_no_reason(wave: SmallWave, log_in: Callable[[Account], None]) -> None:
    log_in(FIRST)
    add(wave, "王五")
    log_in(SECOND)
    approve(wave, "赵六", because=None)
    assert chain.read(wave.paths.ledger(WAVE))[1]["account"] == SECOND


SAME: dict[str, tuple[dict[str, Any], bool]] = {
    "another user": ({}, False),
    "the same user": ({"uid": 1001}, True),
    "another number for the same name": ({"name": "first"}, True),
    "sudo by the first": ({"uid": 0, "name": "root", "sudo_uid": 1001}, True),
    "sudo by another": ({"uid": 0, "name": "root", "sudo_uid": 1003}, False),
    "a login as the first": ({"login_uid": 1001}, True),
}


@pytest.mark.parametrize("changes, is_same", SAME.values(), ids=SAME)
def test_sudo_and_login_do_not_make_another_account(changes: dict[str, Any], is_same: bool) -> None:
    other: Account = {**SECOND, **changes}
    assert is_same_account(FIRST, other) is is_same
    assert is_same_account(other, FIRST) is is_same


def test_the_account_is_the_process_own_and_names_who_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "4242")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    found = people.account()
    assert (found["uid"], found["sudo_uid"]) == (os.getuid(), 4242)
    assert found["name"] != "somebody-else"
    monkeypatch.setenv("SUDO_UID", "x")
    assert people.account()["sudo_uid"] is None


# --- withdrawal ----------------------------------------------------------------------------------


def approved(wave: SmallWave) -> None:
    add(wave, "王五")
    approve(wave, "赵六")


def test_an_approved_correction_is_withdrawn_by_two(wave: SmallWave) -> None:
    wave.ingest()
    approved(wave)
    corrected = wave.ingest()
    (after,) = acts.withdraw(wave.paths, WAVE, ["C0001"], "王五", "申诉撤销")
    assert (after.state, after.is_withdrawal_requested, after.withdrawal_by) == ("approved", True, "王五")
    told: list[str] = []
    unchanged = check_wave(wave.paths, load_wave(wave.paths, WAVE), told.append)
    assert unchanged.corrections == corrected.corrections
    assert any("C0001" in each and "撤回待批准" in each for each in told)
    for by in ("王五", "Wang Wu", "王五先生"):
        with pytest.raises(InputRejected, match=r"申请撤回.*另一人"):
            approve(wave, by)
    with pytest.raises(InputRejected, match="已由 王五 申请撤回"):
        acts.withdraw(wave.paths, WAVE, ["C0001"], "钱七", "再次")
    with pytest.raises(InputRejected, match="--same-account-because"):
        approve(wave, "赵六", because=None)
    (withdrawn,) = approve(wave, "赵六")
    assert (withdrawn.state, withdrawn.withdrawal_by, withdrawn.withdrawn_by) == ("withdrawn", "王五", "赵六")
    assert withdrawn.withdrawn_reason == "申诉撤销"
    assert wave.ingest().corrections == ()


def test_a_pending_correction_is_withdrawn_by_one(wave: SmallWave) -> None:
    add(wave, "王五")
    (only,) = acts.withdraw(wave.paths, WAVE, ["C0001"], "王五", "误提")
    assert (only.state, only.withdrawn_by, only.withdrawal_by) == ("withdrawn", "王五", None)


def test_a_withdrawal_waits_for_what_builds_on_the_correction(wave: SmallWave) -> None:
    approved(wave)
    wave.ingest()
    acts.withdraw(wave.paths, WAVE, ["C0001"], "王五", "x")
    add(wave, "王五", expect="30", to="40")
    with pytest.raises(InputRejected, match="C0002 builds on"):
        approve(wave, "赵六")
    assert state(wave) == "approved"
    acts.withdraw(wave.paths, WAVE, ["C0002"], "王五", "x")
    add(wave, "王五", attempt="D1301002")
    with pytest.raises(InputRejected, match="分别批准"):
        approve(wave, "赵六", "C0003", "C0001")
    approve(wave, "赵六", "C0001")
    assert state(wave) == "withdrawn"


def test_withdrawals_need_a_right_where_persons_are_declared(wave: SmallWave) -> None:
    declare(wave, "P1,王五,yes,no", "P2,赵六,no,yes", "P3,钱七,no,no")
    add(wave, "P1")
    approve(wave, "P2")
    with pytest.raises(InputRejected, match=r"P1 王五, P2 赵六$"):
        acts.withdraw(wave.paths, WAVE, ["C0001"], "P3", "x")
    acts.withdraw(wave.paths, WAVE, ["C0001"], "P2", "x")
    with pytest.raises(InputRejected, match=r"P2 赵六$"):
        approve(wave, "P1")
    with pytest.raises(InputRejected, match="另一人"):
        approve(wave, "P2")
    assert state(wave) == "approved"


# --- ledgers of the old version ------------------------------------------------------------------

OLD_ADD: dict[str, Any] = {
    "entry": "add", "id": "C0001", "table": "dial_attempts", "target": "D1301001", "field": "wait_s", "expect": "12",
    "to": "30", "reason": "x", "evidence_sha256": None, "by": "王五", "at": "2023-07-10T09:00:00+08:00",
}  # fmt: skip
OLD_APPROVE: dict[str, Any] = {"entry": "approve", "id": "C0001", "by": "汪五", "at": "2023-07-11T09:00:00+08:00"}
OLD_WITHDRAW: dict[str, Any] = {**OLD_APPROVE, "entry": "withdraw", "reason": "申诉撤销"}


def test_a_ledger_of_the_old_version_keeps_its_meaning(wave: SmallWave) -> None:
    """Names that are compared today, and a withdrawal by one, were valid then."""
    chain.append(wave.paths.ledger(WAVE), OLD_ADD, OLD_APPROVE)
    assert state(wave) == "approved"
    chain.append(wave.paths.ledger(WAVE), OLD_WITHDRAW)
    assert state(wave) == "withdrawn"


def test_an_old_correction_is_approved_and_withdrawn_by_the_new_rules(wave: SmallWave) -> None:
    chain.append(wave.paths.ledger(WAVE), OLD_ADD)
    with pytest.raises(InputRejected, match="另一人"):
        approve(wave, "Wang Wu")
    with pytest.raises(InputRejected, match=r"未记录.*--same-account-because"):
        approve(wave, "赵六", because=None)
    approve(wave, "赵六")
    acts.withdraw(wave.paths, WAVE, ["C0001"], "王五", "x")
    assert state(wave) == "approved"


NEW = {"version": 2, "person": None, "account": FIRST}
NEW_APPROVE = {**OLD_APPROVE, **NEW, "by": "赵六", "account": SECOND, "same_account_because": None}
FORGED: dict[str, list[dict[str, Any]]] = {
    "an old approval of a new request": [{**OLD_ADD, **NEW}, {**OLD_APPROVE, "by": "赵六"}],
    "an old withdrawal after a new approval": [{**OLD_ADD, **NEW}, NEW_APPROVE, OLD_WITHDRAW],
    "a version that does not exist": [{**OLD_ADD, **NEW, "version": 3}],
    "a version that is no number": [{**OLD_ADD, **NEW, "version": True}],
    "no account": [{**OLD_ADD, **NEW, "account": None}],
    "an account without a number": [{**OLD_ADD, **NEW, "account": {**FIRST, "uid": "1001"}}],
    "a disguise": [{**OLD_ADD, **NEW}, {**NEW_APPROVE, "by": "Wang Wu"}],
    "an invisible character": [{**OLD_ADD, **NEW, "by": "王\u034f五"}],
    "the same person": [{**OLD_ADD, **NEW, "person": "P1"}, {**NEW_APPROVE, "person": "P1"}],
    "the same account": [{**OLD_ADD, **NEW}, {**NEW_APPROVE, "account": FIRST}],
}


@pytest.mark.parametrize("entries", FORGED.values(), ids=FORGED)
def test_no_entry_leads_around_the_rules(wave: SmallWave, entries: list[dict[str, Any]]) -> None:
    chain.append(wave.paths.ledger(WAVE), *entries)
    with pytest.raises(NotReconciled, match=rf"ledger\.jsonl 第 {len(entries)} 行"):
        read_ledger(wave.paths, WAVE)


def test_a_valid_ledger_of_the_new_version_is_read() -> None:
    from dagster_project.corrections.ledger import Ledger

    ledger = Ledger()
    ledger.take({**OLD_ADD, **NEW})
    with pytest.raises(Refused):
        ledger.take({**NEW_APPROVE, "by": "王 五"})
    assert ledger.take(NEW_APPROVE).state == "approved"


def test_a_skeleton_is_what_a_text_looks_like() -> None:
    for one, other in (
        ("Wang Wu", "wáng-wu"),
        ("Pl", "p1"),
        ("W\u0430ng", "Wang"),
        ("𝐖ang", "Wang"),
        ("modern", "rnodern"),
    ):
        assert skeleton(one) == skeleton(other)
    assert len({skeleton(each) for each in ("王五", "王六", "P1", "P2", "李伟", "李薇")}) == 6
