with

counts as (

    select * from {{ ref('score_answer_counts') }}

),

scope as (

    select * from {{ scope() }}

),

summed as (

    select
        counts.wave,
        counts.line_id,
        counts.channel,
        counts.indicator_code,
        counts.scenario_code,
        cast(sum(counts.n_units) as bigint) as n_observations,
        cast(sum(case when counts.na_code is null then counts.n_units else 0 end) as bigint) as n_observed,
        cast(sum(case when counts.score_nano is not null then counts.n_units else 0 end) as bigint) as n_valid,
        cast(sum(case when counts.na_code = 'missing' then counts.n_units else 0 end) as bigint) as n_missing,
        cast(sum(counts.n_units * counts.score_nano) as bigint) as sum_nano
    from counts
    inner join scope on counts.wave = scope.wave and counts.line_id = scope.line_id
    group by counts.wave, counts.line_id, counts.channel, counts.indicator_code, counts.scenario_code

)

select
    wave,
    line_id,
    channel,
    indicator_code,
    scenario_code,
    n_observations,
    n_observed,
    n_valid,
    n_missing,
    sum_nano,
    {{ half_up('sum_nano', 'n_valid') }} as score_nano
from summed
