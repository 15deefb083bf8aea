{#
    Of every line and channel that has a total, the effective weights of the third level sum to 1
    and the scores weighted with them give the total. Each weight is rounded once (5e-10), each of
    the four means on the way up too: the sums may differ by that much and no more.
#}
{% test effective_weights_close(model) %}
with

leaves as (

    select
        wave,
        line_id,
        channel,
        count(*) as n_leaves,
        sum(effective_weight_nano) as weights,
        sum(1e-9 * effective_weight_nano * score_nano) as weighted_nano
    from {{ model }}
    where {{ wave_in_scope() }} and level = 3 and score_nano is not null
    group by wave, line_id, channel

),

totals as (

    select
        wave,
        line_id,
        channel,
        score_nano
    from {{ model }}
    where {{ wave_in_scope() }} and level = 0 and score_nano is not null

)

select
    totals.wave,
    totals.line_id,
    totals.channel,
    totals.score_nano,
    leaves.weights,
    leaves.weighted_nano
from totals
left join leaves
    on totals.wave = leaves.wave and totals.line_id = leaves.line_id and totals.channel = leaves.channel
where
    leaves.weights is null
    or abs(leaves.weights - 1000000000) > leaves.n_leaves
    or abs(leaves.weighted_nano - totals.score_nano) > 100 * leaves.n_leaves
{% endtest %}
