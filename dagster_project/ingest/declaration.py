"""Reading hand-written YAML declarations strictly: every key known, every type right, all faults told.

Belongs here: what wave.yml and the profiles share. Does not belong here: what their keys mean.
"""

from collections.abc import Hashable
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from dagster_project.ingest.faults import shown
from dagster_project.ingest.personal import found_in
from dagster_project.paths import NAME

MAX_BYTES = 1_000_000
MAX_DEPTH = 20

_KINDS: dict[type, tuple[str, str]] = {
    str: ("文本(加引号)", "text (put it in quotes)"),
    int: ("整数", "a whole number"),
    float: ("数字", "a number"),
    bool: ("true 或 false", "true or false"),
    date: ("日期 YYYY-MM-DD", "a date YYYY-MM-DD"),
    dict: ("映射", "a mapping"),
    list: ("列表", "a list"),
}


# the C loader where libyaml is there, the same class in Python elsewhere
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):
    """Safe YAML in which a key may stand only once; parsed by libyaml where it is there."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class Declaration:
    """A YAML mapping being read. Each `take` checks one key; `faults` collects what is wrong."""

    def __init__(self, content: dict[Any, Any], file: str, at: str = "", faults: list[str] | None = None):
        self.content, self.file, self.at = content, file, at
        self.faults: list[str] = [] if faults is None else faults
        self._taken: set[Any] = set()

    def fault(self, key: str, zh: str, en: str) -> None:
        self.faults.append(f"{self.file}: {shown(self.at + key)}: {zh} / {en}")

    def take(self, key: str, kind: type, default: Any = ..., choices: tuple[str, ...] = ()) -> Any:
        """The value of `key`; None after a fault. `default` makes the key optional (null then means absent)."""
        self._taken.add(key)
        value = self.content.get(key)
        if value is None:
            if default is ...:
                self.fault(key, "缺少此项", "missing")
                return None
            return default
        wrong = isinstance(value, bool) and kind is not bool
        if wrong or not isinstance(value, (int, float) if kind is float else kind):
            zh, en = _KINDS[kind]
            self.fault(key, f"应为{zh},现为 {shown(repr(value))}", f"must be {en}")
            return None
        if choices and value not in choices:
            self.fault(key, f"「{shown(str(value))}」应为 {' | '.join(choices)} 之一", "not one of these")
            return None
        return value

    def take_prose(self, key: str, default: Any = ...) -> Any:
        """Text that a release shows: it may hold no personal data."""
        value = self.take(key, str, default)
        if isinstance(value, str) and found_in(value):
            self.fault(key, "含有个人信息,而此文会随发布公开,请删去",
                       "holds personal data, and releases show it; remove it")  # fmt: skip
            return None
        return value

    def take_name(self, key: str, default: Any = ...) -> str | None:
        """A value that becomes part of a path: at most 80 letters, digits, _ and -."""
        value: str | None = self.take(key, str, default)
        if value is not None and not NAME.fullmatch(value):
            self.fault(key, f"「{shown(value)}」只可含字母、数字、_ 与 -,至多 80 个",
                       "at most 80 letters, digits, _ and - are allowed")  # fmt: skip
            return None
        return value

    def take_number(self, key: str, kind: type, minimum: float, maximum: float = float("inf")) -> Any:
        value = self.take(key, kind)
        if value is not None and not minimum <= value <= maximum:
            self.fault(key, f"{value} 超出范围 {minimum}..{maximum}", f"outside {minimum}..{maximum}")
            return None
        return value

    def nested(self, key: str) -> "Declaration":
        """The mapping under `key`; empty after a fault, so that its own keys are told as missing."""
        return Declaration(self.take(key, dict) or {}, self.file, f"{self.at}{key}.", self.faults)

    def close(self) -> None:
        """Tell every key that nobody took."""
        for key in self.content:
            if key not in self._taken:
                self.fault(str(key), "未知的项", "unknown key")


def read_declaration(path: Path, shown_as: str) -> Declaration:
    """The YAML mapping of a file. A file that is not one comes back empty, with the fault in `faults`."""
    declaration = Declaration({}, shown_as)
    try:
        fault = _unreadable(path)
        if fault is not None:
            declaration.faults.append(f"{shown_as}: {fault}")
            return declaration
        content = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except OSError as error:
        declaration.faults.append(f"{shown_as}: 无法读取 / cannot be read: {error.strerror}")
        return declaration
    except UnicodeDecodeError as error:
        declaration.faults.append(f"{shown_as}: 不是 UTF-8 文本 / not UTF-8 text: {error.reason}")
        return declaration
    except yaml.YAMLError as error:
        declaration.faults.append(f"{shown_as}: 不是合法的 YAML / not valid YAML: {' '.join(str(error).split())}")
        return declaration
    except (ValueError, OverflowError) as error:
        # what YAML's own constructors refuse, such as a date that does not exist
        declaration.faults.append(f"{shown_as}: 不是合法的 YAML / not valid YAML: {shown(str(error))}")
        return declaration
    if not isinstance(content, dict):
        declaration.faults.append(f"{shown_as}: 应为 YAML 映射 / must be a YAML mapping")
        return declaration
    declaration.content = content
    return declaration


def _unreadable(path: Path) -> str | None:
    """What keeps a file from being loaded at all: libyaml crashes on brackets without end, aliases multiply."""
    if path.stat().st_size > MAX_BYTES:
        return f"文件超过 {MAX_BYTES} 字节 / more than {MAX_BYTES} bytes"
    depth = 0
    try:
        for event in yaml.parse(path.read_bytes(), _SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                return "不可使用别名(*) / aliases (*) are not allowed"
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                return f"嵌套超过 {MAX_DEPTH} 层 / nested more than {MAX_DEPTH} deep"
    except yaml.YAMLError:
        return None  # the loader tells where
    return None
