-- Where the trees of a wave and its baseline differ: both, rescored on their common indicators with the
-- older tree and its weights. A split indicator is met by the mean of its parts by their shares, merged
-- ones by their mean by the older weights; the merged node has the sum of them.
with

older as (

    select * from {{ source('reference', 'baseline_indicators') }}
    where {{ wave_in_scope() }}

),

mapping as (

    select * from {{ source('reference', 'comparable_with') }}
    where kind in ('same', 'renamed', 'split', 'merged') and {{ wave_in_scope() }}

),

baseline_leaves as (

    select * from {{ source('reference', 'baseline_leaves') }}
    where {{ wave_in_scope() }}

),

present_leaves as (

    select * from {{ ref('score_l3') }}
    where {{ wave_in_scope() }}

),

-- an older and a newer indicator that measure the same, and the older one's place in its tree
pairs as (

    select
        older.*,
        mapping.indicator_code as newer_code,
        mapping.kind,
        coalesce(mapping.share_pct, 1) as share_weight,
        min(mapping.baseline_indicator_code) over (
            partition by
                mapping.wave,
                mapping.kind,
                case when mapping.kind = 'merged' then mapping.indicator_code else mapping.baseline_indicator_code end
        ) as common_code
    from mapping
    inner join older
        on
            mapping.wave = older.wave
            and mapping.baseline_method = older.method
            and mapping.baseline_indicator_code = older.indicator_code

),

sides as (

    select distinct
        wave,
        'before' as side,
        indicator_code as leaf_code,
        common_code,
        l3_weight as weight
    from pairs
    union all
    select distinct
        wave,
        'after' as side,
        newer_code as leaf_code,
        common_code,
        share_weight as weight
    from pairs

),

scored_leaves as (

    select
        wave,
        'before' as side,
        line_id,
        channel,
        node_code as leaf_code,
        score_nano
    from baseline_leaves
    union all
    select
        wave,
        'after' as side,
        line_id,
        channel,
        node_code as leaf_code,
        score_nano
    from present_leaves

),

leaves as (

    select
        scored_leaves.*,
        sides.common_code,
        sides.weight
    from scored_leaves
    inner join sides
        on
            scored_leaves.wave = sides.wave
            and scored_leaves.side = sides.side
            and scored_leaves.leaf_code = sides.leaf_code

),

defined_leaves as (

    select distinct
        wave,
        side,
        channel,
        leaf_code,
        common_code,
        weight
    from leaves

),

-- common in a channel is what both waves define there
common_nodes as (

    select
        wave,
        channel,
        common_code,
        sum(case when side = 'before' then weight end) as weight
    from defined_leaves
    group by wave, channel, common_code
    having count(distinct side) = 2

),

placed_nodes as (

    select
        common_nodes.*,
        older.l2_code,
        older.l1_code,
        older.l2_weight,
        older.l1_weight,
        older.availability_basis,
        older.min_availability_pct
    from common_nodes
    inner join older on common_nodes.wave = older.wave and common_nodes.common_code = older.indicator_code

),

branches as (

    select
        wave,
        channel,
        3 as level,
        common_code as node_code,
        l2_code as parent_code,
        weight,
        availability_basis,
        min_availability_pct
    from placed_nodes
    union all
    select distinct
        wave,
        channel,
        2 as level,
        l2_code as node_code,
        l1_code as parent_code,
        l2_weight as weight,
        availability_basis,
        min_availability_pct
    from placed_nodes
    union all
    select distinct
        wave,
        channel,
        1 as level,
        l1_code as node_code,
        'T' as parent_code,
        l1_weight as weight,
        availability_basis,
        min_availability_pct
    from placed_nodes

),

tree as (

    select
        *,
        case when availability_basis = 'count' then 1 else weight end as availability_weight
    from branches

),

counterparts as (

    select
        leaves.wave,
        leaves.side,
        leaves.line_id,
        leaves.channel,
        tree.node_code as parent_code,
        leaves.weight,
        case when tree.availability_basis = 'count' then 1 else leaves.weight end as availability_weight,
        tree.min_availability_pct,
        leaves.score_nano
    from leaves
    inner join tree
        on
            leaves.wave = tree.wave
            and leaves.channel = tree.channel
            and leaves.common_code = tree.node_code
            and tree.level = 3

),

thirds as (

    {{ parent_scores('counterparts', 'wave, side, line_id, channel') }}

),

{% for children, level, parents in [('thirds', 3, 'seconds'), ('seconds', 2, 'firsts'), ('firsts', 1, 'totals')] %}
    weighted_{{ children }} as (

        select
            scores.wave,
            scores.side,
            scores.line_id,
            scores.channel,
            tree.parent_code,
            tree.weight,
            tree.availability_weight,
            tree.min_availability_pct,
            scores.score_nano
        from {{ children }} as scores
        inner join tree
            on
                scores.wave = tree.wave
                and scores.channel = tree.channel
                and scores.node_code = tree.node_code
                and tree.level = {{ level }}

    ),

    {{ parents }} as (

        {{ parent_scores('weighted_' ~ children, 'wave, side, line_id, channel') }}

    ),

{% endfor %}
-- an indicator by the name that it has now; a split one has none
present_names as (

    select distinct
        wave,
        common_code,
        newer_code
    from pairs
    where kind <> 'split'

),

stacked as (

    select
        wave,
        side,
        line_id,
        channel,
        0 as level,
        node_code,
        score_nano
    from totals
    union all
    select
        wave,
        side,
        line_id,
        channel,
        1 as level,
        node_code,
        score_nano
    from firsts
    union all
    select
        wave,
        side,
        line_id,
        channel,
        2 as level,
        node_code,
        score_nano
    from seconds
    union all
    select
        thirds.wave,
        thirds.side,
        thirds.line_id,
        thirds.channel,
        3 as level,
        present_names.newer_code as node_code,
        thirds.score_nano
    from thirds
    inner join present_names
        on thirds.wave = present_names.wave and thirds.node_code = present_names.common_code

),

paired as (

    select
        wave,
        line_id,
        channel,
        level,
        node_code,
        max(case when side = 'before' then score_nano end) as before_nano,
        max(case when side = 'after' then score_nano end) as after_nano
    from stacked
    group by wave, line_id, channel, level, node_code

)

select
    wave,
    line_id,
    channel,
    cast(level as bigint) as level,
    node_code,
    before_nano,
    after_nano,
    cast({{ published_centi('after_nano') }} - {{ published_centi('before_nano') }} as bigint) as change_centi
from paired
