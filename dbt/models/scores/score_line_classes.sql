with

answers as (

    select * from {{ ref('score_answers') }}
    where rule_source = 'dial_attempt'

),

scope as (

    select * from {{ scope() }}

),

counts as (

    select
        scope.wave,
        scope.line_id,
        cast(coalesce(sum(case when answers.field is null then answers.n_units end), 0) as bigint) as attempts,
        cast(
            coalesce(
                sum(case when answers.field = 'connected' and answers.answer = 'yes' then answers.n_units end), 0
            ) as bigint
        ) as connected
    from scope
    left join answers on scope.wave = answers.wave and scope.line_id = answers.line_id
    group by scope.wave, scope.line_id

),

classified as (

    {% call line_class('counts') %}counts.wave, counts.line_id{% endcall %}

)

select
    wave,
    line_id,
    attempts,
    connected,
    line_class,
    is_ranked
from classified
