"""The report's own text: sentences chosen and filled by the figures of a release, each with its claims.

Belongs here: reading the template and a wave's recommendations, choosing and filling sentences,
judging what they claim. Does not belong here: the sentences (`raw/narratives/`, `raw/<wave>/`).

A sentence is a list of variants; the first whose conditions (`when`) hold and whose figures all have
a value is written, none if there is no such variant. Numbers, names and words of direction enter a
text through placeholders, which make the claims: `{level:total.score}`. See raw/narratives/default.yml.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dagster_project.claims.claim import (
    DIRECTIONS,
    Claim,
    Count,
    Difference,
    Growth,
    Level,
    Ordering,
    Rank,
    RankSet,
    Row,
    Share,
    World,
    printed,
)
from dagster_project.claims.declared import claims_under, each_of, read_yaml, require_known
from dagster_project.claims.wording import DOWN_WORDS, UP_WORDS, is_wide, judged, place_words, unbound_numbers
from dagster_project.errors import GateFailed
from dagster_project.ingest.declaration import Declaration
from dagster_project.ingest.faults import reject, shown
from dagster_project.ingest.reference import declared_ids
from dagster_project.paths import PROJECT, Paths

CLAIMS = "claims.json"
PLACEHOLDER = re.compile(r"\{([a-z]+):([^{}:]*)(?::([^{}]*))?\}")
CHANGE_UNITS = {"point": "分", "percent": "个百分点", "count": ""}
COLONS = ":\uff1a"
VALUE_UNITS = {"point": "分", "percent": "%", "count": ""}
# How a change is put into words; `{value}`, `{unit}` and `{comparable}` are filled in.
WORDS = (
    "up",
    "down",
    "same",
    "not_comparable",
    "plain_only",
    "growth_up",
    "growth_down",
    "growth_same",
    "growth_not_comparable",
)

Claimed = tuple[Claim, str | None]  # a claim and the words that make it; None: the whole sentence
Filled = tuple[str, list[Claim]]


@dataclass(frozen=True)
class Variant:
    """One wording of a sentence."""

    text: str
    when: tuple[Claim, ...]
    claims: tuple[Claimed, ...]


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    sentences: tuple[tuple[Variant, ...], ...]


@dataclass(frozen=True)
class Template:
    words: Mapping[str, str]
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Recommendation:
    title: str
    variant: Variant
    place: str


@dataclass(frozen=True)
class Text:
    """What the text of a wave is written from."""

    template: Template
    recommendations: tuple[Recommendation, ...]


@dataclass(frozen=True)
class Sources:
    """The files that the text of a wave is made from. `recommendations`: None where the wave has none."""

    template: Path
    recommendations: Path | None


def sources(paths: Paths, wave: str) -> Sources:
    """The installation's own template, or the project's where it has none; the wave's recommendations."""
    own = paths.raw / "narratives" / "default.yml"
    recommendations = paths.wave_raw(wave) / "recommendations.yml"
    return Sources(
        template=own if own.is_file() else PROJECT / "raw" / "narratives" / "default.yml",
        recommendations=recommendations if recommendations.is_file() else None,
    )


def claims_of(release: Path, wave: str, text: Text, baseline: Path | None = None) -> dict[str, Any]:
    """The content of claims.json for a release folder; `baseline`: the folder that changes are measured against.

    Raises InputRejected where a recommendation is about a figure without value. False claims are in the
    result: see `require`.
    """
    template = text.template
    world = read_world(release, baseline)
    sections: list[dict[str, Any]] = [
        {
            "id": section.id,
            "title": section.title,
            "sentences": [
                written
                for variants in section.sentences
                if (written := _first(variants, world, template.words)) is not None
            ],
        }
        for section in template.sections
    ]
    advice = [{"title": each.title, **_advice(each, world, template.words)} for each in text.recommendations]
    texts = [*(sentence for section in sections for sentence in section["sentences"]), *advice]
    verdicts = [claim for each in texts for claim in each["claims"]]
    return {
        "wave": wave,
        "sections": sections,
        "recommendations": advice,
        "counts": {"n_claims": len(verdicts), "n_false": sum(not verdict["holds"] for verdict in verdicts)},
    }


def require(claims: Mapping[str, Any]) -> None:
    """Raise GateFailed with every false claim: its sentence, what it claims, what was computed."""
    sentences = [sentence for section in claims["sections"] for sentence in section["sentences"]]
    texts = [*sentences, *claims["recommendations"]]
    lines = [
        f"「{text['text']}」: {verdict['type']} {', '.join(verdict['figures'])}: "
        f"所述 {verdict['claimed']},计算 {verdict['computed']} / "
        f"claimed {verdict['claimed']}, computed {verdict['computed']}"
        for text in texts
        for verdict in text["claims"]
        if not verdict["holds"]
    ]
    if lines:
        head = (
            f"{claims['wave']}:{len(lines)} 项表述与数据不符,未发布 / {len(lines)} claim(s) do not hold; not published"
        )
        raise GateFailed("\n".join([f"{head}:", *lines]))


def as_json(claims: Mapping[str, Any]) -> str:
    return json.dumps(claims, ensure_ascii=False, indent=1) + "\n"


# --- reading -----------------------------------------------------------------------------------


def read_text(paths: Paths, wave: str, method: str) -> Text:
    """The text of a wave, with all that can be known of it before there is a release.

    The template serves every wave: it may name what any method version beside it declares.
    Recommendations may name what the wave's own does. Raises InputRejected with every fault of both
    files and its place.
    """
    text, faults = _read(paths, wave, method)
    if faults:
        reject(wave, faults)
    return text


def text_faults(paths: Paths, wave: str, method: str) -> list[str]:
    """Every fault for which `read_text` would refuse the text, with its place."""
    return _read(paths, wave, method)[1]


def _read(paths: Paths, wave: str, method: str) -> tuple[Text, list[str]]:
    files = sources(paths, wave)
    yml = read_yaml(files.template, f"narratives/{files.template.name}")
    template = _template(yml, _declared(files.template.parent.parent.glob("methods/*")))
    faults = yml.faults
    recommendations: tuple[Recommendation, ...] = ()
    if files.recommendations is not None:
        yml = read_yaml(files.recommendations, f"{wave}/{files.recommendations.name}")
        recommendations = _recommendations(yml, _declared([paths.method(method)]))
        faults = [*faults, *yml.faults]
    return Text(template, recommendations), faults


def read_world(release: Path, baseline: Path | None = None) -> World:
    """The figures and rankings of a release folder; figures with the baseline's printed value beside them."""
    before = {row["id"]: row["value"] for row in _figures(baseline)} if baseline else {}
    figures: dict[str, Row] = {row["id"]: {**row, "baseline": before.get(row["id"])} for row in _figures(release)}
    rankings: dict[str, list[Row]] = {}
    for row in pq.ParquetFile(release / "rankings.parquet").read().to_pylist():
        rankings.setdefault(row["group_code"], []).append(row)
    return World(figures, rankings)


def _figures(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "figures.json").read_text(encoding="utf-8"), parse_float=Decimal)
    return rows


def _declared(methods: Iterable[Path]) -> World:
    """The figures and groups of method versions, by name alone."""
    figures: set[str] = set()
    groups: set[str] = set()
    for method in methods:
        figures |= declared_ids(method, "figure_definitions")
        groups |= declared_ids(method, "rank_groups")
    return World({figure: {} for figure in figures}, dict.fromkeys(groups, ()))


def _template(yml: Declaration, known: World) -> Template:
    if yml.faults:  # it could not be read
        return Template({}, ())
    words = yml.nested("words")
    said = {word: words.take_prose(word) or "" for word in WORDS}
    words.close()
    sections = tuple(_section(each, known) for each in each_of(yml, "sections"))
    if len({section.id for section in sections}) < len(sections):
        yml.fault("sections", "id 重复", "an id is duplicated")
    yml.close()
    return Template(said, sections)


def _recommendations(yml: Declaration, known: World) -> tuple[Recommendation, ...]:
    if yml.faults:  # it could not be read
        return ()
    found = []
    for each in each_of(yml, "recommendations"):
        title: str = each.take_prose("title") or ""
        if unbound_numbers(title, ()):
            each.fault("title", "标题不可含数字", "a title holds no numbers")
        place = f"{yml.file}: {each.at.rstrip('.')}"
        found.append(Recommendation(title, _variant(each, known, is_advice=True), place))
    yml.close()
    return tuple(found)


def _section(yml: Declaration, known: World) -> Section:
    section = Section(yml.take("id", str) or "", yml.take_prose("title") or "", ())
    sentences = []
    for at, item in enumerate(yml.take("sentences", list) or []):
        variants = item if isinstance(item, list) else [item]
        holder = Declaration({f"sentences[{at}]": variants}, yml.file, yml.at, yml.faults)
        sentences.append(tuple(_variant(each, known) for each in each_of(holder, f"sentences[{at}]")))
    yml.close()
    return Section(section.id, section.title, tuple(sentences))


def _variant(yml: Declaration, known: World, is_advice: bool = False) -> Variant:
    text: str = yml.take_prose("text") or ""
    when = () if is_advice else tuple(claim for claim, _ in claims_under(yml, "when"))
    claims = tuple(claims_under(yml))
    for key, named in (("when", when), ("claims", tuple(claim for claim, _ in claims))):
        for claim in named:
            require_known(yml, key, claim, known)
    for name, figure, argument in PLACEHOLDER.findall(text):
        if name not in PLACEHOLDERS:
            place = shown(f"{{{name}:{figure}}}")
            yml.fault("text", f"没有占位符 {place}", f"no such placeholder; there are {', '.join(PLACEHOLDERS)}")
        elif name == "top" and not re.fullmatch(r"[1-9][0-9]?", argument):
            yml.fault("text", "{top:组:名次} 须有名次", "{top:group:rank} needs a rank")
        for unknown in _unknown(name, figure, known):
            yml.fault("text", f"没有指标或排名「{shown(unknown)}」", "there is no such figure or ranking")
    plain = PLACEHOLDER.sub("", text)
    if "{" in plain or "}" in plain:
        yml.fault("text", "花括号只用于占位符", "braces are for placeholders alone")
    unbound = unbound_numbers(plain, claims)
    if unbound:
        yml.fault("text", f"数字 {unbound[0]} 不属于任何表述", "a number that no claim states; use a placeholder")
    literals = "".join(figure for name, figure, _ in PLACEHOLDER.findall(text) if name == "text")
    if re.search(r"\d\.\d", literals):
        yml.fault("text", "{text:…} 只用于名称中的整数", "{text:…} is for whole numbers within a name")
    if not is_advice and not claims and any(word in plain + literals for word in (*UP_WORDS, *DOWN_WORDS)):
        yml.fault("text", "升降词须由 {change:…} 或 {growth:…} 写出", "words of direction come from placeholders")
    yml.close()
    return Variant(text, when, claims)


def _unknown(name: str, what: str, known: World) -> list[str]:
    """What a placeholder names and is not declared."""
    if name in ("highest", "lowest"):
        return [each for each in what.split(",") if not any(fnmatchcase(figure, each) for figure in known.figures)]
    if name == "top":
        return [] if what in known.rankings else [what]
    return [] if name == "text" or name not in PLACEHOLDERS or what in known.figures else [what]


# --- writing -----------------------------------------------------------------------------------


def _first(variants: Sequence[Variant], world: World, words: Mapping[str, str]) -> dict[str, Any] | None:
    for variant in variants:
        conditions = [claim.judge(world) for claim in variant.when]
        if all(condition.holds for condition in conditions):
            written = _written(variant, world, words)
            if written is not None:
                written["claims"] = [*(each.to_json() for each in conditions), *written["claims"]]
                return written
    return None


def _advice(each: Recommendation, world: World, words: Mapping[str, str]) -> dict[str, Any]:
    written = _written(each.variant, world, words)
    if written is None:
        reject(
            each.place,
            [f"{each.place}: 文中指标在本期没有数值 / a figure that the text names has no value in this wave"],
        )
    return written


def _written(variant: Variant, world: World, words: Mapping[str, str]) -> dict[str, Any] | None:
    """Text and verdicts of a variant; None where a placeholder can not be filled."""
    pieces: list[str] = []
    claimed: list[Claimed] = []
    end = 0
    for found in PLACEHOLDER.finditer(variant.text):
        filled = PLACEHOLDERS[found[1]](world, words, found[2], found[3] or "")
        if filled is None:
            return None
        pieces += [variant.text[end : found.start()], filled[0]]
        claimed += [(claim, filled[0]) for claim in filled[1]]
        end = found.end()
    text = "".join([*pieces, variant.text[end:]])
    verdicts = [each for claim, said in (*claimed, *variant.claims) for each in judged(claim, said or text, world)]
    return {"text": text, "claims": [each.to_json() for each in verdicts]}


def _level(world: World, _words: Mapping[str, str], figure: str, _argument: str) -> Filled | None:
    value, unit = world.number(figure), world.unit(figure)
    if value is None:
        return None
    claim = Count(figure, int(value)) if unit == "count" else Level(figure, value)
    return printed(value, unit), [claim]


def _change(world: World, words: Mapping[str, str], figure: str, argument: str) -> Filled | None:
    """`argument`: what is counted, for a figure that is a count."""
    change, unit = world.number(figure, "change"), world.unit(figure)
    if change is None:
        return None
    direction = DIRECTIONS[(change > 0) - (change < 0)]
    word, filling = direction, {"value": printed(abs(change), unit), "unit": argument or CHANGE_UNITS.get(unit, "")}
    if not world.is_plain(figure):
        comparable = world.number(figure, "comparable_change")
        word = "plain_only" if comparable is None else "not_comparable"
        filling |= {"value": _with_sign(change, unit), "comparable": _with_sign(comparable, unit)}
    return _put(words[word], filling), [Difference(figure, change, direction)]


def _growth(world: World, words: Mapping[str, str], figure: str, _argument: str) -> Filled | None:
    growth = world.number(figure, "growth_pct")
    if growth is None:
        return None
    word, value = f"growth_{DIRECTIONS[(growth > 0) - (growth < 0)]}", printed(abs(growth))
    if not world.is_plain(figure):
        word, value = "growth_not_comparable", _with_sign(growth)
    return _put(words[word], {"value": value}), [Growth(figure, growth)]


def _share(world: World, _words: Mapping[str, str], figure: str, _argument: str) -> Filled | None:
    value, k, n = world.number(figure), world.whole(figure, "k"), world.whole(figure, "n")
    if value is None or k is None or n is None:
        return None
    return f"{printed(value)}%（{k}/{n}）", [Share(figure, value, k, n)]


def _whole(world: World, _words: Mapping[str, str], figure: str, _argument: str) -> Filled | None:
    """The n of a share or of a count."""
    value, k, n = world.number(figure), world.whole(figure, "k"), world.whole(figure, "n")
    if value is None or k is None or n is None:
        return None
    return str(n), [Count(figure, k, n) if world.unit(figure) == "count" else Share(figure, value, k, n)]


def _top(world: World, _words: Mapping[str, str], group: str, argument: str) -> Filled | None:
    """The units of the first places, as they are listed, each with its set of ranks where that is wide."""
    ranked = [row for row in world.rankings.get(group, ()) if row["rank"] is not None]
    rows = [row for row in ranked if row["rank"] <= int(argument)]
    wide = {row["unit_code"] for row in rows if is_wide(row, len(ranked))}
    names = [
        row["unit_name"] + (f"（{place_words(row, len(ranked))}）" if row["unit_code"] in wide else "") for row in rows
    ]
    claims: list[Claim] = [Rank(group, row["unit_code"], row["rank"]) for row in rows]
    claims += [
        RankSet(group, row["unit_code"], row["rank_low"], row["rank_high"]) for row in rows if row["unit_code"] in wide
    ]
    return ("、".join(names), claims) if rows else None


def _extreme(is_highest: bool) -> Callable[[World, Mapping[str, str], str, str], Filled | None]:
    def fill(world: World, _words: Mapping[str, str], pattern: str, argument: str) -> Filled | None:
        """The one figure among those named (`*` for any characters); `argument` is cut off the end of its label."""
        names = [name for name in world.figures if any(fnmatchcase(name, each) for each in pattern.split(","))]
        values = {name: value for name in names if (value := world.number(name)) is not None}
        if len(values) < 2:
            return None
        best = (max if is_highest else min)(values.values())
        found = [name for name, value in values.items() if value == best]
        if len(found) > 1:
            return None
        row, unit = world.figures[found[0]], world.unit(found[0])
        label = str(row["label"]).removesuffix(argument).rstrip(COLONS)
        direction = "decreasing" if is_highest else "increasing"
        others = [Ordering((found[0], other), direction) for other in values if other != found[0]]
        text = f"{label}（{printed(best, unit)}{VALUE_UNITS.get(unit, '')}）"
        return text, [Level(found[0], best), *others]

    return fill


def _literal(_world: World, _words: Mapping[str, str], text: str, _argument: str) -> Filled:
    """Digits that are no claim, but part of a name: `{text:3天内}`."""
    return text, []


def _with_sign(value: Decimal | None, unit: str = "") -> str:
    sign = "" if value is None or value == 0 else "+" if value > 0 else "−"
    return f"{sign}{printed(None if value is None else abs(value), unit)}"


def _put(words: str, filling: Mapping[str, str]) -> str:
    for name, value in filling.items():
        words = words.replace(f"{{{name}}}", value)
    return words


PLACEHOLDERS: dict[str, Callable[[World, Mapping[str, str], str, str], Filled | None]] = {
    "level": _level,
    "change": _change,
    "growth": _growth,
    "share": _share,
    "whole": _whole,
    "top": _top,
    "highest": _extreme(is_highest=True),
    "lowest": _extreme(is_highest=False),
    "text": _literal,
}
