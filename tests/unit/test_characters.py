"""Characters that cannot be seen: the class is Unicode's, not a list of examples."""

import sys
import unicodedata

import pytest

from dagster_project.characters import code_point, unusable_character

# Default_Ignorable_Code_Point in DerivedCoreProperties.txt of Unicode 16
DEFAULT_IGNORABLE = (
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip


@pytest.mark.parametrize("first, last", DEFAULT_IGNORABLE, ids=[f"U+{first:04X}" for first, _ in DEFAULT_IGNORABLE])
def test_no_default_ignorable_code_point_is_usable(first: int, last: int) -> None:
    for code in range(first, last + 1):
        assert unusable_character(f"a{chr(code)}b") == chr(code)


def test_no_control_private_unassigned_or_surrogate_code_point_is_usable() -> None:
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            assert unusable_character(chr(code)) == chr(code)


def test_what_is_written_is_usable() -> None:
    for text in ("王五", "Wang Wu", "买买提·艾力", "O’Brien", "Zoë", "工单-12/3(补)", "한글", "\u3000"):
        assert unusable_character(text) is None


def test_a_character_is_named_by_its_code_point() -> None:
    assert code_point("\u034f") == "U+034F COMBINING GRAPHEME JOINER"
    assert code_point("\ue5e5") == "U+E5E5"
