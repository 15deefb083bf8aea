with

answers as (

    select * from {{ ref('stg_answers') }}

),

rules as (

    select * from {{ source('reference', 'scoring_rules') }}

),

na_policy as (

    select * from {{ source('reference', 'na_policy') }}

),

units as (

    select distinct
        wave,
        line_id,
        channel,
        rule_source,
        unit,
        unit_id,
        probe_id,
        scenario_code
    from answers

),

scored_indicators as (

    select distinct
        wave,
        source as rule_source,
        indicator_code
    from rules

),

-- every indicator of a unit's kind, scored or not: what no rule matches must not vanish
expected as (

    select
        units.*,
        scored_indicators.indicator_code
    from units
    inner join scored_indicators
        on units.wave = scored_indicators.wave and units.rule_source = scored_indicators.rule_source

),

matched as (

    select
        answers.wave,
        answers.rule_source,
        answers.unit_id,
        rules.indicator_code,
        rules.rule_code,
        rules.partition_code,
        rules.score_nano,
        rules.na_code
    from answers
    inner join rules
        on
            answers.wave = rules.wave
            and answers.rule_source = rules.source
            and answers.field = rules.field
            and (
                answers.answer = rules.match
                or (
                    answers.number >= rules.min_value
                    and (rules.max_value is null or answers.number < rules.max_value)
                )
            )

),

observations as (

    select
        expected.wave,
        expected.line_id,
        expected.channel,
        expected.unit,
        expected.unit_id,
        expected.probe_id,
        expected.scenario_code,
        expected.indicator_code,
        matched.rule_code,
        matched.partition_code,
        matched.score_nano,
        matched.na_code
    from expected
    left join matched
        on
            expected.wave = matched.wave
            and expected.rule_source = matched.rule_source
            and expected.unit_id = matched.unit_id
            and expected.indicator_code = matched.indicator_code

)

select
    observations.wave,
    observations.line_id,
    observations.channel,
    observations.unit,
    observations.unit_id,
    observations.probe_id,
    observations.scenario_code,
    observations.indicator_code,
    observations.rule_code,
    observations.partition_code,
    cast(
        case
            when observations.na_code is null then observations.score_nano
            when na_policy.treatment = 'zero' then 0
        end as bigint
    ) as score_nano,
    observations.na_code,
    na_policy.treatment as na_treatment
from observations
left join na_policy
    on
        observations.wave = na_policy.wave
        and observations.na_code = na_policy.na_code
        and observations.indicator_code = na_policy.indicator_code
