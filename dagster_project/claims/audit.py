"""The check of any text whose sentences are given as claims in a YAML file.

Belongs here: reading such a file, judging its claims, finding sentences that contradict each other.
Does not belong here: what a claim means (`claim.py`).

The file says what its claims are held against (`figures:`, `rankings:`), or leaves that to a release.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from dagster_project.claims.claim import Claim, Verdict, World, printed, signed
from dagster_project.claims.declared import claims_under, each_of, number, read_yaml, require_known, whole
from dagster_project.claims.narrative import read_world
from dagster_project.claims.wording import judged, unsaid
from dagster_project.errors import UsageError
from dagster_project.ingest.declaration import Declaration
from dagster_project.ingest.faults import reject, shown
from dagster_project.paths import WAVE_ID, Paths
from dagster_project.release.comparability import WORDS as COMPARABILITIES
from dagster_project.release.folder import read_manifest, whole_release

UNITS = ("point", "percent", "count")


@dataclass(frozen=True)
class Sentence:
    """A sentence and its claims, each with the words that make it, where the file names them."""

    text: str
    claims: tuple[tuple[Claim, str | None], ...]


@dataclass(frozen=True)
class Text:
    """A file that has been read. `world`: None where the file leaves it to a release."""

    title: str
    sentences: tuple[Sentence, ...]
    world: World | None


@dataclass(frozen=True)
class Judged:
    """A sentence's verdicts in the order of its claims. `number` counts from 1."""

    number: int
    text: str
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Contradiction:
    """One figure that is given different values. `statements`: (sentence number, its text, the value)."""

    figure: str
    what: str
    statements: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True)
class Audit:
    title: str
    sentences: tuple[Judged, ...]
    contradictions: tuple[Contradiction, ...]

    @property
    def holds(self) -> bool:
        return not self.contradictions and all(each.holds for one in self.sentences for each in one.verdicts)

    def to_json(self) -> dict[str, Any]:
        verdicts = [verdict for sentence in self.sentences for verdict in sentence.verdicts]
        return {
            "title": self.title,
            "sentences": [
                {"number": one.number, "text": one.text, "claims": [each.to_json() for each in one.verdicts]}
                for one in self.sentences
            ],
            "contradictions": [
                {
                    "figure": each.figure,
                    "what": each.what,
                    "statements": [
                        {"number": at, "text": text, "claimed": claimed} for at, text, claimed in each.statements
                    ],
                }
                for each in self.contradictions
            ],
            "counts": {
                "n_sentences": len(self.sentences),
                "n_claims": len(verdicts),
                "n_false": sum(not verdict.holds for verdict in verdicts),
                "n_contradictions": len(self.contradictions),
            },
        }

    def to_text(self) -> str:
        """What does not hold, sentence by sentence, and how much does."""
        lines = [self.title] if self.title else []
        for one in self.sentences:
            false = [verdict for verdict in one.verdicts if not verdict.holds]
            lines.append(f"{'✗' if false else '✓'} {one.number}. {one.text}")
            lines += [
                f"    {each.type} {', '.join(each.figures)}: 所述 / claimed {each.claimed};"
                f" 计算 / computed {each.computed}"
                for each in false
            ]
        for each in self.contradictions:
            lines.append(f"✗ 前后矛盾 / contradiction: {each.figure} ({each.what})")
            lines += [f"    {at}. {text}: {claimed}" for at, text, claimed in each.statements]
        counts = self.to_json()["counts"]
        lines.append(
            f"句 / sentences {counts['n_sentences']}, 表述 / claims {counts['n_claims']}, "
            f"不成立 / false {counts['n_false']}, 矛盾 / contradictions {counts['n_contradictions']}"
        )
        return "\n".join(lines)


def audit(path: Path, release: World | None = None) -> Audit:
    """Judge every claim of the file.

    Raises InputRejected with every fault of the file, UsageError where it has no figures and no
    release was named, or has both.
    """
    name = shown(path.name)
    yml = read_yaml(path, name)
    if yml.faults:
        reject(name, yml.faults)
    text = _text(yml)
    if yml.faults:
        reject(name, yml.faults)
    world = _world(name, text, release)
    for at, sentence in enumerate(text.sentences):
        for claim, _ in sentence.claims:
            require_known(yml, f"sentences[{at}].claims", claim, world)
    if yml.faults:
        reject(name, yml.faults)
    return judge(text, world)


def published_world(paths: Paths, wave: str) -> World:
    """Figures and rankings of the wave's current release. Raises UsageError where there is none."""
    folder = whole_release(paths.current(wave)) if WAVE_ID.fullmatch(wave) else None
    if folder is None:
        raise UsageError(f"监测期 {shown(wave)} 没有已发布的结果 / nothing is published of the wave {shown(wave)}")
    baseline = read_manifest(folder)["baseline"]
    before = paths.releases(baseline["wave"]) / baseline["release"] if baseline else None
    # the baseline may have been taken away since: then its changes are those that the release states
    return read_world(folder, before if before is not None and before.is_dir() else None)


def _world(name: str, text: Text, release: World | None) -> World:
    if text.world is not None and release is not None:
        raise UsageError(f"{name} 自带 figures,请去掉 --wave / {name} has figures of its own; leave out --wave")
    world = text.world or release
    if world is None:
        raise UsageError(f"{name} 没有 figures,请用 --wave 指定监测期 / {name} has no figures; name a wave: --wave")
    return world


def judge(text: Text, world: World) -> Audit:
    """The verdicts on a text, and its contradictions."""
    sentences = []
    for at, sentence in enumerate(text.sentences, start=1):
        verdicts = [each for claim, words in sentence.claims for each in judged(claim, words or sentence.text, world)]
        sentences.append(Judged(at, sentence.text, tuple(verdicts)))
    return Audit(text.title, tuple(sentences), _contradictions(text, world))


def _contradictions(text: Text, world: World) -> tuple[Contradiction, ...]:
    stated: dict[tuple[str, str], list[tuple[int, str, Decimal]]] = {}
    for at, sentence in enumerate(text.sentences, start=1):
        for claim, _ in sentence.claims:
            for figure, what, value in claim.stated():
                stated.setdefault((figure, what), []).append((at, sentence.text, value))
    return tuple(
        Contradiction(
            figure,
            what,
            tuple((at, said, _as_stated(world, figure, what, value)) for at, said, value in statements),
        )
        for (figure, what), statements in stated.items()
        if len({value for _, _, value in statements}) > 1
    )


def _as_stated(world: World, figure: str, what: str, value: Decimal) -> str:
    unit = "count" if what == "rank" else world.unit(figure)
    if what == "growth":
        return f"{signed(value)}%"
    return signed(value, unit) if what == "change" else printed(value, unit)


# --- reading -----------------------------------------------------------------------------------


def _text(yml: Declaration) -> Text:
    title: str = yml.take("title", str, "")
    yml.take("source", str, "")
    figures = _figures(yml)
    rankings = _rankings(yml)
    sentences = tuple(_sentence(each) for each in each_of(yml, "sentences"))
    yml.close()
    return Text(title, sentences, World(figures, rankings) if figures or rankings else None)


def _sentence(yml: Declaration) -> Sentence:
    text: str = yml.take("text", str) or ""
    claims = tuple(claims_under(yml))
    for claim, words in claims:
        missing = unsaid(claim, words, text)
        if missing is not None:
            yml.fault(
                "claims", f"句中没有「{shown(missing)}」({claim.type})", "the sentence does not say so; see `printed`"
            )
    yml.close()
    return Sentence(" ".join(text.split()), claims)


def _figures(yml: Declaration) -> dict[str, Mapping[str, Any]]:
    return {name: _figure(each) for name, each in _mappings(yml, "figures")}


def _figure(yml: Declaration) -> dict[str, Any]:
    decimals = ("value", "baseline", "change", "growth_pct", "comparable_change")
    row: dict[str, Any] = {name: number(yml, name, None) for name in decimals}
    row |= {name: yml.take(name, str, None) for name in ("label", "footnote", "of", "minus")}
    row["comparability"] = yml.take("comparability", str, None, COMPARABILITIES)
    row |= {"unit": yml.take("unit", str, None, UNITS), "k": whole(yml, "k", default=None)}
    row["n"] = whole(yml, "n", 1, default=None)
    yml.close()
    return row


def _rankings(yml: Declaration) -> dict[str, list[Mapping[str, Any]]]:
    """{group: units with their printed values}; ranks are computed."""
    content = yml.take("rankings", dict, {})
    holder = Declaration(content, yml.file, f"{yml.at}rankings.", yml.faults)
    rankings: dict[str, list[Mapping[str, Any]]] = {}
    for group in content:
        units = []
        for each in each_of(holder, group):
            name, value = each.take("name", str), number(each, "value")
            code = each.take("code", str, name)
            each.close()
            units.append((code, name, value or Decimal(0)))
        rankings[str(group)] = [
            {
                "unit_code": code,
                "unit_name": name,
                "published": value,
                "rank": 1 + sum(other > value for _, _, other in units),
            }
            for code, name, value in units
        ]
    return rankings


def _mappings(yml: Declaration, key: str) -> list[tuple[str, Declaration]]:
    content = yml.take(key, dict, {})
    holder = Declaration(content, yml.file, f"{yml.at}{key}.", yml.faults)
    found = []
    for name in content:
        if isinstance(name, str):
            found.append((name, holder.nested(name)))
        else:
            holder.fault(str(name), "编号应为文本(加引号)", "an id is text (put it in quotes)")
    return found
