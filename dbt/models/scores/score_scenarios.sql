with

observations as (

    select * from {{ ref('score_observations') }}

),

scope as (

    select * from {{ scope() }}

),

in_scope as (

    select
        observations.wave,
        observations.line_id,
        observations.channel,
        observations.indicator_code,
        -- an attempt belongs to no scenario: its indicators are plain means
        case when observations.unit = 'attempt' then 'none' else observations.scenario_code end as scenario_code,
        observations.score_nano,
        observations.na_code
    from observations
    inner join scope on observations.wave = scope.wave and observations.line_id = scope.line_id

),

summed as (

    select
        wave,
        line_id,
        channel,
        indicator_code,
        scenario_code,
        cast(count(*) as bigint) as n_observations,
        cast(sum(case when na_code is null then 1 else 0 end) as bigint) as n_observed,
        cast(count(score_nano) as bigint) as n_valid,
        cast(sum(score_nano) as bigint) as sum_nano
    from in_scope
    group by wave, line_id, channel, indicator_code, scenario_code

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
    sum_nano,
    {{ half_up('sum_nano', 'n_valid') }} as score_nano
from summed
