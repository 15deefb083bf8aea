-- Read unit by unit only where units are published; scores come from score_answer_counts, which
-- makes sure that one rule matches each.
{{ config(materialized='view') }}

with

answers as (

    select * from {{ ref('stg_answers') }}

),

rules as (

    select * from {{ source('reference', 'scoring_rules') }}

),

na_policy as (

    select * from {{ source('reference', 'na_policy') }}

)

select
    answers.wave,
    answers.line_id,
    answers.channel,
    answers.unit,
    answers.unit_id,
    answers.probe_id,
    answers.scenario_code,
    rules.indicator_code,
    rules.rule_code,
    rules.partition_code,
    {{ score_by_policy() }} as score_nano,
    rules.na_code,
    na_policy.treatment as na_treatment
from answers
inner join rules
    on
        {{ is_answered('answers', 'rules') | indent(8) }}
left join na_policy
    on
        rules.wave = na_policy.wave
        and rules.na_code = na_policy.na_code
        and rules.indicator_code = na_policy.indicator_code
