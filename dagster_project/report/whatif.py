"""What the page of other weights computes from: first-level scores of every line, and who is ranked with whom.

Belongs here: the data that the page carries. Does not belong here: the arithmetic, which is that of the
roll-up, done once more in the reader's browser (`static/whatif.js`); other changes of a method than
first-level weights (`hotline whatif`).
"""

from dagster_project.release.reading import Release, Row


def what_if(release: Release) -> Row:
    """{weights, min_availability_pct, is_by_count, lines, groups} as whole numbers and names.

    `weights`: per first-level indicator its node code, name and published weight. `lines`: per line of
    the frame whether its class is ranked, then its first-level scores in nanopoints (null: none), in the
    order of `weights`. `groups`: per ranking its units by code, each as code, name, published rank (null:
    unranked) and the places of its lines in `lines`.
    """
    declared = {row["l1_code"]: int(row["l1_weight"]) for row in release.method("indicators")}
    weights = [(node.code, node.label, declared[node.code]) for node in release.tree.values() if node.level == 1]
    settings = {row["setting"]: row["value"] for row in release.method("settings")}
    return {
        "weights": weights,
        "min_availability_pct": int(settings["min_availability_pct"]),
        "is_by_count": settings["availability_basis"] == "count",
        "lines": [
            [int(release.classes[line_id]["is_ranked"]), *(_nano(release, line_id, code) for code, _, _ in weights)]
            for line_id in release.lines
        ],
        "groups": {group["group_code"]: _units(release, group) for group in release.method("rank_groups")},
    }


def _nano(release: Release, line_id: str, code: str) -> int | None:
    row = release.scores[line_id].get(("all", code))
    nano: int | None = row["score_nano"] if row else None
    return nano


def _units(release: Release, group: dict[str, str]) -> list[list[str | int | None]]:
    column = "province_code" if group["unit"] == "province" else "line_id"
    members: dict[str, list[int]] = {}
    for place, line in enumerate(release.lines.values()):
        members.setdefault(line[column], []).append(place)
    rows = sorted(release.rankings[group["group_code"]], key=lambda row: str(row["unit_code"]))
    return [[row["unit_code"], row["unit_name"], row["rank"], *members[row["unit_code"]]] for row in rows]
