with

answers as (

    select answers.*
    from {{ ref('score_answers') }} as answers
    inner join {{ scope() }} as scope on answers.wave = scope.wave and answers.line_id = scope.line_id

),

rules as (

    select * from {{ source('reference', 'scoring_rules') }}
    where {{ wave_in_scope() }}

),

na_policy as (

    select * from {{ source('reference', 'na_policy') }}
    where {{ wave_in_scope() }}

),

kinds as (

    -- the loops are the template's, not the layout's -- noqa: disable=LT02
    {% for asked in answer_sources() -%}
        select
            '{{ asked.source }}' as rule_source,
            '{{ asked.channel }}' as channel,
            '{{ asked.unit }}' as unit
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
    -- noqa: enable=LT02

),

matches as (

    select
        answers.wave,
        answers.line_id,
        answers.rule_source,
        answers.scenario_code,
        rules.indicator_code,
        rules.rule_code,
        answers.n_units
    from answers
    inner join rules
        on
            {{ is_answered('answers', 'rules') | indent(12) }}

),

scored_indicators as (

    select distinct
        wave,
        source as rule_source,
        indicator_code
    from rules

),

-- every unit has every indicator of its kind: what no rule matches must not vanish, what two match must not count twice
balances as (

    select
        answers.wave,
        answers.line_id,
        answers.rule_source,
        answers.scenario_code,
        scored_indicators.indicator_code,
        cast(null as {{ dbt.type_string() }}) as rule_code,
        answers.n_units
    from answers
    inner join scored_indicators
        on
            answers.wave = scored_indicators.wave
            and answers.rule_source = scored_indicators.rule_source
    where answers.field is null
    union all
    select
        wave,
        line_id,
        rule_source,
        scenario_code,
        indicator_code,
        cast(null as {{ dbt.type_string() }}) as rule_code,
        -n_units as n_units
    from matches

),

counts as (

    select
        counted.wave,
        counted.line_id,
        counted.rule_source,
        counted.scenario_code,
        counted.indicator_code,
        counted.rule_code,
        cast(sum(counted.n_units) as bigint) as n_units
    from (
        select * from matches
        union all
        select * from balances
    ) as counted
    group by
        counted.wave, counted.line_id, counted.rule_source, counted.scenario_code, counted.indicator_code,
        counted.rule_code
    having sum(counted.n_units) <> 0

)

select
    counts.wave,
    counts.line_id,
    kinds.channel,
    kinds.unit,
    counts.scenario_code,
    counts.indicator_code,
    counts.rule_code,
    rules.partition_code,
    {{ score_by_policy() }} as score_nano,
    rules.na_code,
    na_policy.treatment as na_treatment,
    counts.n_units
from counts
inner join kinds on counts.rule_source = kinds.rule_source
left join rules on counts.wave = rules.wave and counts.rule_code = rules.rule_code
left join na_policy
    on
        rules.wave = na_policy.wave
        and rules.na_code = na_policy.na_code
        and rules.indicator_code = na_policy.indicator_code
