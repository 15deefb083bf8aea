{#
    What is asked of each kind of unit: a text field that was left open reads `missing`; what that scores
    is the method's business. `schema.SCORING_FIELDS` holds the same lists for the method's checks.
    An attempt belongs to no scenario: its indicators are plain means.
#}
{% macro answer_sources() -%}
    {{ return([
        {
            'source': 'dial_attempt', 'channel': 'phone', 'unit': 'attempt', 'scenario': "'none'",
            'model': 'stg_attempts',
            'text_fields': ['connected', 'smart_voice'],
            'number_fields': ['wait_s', 'ivr_layers'],
        },
        {
            'source': 'phone_probe', 'channel': 'phone', 'unit': 'probe', 'scenario': 'units.scenario_code',
            'model': 'stg_phone_probes',
            'text_fields': ['greeting', 'tone', 'closing', 'listening', 'clarity', 'registered', 'ivr_ease',
                            'answer_correct', 'answer_complete', 'responded'],
            'number_fields': ['response_minutes'],
        },
        {
            'source': 'web_inspection', 'channel': 'web', 'unit': 'probe', 'scenario': 'units.scenario_code',
            'model': 'stg_web_probes', 'probe_kind': 'inspection',
            'text_fields': ['reachable', 'stable', 'registered', 'content_rich', 'keyword_hit', 'navigation_hit',
                            'bot_present'],
            'number_fields': [],
        },
        {
            'source': 'web_submission', 'channel': 'web', 'unit': 'probe', 'scenario': 'units.scenario_code',
            'model': 'stg_web_probes', 'probe_kind': 'submission',
            'text_fields': ['registered', 'submitted', 'acknowledged', 'replied', 'resolved', 'reply_quality',
                            'reply_wording'],
            'number_fields': ['reply_minutes'],
        },
    ]) }}
{%- endmacro %}

{# The units of one kind: one row per unit, with its fields as columns. #}
{% macro units_of(asked) -%}
    (
        select * from {{ ref(asked.model) }}
        {% if asked.probe_kind %}where probe_kind = '{{ asked.probe_kind }}'{% endif %}
    )
{%- endmacro %}

{# The fields of one kind of unit, turned into rows: one row per unit and field. #}
{% macro answers(asked) %}
select
    units.wave,
    units.line_id,
    '{{ asked.channel }}' as channel,
    '{{ asked.source }}' as rule_source,
    '{{ asked.unit }}' as unit,
    units.unit_id,
    units.probe_id,
    units.scenario_code,
    fields.field,
    case fields.field
        {% for field in asked.text_fields -%}
            when '{{ field }}' then coalesce(units.{{ field }}, 'missing')
        {% endfor %}
    end as answer,
    {% if asked.number_fields -%}
        case fields.field
            {% for field in asked.number_fields -%}
                when '{{ field }}' then units.{{ field }}
            {% endfor %}
        end
    {%- else -%}
        cast(null as bigint)
    {%- endif %} as number
from {{ units_of(asked) }} as units
cross join (
    {% for field in asked.text_fields + asked.number_fields -%}
        select '{{ field }}' as field
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
) as fields
{% endmacro %}

{#
    How many units of one kind gave which answer to which field, in one reading of the units: one row
    per line of the scope, scenario, field and answer. A row without a field counts the units
    themselves. `scope_lines`: the lines in scope, numbered by `place`. `ranges`: the ranges into which
    the rules cut the numbers of a field; a number stands there as the lower bound of its range.
#}
{% macro answer_counts(asked, scope_lines, ranges) %}
{%- set fields = asked.text_fields + asked.number_fields -%}
select
    counted.place,
    '{{ asked.source }}' as rule_source,
    counted.scenario_code,
    case
        {% for field in fields -%}
            when counted.of_{{ field }} = 0 then '{{ field }}'
        {% endfor %}
    end as field,
    case
        {% for field in asked.text_fields -%}
            when counted.of_{{ field }} = 0 then coalesce(counted.{{ field }}, 'missing')
        {% endfor %}
    end as answer,
    {% if asked.number_fields -%}
        case
            {% for field in asked.number_fields -%}
                when counted.of_{{ field }} = 0 then counted.{{ field }}
            {% endfor %}
        end
    {%- else -%}
        cast(null as bigint)
    {%- endif %} as number,
    counted.n_units
from (
    select
        units.place,
        units.scenario_code,
        {% for field in fields -%}
            units.{{ field }},
            grouping(units.{{ field }}) as of_{{ field }},
        {% endfor -%}
        count(*) as n_units
    from (
        select
            scope.place,
            {{ asked.scenario }} as scenario_code
            {%- for field in asked.text_fields %},
            units.{{ field }}
            {%- endfor %}
            {%- for field in asked.number_fields %},
            range_of_{{ field }}.min_value as {{ field }}
            {%- endfor %}
        from {{ units_of(asked) }} as units
        inner join {{ scope_lines }} as scope on units.wave = scope.wave and units.line_id = scope.line_id
        {% for field in asked.number_fields -%}
            left join {{ ranges }} as range_of_{{ field }}
                on
                    units.wave = range_of_{{ field }}.wave
                    and range_of_{{ field }}.rule_source = '{{ asked.source }}'
                    and range_of_{{ field }}.field = '{{ field }}'
                    and {{ is_in_range('units.' ~ field, 'range_of_' ~ field) }}
        {% endfor %}
    ) as units
    group by grouping sets (
        (units.place, units.scenario_code)
        {%- for field in fields %},
        (units.place, units.scenario_code, units.{{ field }})
        {%- endfor %}
    )
) as counted
{% endmacro %}

{# Whether a number lies in a range. #}
{% macro is_in_range(number, range) -%}
    {{ number }} >= {{ range }}.min_value and ({{ range }}.max_value is null or {{ number }} < {{ range }}.max_value)
{%- endmacro %}

{# Whether a rule is of this answer: a text, or a number in its range. #}
{% macro is_answered(answers, rules) -%}
    {{ answers }}.wave = {{ rules }}.wave
    and {{ answers }}.rule_source = {{ rules }}.source
    and {{ answers }}.field = {{ rules }}.field
    and (
        {{ answers }}.answer = {{ rules }}.match
        or ({{ is_in_range(answers ~ '.number', rules) }})
    )
{%- endmacro %}

{# What an answer counts as, by the method's policy for its NA code. #}
{% macro score_by_policy() -%}
    cast(
        case
            when rules.na_code is null then rules.score_nano
            when na_policy.treatment = 'zero' then 0
        end as bigint
    )
{%- endmacro %}
