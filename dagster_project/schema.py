"""The one declaration of the input: what a bronze table holds, column by column.

Belongs here: tables, columns, types, code lists, keys, and which column needs which.
Does not belong here: how a vendor writes a value (`raw/profiles/`), what a value
scores (`raw/methods/`), where a file lies (`paths.py`).

Times are local wall-clock times of the field work (UTC+8), without a zone.
Every bronze table lies under `bronze/<table>/wave=<wave>/`; the wave is the folder,
not a column of the file.
"""

from dataclasses import dataclass, field

import pyarrow as pa

YES_NO = ("yes", "no")
THREE_FULL = ("full", "partial", "none")
INVALID = ("invalid",)
NOT_APPLICABLE = ("not_applicable",)
NOT_REACHED = ("not_reached",)
NO_REPLY = ("no_reply",)


@dataclass(frozen=True)
class Column:
    """One bronze column. `codes` empty: any value of the type. Null means: not given."""

    name: str
    type: pa.DataType
    description: str
    codes: tuple[str, ...] = ()
    required: bool = False
    # {other column: value}: this column must be given where the other has that value
    required_when: dict[str, str] = field(default_factory=dict)
    # foreign key into the wave's frame ("line") or its method's scenarios ("scenario")
    references: str | None = None
    # free words of the vendor's: any other text without codes identifies something
    is_free: bool = False
    # names a person by a code: a name in its place is refused
    is_person: bool = False
    minimum: int | None = None
    maximum: int | None = None

    @property
    def is_identifier(self) -> bool:
        return self.type == TEXT and not self.codes and not self.is_free


@dataclass(frozen=True)
class Table:
    """One bronze table: `key` is unique; rows are sorted by `order` before writing."""

    name: str
    label: str
    columns: tuple[Column, ...]
    key: str
    order: tuple[str, ...]

    def schema(self) -> pa.Schema:
        """Arrow schema of the Parquet file: the columns, then where each row came from."""
        return pa.schema(
            [pa.field(column.name, column.type, nullable=not column.required) for column in self.columns]
            + list(PROVENANCE)
        )


TEXT, INT, TIME = pa.string(), pa.int64(), pa.timestamp("us")

PROVENANCE = (
    pa.field("source_file", TEXT, nullable=False),
    pa.field("source_sheet", TEXT),
    pa.field("source_row", INT, nullable=False),
)


def _second(name: str, codes: tuple[str, ...], what: str) -> Column:
    return Column(f"second_{name}", TEXT, f"{what}, second coder of a double-coded probe", codes)


GREETING = THREE_FULL + INVALID
TONE = ("warm", "neutral", "cold", *INVALID)
CLARITY = ("clear", "fair", "unclear", *INVALID)
CORRECT = ("correct", "partly", "wrong", *NOT_APPLICABLE, *INVALID)
COMPLETE = ("complete", "partly", "incomplete", *NOT_APPLICABLE, *INVALID)

PHONE_PROBES = Table(
    name="phone_probes",
    label="电话监测问卷",
    key="probe_id",
    order=("line_id", "probe_id"),
    columns=(
        Column("probe_id", TEXT, "Identifier of the probe, unique in the wave", required=True),
        Column("line_id", TEXT, "Line that was called", required=True, references="line"),
        Column("scenario_code", TEXT, "Scenario that the caller played", required=True, references="scenario"),
        Column("called_at", TIME, "Time of the call that was put through", required=True),
        Column("coder_id", TEXT, "Coder who filled in the questionnaire", is_person=True, required=True),
        Column("greeting", TEXT, "Greeting and self-introduction", GREETING),
        Column("tone", TEXT, "Tone and attitude", TONE),
        Column("closing", TEXT, "Closing words", GREETING),
        Column("listening", TEXT, "Listening and confirming the request", GREETING),
        Column("clarity", TEXT, "Clarity of expression", CLARITY),
        Column(
            "registered", TEXT, "Request registered and told so", ("yes", "partial", "no", *NOT_APPLICABLE, *INVALID)
        ),
        Column("ivr_ease", TEXT, "Ease of the voice menu", ("easy", "fair", "hard", *NOT_APPLICABLE, *INVALID)),
        Column("answer_correct", TEXT, "Correctness of the answer", CORRECT),
        Column("answer_complete", TEXT, "Completeness of the answer", COMPLETE),
        Column("responded", TEXT, "Whether the responsible office responded", YES_NO + NOT_APPLICABLE + INVALID),
        Column("responded_at", TIME, "Time of that response", required_when={"responded": "yes"}),
        Column("ticket_no", TEXT, "Ticket number that the line gave"),
        Column("recording_ref", TEXT, "Reference of the recording"),
        Column("second_coder_id", TEXT, "Second coder of a double-coded probe", is_person=True),
        _second("greeting", GREETING, "Greeting and self-introduction"),
        _second("tone", TONE, "Tone and attitude"),
        _second("closing", GREETING, "Closing words"),
        _second("listening", GREETING, "Listening and confirming the request"),
        _second("clarity", CLARITY, "Clarity of expression"),
        _second("answer_correct", CORRECT, "Correctness of the answer"),
        _second("answer_complete", COMPLETE, "Completeness of the answer"),
    ),
)

DIAL_ATTEMPTS = Table(
    name="dial_attempts",
    label="拨测记录",
    key="attempt_id",
    order=("line_id", "attempt_id"),
    columns=(
        Column("attempt_id", TEXT, "Identifier of the dialling, unique in the wave", required=True),
        Column("probe_id", TEXT, "Planned probe that the dialling serves; null for a pure connection test"),
        Column("line_id", TEXT, "Line that was dialled", required=True, references="line"),
        Column(
            "scenario_code",
            TEXT,
            "Scenario of the planned probe; null for a pure connection test",
            references="scenario",
        ),
        Column("dialled_at", TIME, "Time of dialling", required=True),
        Column("connected", TEXT, "Whether a person or the voice menu's agent queue answered", YES_NO, required=True),
        Column(
            "fail_reason",
            TEXT,
            "Why the dialling failed",
            ("busy", "no_answer", "queue_timeout", "out_of_service"),
            required_when={"connected": "no"},
        ),
        Column("ivr_layers", INT, "Layers of the voice menu passed", minimum=0, maximum=20),
        Column(
            "smart_voice", TEXT, "Whether a smart voice service was offered", YES_NO, required_when={"connected": "yes"}
        ),
        Column(
            "wait_s",
            INT,
            "Seconds from dialling to an agent",
            required_when={"connected": "yes"},
            minimum=0,
            maximum=86400,
        ),
    ),
)

REACHED = NOT_REACHED + INVALID

WEB_PROBES = Table(
    name="web_probes",
    label="网络监测记录",
    key="probe_id",
    order=("line_id", "probe_id"),
    columns=(
        Column("probe_id", TEXT, "Identifier of the probe, unique in the wave", required=True),
        Column("line_id", TEXT, "Line whose platform was visited", required=True, references="line"),
        Column(
            "scenario_code", TEXT, "Scenario that was searched for or submitted", required=True, references="scenario"
        ),
        Column("platform", TEXT, "Platform that was visited", required=True, is_free=True),
        Column(
            "probe_kind",
            TEXT,
            "Inspection of the platform, or a submitted request",
            ("inspection", "submission"),
            required=True,
        ),
        Column("visited_at", TIME, "Time of the visit", required=True),
        Column("coder_id", TEXT, "Coder who made the record", is_person=True, required=True),
        Column("reachable", TEXT, "Platform could be reached", YES_NO + INVALID),
        Column("stable", TEXT, "Links and system were stable", ("yes", "partial", "no", *REACHED)),
        Column(
            "registered", TEXT, "An account could be registered and logged in to", ("yes", "partial", "no", *INVALID)
        ),
        Column("submitted_at", TIME, "Time when the request was accepted by the platform; null: it could not be"),
        Column("ticket_no", TEXT, "Ticket number that the platform gave"),
        Column("acknowledged", TEXT, "Receipt was acknowledged", YES_NO + REACHED),
        Column("content_rich", TEXT, "Richness of the content", ("rich", "fair", "poor", *REACHED)),
        Column("keyword_hit", TEXT, "Question was found by keyword search", YES_NO + REACHED),
        Column("navigation_hit", TEXT, "Question was found by navigation", YES_NO + REACHED),
        Column("bot_present", TEXT, "A chat bot was offered", YES_NO),
        Column("replied_at", TIME, "Time of the reply; null: none within the field period"),
        Column("resolved", TEXT, "How far the request was resolved", ("all", "part", "none", *NO_REPLY, *INVALID)),
        Column("reply_quality", TEXT, "Quality of the reply", ("good", "fair", "poor", *INVALID)),
        Column("reply_wording", TEXT, "Wording of the reply", ("good", "fair", "poor", *INVALID)),
    ),
)

EXPORT_TABLES = {table.name: table for table in (PHONE_PROBES, DIAL_ATTEMPTS, WEB_PROBES)}

QUARANTINE = pa.schema(
    [
        pa.field("table_name", TEXT, nullable=False),
        *PROVENANCE,
        pa.field("line_id", TEXT),
        pa.field("codes", TEXT, nullable=False),  # fault codes, joined by "|"
        pa.field("messages", TEXT, nullable=False),  # one line per fault, Chinese and English
        pa.field("raw", TEXT, nullable=False),  # the row as read, JSON object header -> text
    ]
)


def _table(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in fields])


# The declared side of a wave, copied next to its bronze so that dbt reads one place.
# Weights are integers without a common divisor; scores are nanopoints (1 point = 10^9).
REFERENCE_TABLES = {
    "waves": _table(
        ("label", TEXT),
        ("kind", TEXT),
        ("is_synthetic", pa.bool_()),
        ("period_start", TEXT),
        ("period_end", TEXT),
        ("method", TEXT),
        ("frame", TEXT),
        ("baseline_wave", TEXT),
    ),
    "lines": _table(
        ("line_id", TEXT),
        ("city", TEXT),
        ("short_name", TEXT),
        ("division_code", TEXT),
        ("province_code", TEXT),
        ("province", TEXT),
        ("level", TEXT),
        ("tier", TEXT),
        ("tier_basis", TEXT),
        ("rank_group", TEXT),
    ),
    "indicators": _table(
        ("indicator_code", TEXT),
        ("indicator", TEXT),
        ("l2_code", TEXT),
        ("l2", TEXT),
        ("l1_code", TEXT),
        ("l1", TEXT),
        ("unit", TEXT),
        ("l1_weight", INT),
        ("l2_weight", INT),
        ("l3_weight", INT),
    ),
    "channel_weights": _table(("indicator_code", TEXT), ("channel", TEXT), ("weight", INT)),
    "scoring_rules": _table(
        ("rule_code", TEXT),
        ("indicator_code", TEXT),
        ("source", TEXT),
        ("field", TEXT),
        ("match", TEXT),
        ("min_value", INT),
        ("max_value", INT),
        ("score_nano", INT),
        ("na_code", TEXT),
        ("partition_code", TEXT),
        ("label", TEXT),
    ),
    "na_policy": _table(("na_code", TEXT), ("indicator_code", TEXT), ("treatment", TEXT)),
    "scenarios": _table(
        ("scenario_code", TEXT), ("scenario", TEXT), ("department", TEXT), ("request_type", TEXT), ("weight", INT)
    ),
    "line_class_rules": _table(
        ("rule_order", INT),
        ("line_class", TEXT),
        ("label", TEXT),
        ("test", TEXT),
        ("below_pct", INT),
        ("is_ranked", INT),
    ),
    "rank_groups": _table(("group_code", TEXT), ("group_label", TEXT), ("unit", TEXT), ("rank_group", TEXT)),
    "settings": _table(("availability_basis", TEXT), ("min_availability_pct", INT)),
    "line_flags": _table(
        ("flag_code", TEXT), ("indicator_code", TEXT), ("channel", TEXT), ("min_rate_pct", INT), ("label", TEXT)
    ),
    "line_bands": _table(
        ("band_code", TEXT),
        ("partition_code", TEXT),
        ("indicator_code", TEXT),
        ("channel", TEXT),
        ("min_pct", INT),
        ("max_pct", INT),
        ("label", TEXT),
    ),
    "figure_definitions": _table(
        ("figure_order", INT),
        ("figure_id", TEXT),
        ("label", TEXT),
        ("section", TEXT),
        ("unit", TEXT),
        ("kind", TEXT),
        ("measure", TEXT),
        ("dimension", TEXT),
        ("member", TEXT),
        ("channel", TEXT),
        ("code", TEXT),
        ("of_figure", TEXT),
        ("minus_figure", TEXT),
        ("note", TEXT),
    ),
    # how this method's tree came from an older one; empty where the method says nothing of it
    "comparable_with": _table(
        ("baseline_method", TEXT),
        ("baseline_indicator_code", TEXT),
        ("indicator_code", TEXT),
        ("kind", TEXT),
        ("share_pct", INT),
    ),
    # phone probes that were dialled for and have no questionnaire: nothing, or nothing delivered, could be asked
    "open_probes": _table(("line_id", TEXT), ("probe_id", TEXT), ("scenario_code", TEXT), ("is_connected", pa.bool_())),
    # of what a line's scores are made: its bronze rows, its declaration, the method
    "line_inputs": _table(("line_id", TEXT), ("input_fingerprint", TEXT)),
    # from the baseline wave's current release: a change is redone from two published values
    "baseline_figures": _table(("release", TEXT), ("figure_id", TEXT), ("value_centi", INT), ("k", INT), ("n", INT)),
    "baseline_line_scores": _table(("line_id", TEXT), ("channel", TEXT), ("node_code", TEXT), ("published_centi", INT)),
    "baseline_rankings": _table(("group_code", TEXT), ("unit_code", TEXT), ("rank", INT), ("published_centi", INT)),
    "baseline_aggregates": _table(
        ("dimension", TEXT),
        ("member", TEXT),
        ("channel", TEXT),
        ("level", INT),
        ("node_code", TEXT),
        ("published_centi", INT),
    ),
    # whether what a measure rests on is the same in both waves; empty where there is no baseline
    "baseline_comparability": _table(("measure", TEXT), ("comparability", TEXT)),
    # what rescoring on the older tree needs; empty where there is nothing to rescore
    "baseline_indicators": _table(
        ("method", TEXT),
        ("indicator_code", TEXT),
        ("l2_code", TEXT),
        ("l1_code", TEXT),
        ("l1_weight", INT),
        ("l2_weight", INT),
        ("l3_weight", INT),
        ("availability_basis", TEXT),
        ("min_availability_pct", INT),
    ),
    "baseline_leaves": _table(("line_id", TEXT), ("channel", TEXT), ("node_code", TEXT), ("score_nano", INT)),
    "baseline_lines": _table(("line_id", TEXT), ("tier", TEXT), ("province_code", TEXT), ("rank_group", TEXT)),
}

# What a scoring rule may look at, per source: the fields that dbt's staging offers, and whether
# a rule names a text or a range of numbers. A test holds this and stg_answers.sql together.
SCORING_FIELDS: dict[str, dict[str, str]] = {
    "dial_attempt": {"connected": "text", "smart_voice": "text", "wait_s": "number", "ivr_layers": "number"},
    "phone_probe": {
        "greeting": "text", "tone": "text", "closing": "text", "listening": "text", "clarity": "text",
        "registered": "text", "ivr_ease": "text", "answer_correct": "text", "answer_complete": "text",
        "responded": "text", "response_minutes": "number",
    },
    "web_inspection": {
        "reachable": "text", "stable": "text", "registered": "text", "content_rich": "text", "keyword_hit": "text",
        "navigation_hit": "text", "bot_present": "text",
    },
    "web_submission": {
        "registered": "text", "submitted": "text", "acknowledged": "text", "replied": "text", "resolved": "text",
        "reply_quality": "text", "reply_wording": "text", "reply_minutes": "number",
    },
}  # fmt: skip
