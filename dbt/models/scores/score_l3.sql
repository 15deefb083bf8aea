with

scenario_scores as (

    select * from {{ ref('score_scenarios') }}

),

scenarios as (

    select * from {{ source('reference', 'scenarios') }}

),

channel_weights as (

    select * from {{ source('reference', 'channel_weights') }}

),

tree as (

    select * from {{ ref('score_tree') }}
    where level = 3

),

scope as (

    select * from {{ scope() }}

),

-- every indicator that is defined in the channel, observed or not
cells as (

    select
        scope.wave,
        scope.line_id,
        tree.channel,
        tree.node_code
    from scope
    inner join tree on scope.wave = tree.wave

),

weighted_scenarios as (

    select
        scenario_scores.wave,
        scenario_scores.line_id,
        scenario_scores.channel,
        scenario_scores.indicator_code as node_code,
        scenario_scores.n_observations,
        scenario_scores.n_observed,
        scenario_scores.n_valid,
        scenario_scores.score_nano,
        coalesce(scenarios.weight, 1) as weight
    from scenario_scores
    inner join scope on scenario_scores.wave = scope.wave and scenario_scores.line_id = scope.line_id
    left join scenarios
        on scenario_scores.wave = scenarios.wave and scenario_scores.scenario_code = scenarios.scenario_code

),

by_channel as (

    select
        wave,
        line_id,
        channel,
        node_code,
        sum(n_observations) as n_observations,
        sum(n_observed) as n_observed,
        sum(n_valid) as n_valid,
        {{ half_up('sum(weight * score_nano)', 'sum(case when score_nano is not null then weight end)') }}
            as score_nano
    from weighted_scenarios
    group by wave, line_id, channel, node_code

),

pooled as (

    select
        by_channel.wave,
        by_channel.line_id,
        'all' as channel,
        by_channel.node_code,
        sum(by_channel.n_observations) as n_observations,
        sum(by_channel.n_observed) as n_observed,
        sum(by_channel.n_valid) as n_valid,
        {{ half_up(
            'sum(channel_weights.weight * by_channel.score_nano)',
            'sum(case when by_channel.score_nano is not null then channel_weights.weight end)'
        ) }} as score_nano
    from by_channel
    inner join channel_weights
        on
            by_channel.wave = channel_weights.wave
            and by_channel.node_code = channel_weights.indicator_code
            and by_channel.channel = channel_weights.channel
    where channel_weights.weight > 0
    group by by_channel.wave, by_channel.line_id, by_channel.node_code

),

scored as (

    select * from by_channel
    union all
    select * from pooled

)

select
    cells.wave,
    cells.line_id,
    cells.channel,
    cells.node_code,
    cast(coalesce(scored.n_observations, 0) as bigint) as n_observations,
    cast(coalesce(scored.n_observed, 0) as bigint) as n_observed,
    cast(coalesce(scored.n_valid, 0) as bigint) as n_valid,
    scored.score_nano
from cells
left join scored
    on
        cells.wave = scored.wave
        and cells.line_id = scored.line_id
        and cells.channel = scored.channel
        and cells.node_code = scored.node_code
