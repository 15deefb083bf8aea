with

totals as (

    select * from {{ ref('score_total') }}

),

firsts as (

    select * from {{ ref('score_l1') }}

),

seconds as (

    select * from {{ ref('score_l2') }}

),

thirds as (

    select * from {{ ref('score_l3') }}

),

tree as (

    select * from {{ ref('score_tree') }}

),

scope as (

    select * from {{ scope() }}

),

stacked as (

    select
        wave,
        line_id,
        channel,
        0 as level,
        node_code,
        score_nano,
        'availability_below_minimum' as reason
    from totals
    union all
    select
        wave,
        line_id,
        channel,
        1 as level,
        node_code,
        score_nano,
        'availability_below_minimum' as reason
    from firsts
    union all
    select
        wave,
        line_id,
        channel,
        2 as level,
        node_code,
        score_nano,
        'availability_below_minimum' as reason
    from seconds
    union all
    select
        wave,
        line_id,
        channel,
        3 as level,
        node_code,
        score_nano,
        case when n_observations = 0 then 'not_observed' else 'no_valid_observation' end as reason
    from thirds

),

nodes as (

    select
        stacked.wave,
        stacked.line_id,
        stacked.channel,
        stacked.level,
        stacked.node_code,
        stacked.score_nano,
        stacked.reason,
        coalesce(tree.parent_code, 'none') as parent_code,
        coalesce(tree.weight, 1) as weight
    from stacked
    inner join scope on stacked.wave = scope.wave and stacked.line_id = scope.line_id
    left join tree
        on
            stacked.wave = tree.wave
            and stacked.channel = tree.channel
            and stacked.level = tree.level
            and stacked.node_code = tree.node_code

),

-- a node's weight against that of the siblings that are present with it
shares as (

    select
        wave,
        line_id,
        channel,
        level,
        node_code,
        parent_code,
        score_nano,
        reason,
        case when score_nano is null then 0 else weight end as weight_present,
        sum(case when score_nano is null then 0 else weight end)
            over (partition by wave, line_id, channel, level, parent_code) as siblings_present
    from nodes

),

-- the path to the total: products of small whole numbers, divided once
paths as (

    select
        node.wave,
        node.line_id,
        node.channel,
        node.level,
        node.node_code,
        node.score_nano,
        node.reason,
        node.weight_present
        * coalesce(parent.weight_present, 1)
        * coalesce(grandparent.weight_present, 1)
        * coalesce(total.weight_present, 1) as weight_product,
        node.siblings_present
        * coalesce(parent.siblings_present, 1)
        * coalesce(grandparent.siblings_present, 1)
        * coalesce(total.siblings_present, 1) as siblings_product
    from shares as node
    left join shares as parent
        on
            node.wave = parent.wave
            and node.line_id = parent.line_id
            and node.channel = parent.channel
            and node.level = parent.level + 1
            and node.parent_code = parent.node_code
    left join shares as grandparent
        on
            parent.wave = grandparent.wave
            and parent.line_id = grandparent.line_id
            and parent.channel = grandparent.channel
            and parent.level = grandparent.level + 1
            and parent.parent_code = grandparent.node_code
    left join shares as total
        on
            grandparent.wave = total.wave
            and grandparent.line_id = total.line_id
            and grandparent.channel = total.channel
            and grandparent.level = total.level + 1
            and grandparent.parent_code = total.node_code

)

select
    wave,
    line_id,
    channel,
    cast(level as bigint) as level,
    node_code,
    score_nano,
    {{ published_centi('score_nano') }} as published_centi,
    coalesce({{ half_up('1000000000 * weight_product', 'siblings_product') }}, 0) as effective_weight_nano,
    case when score_nano is null then reason end as na_reason
from paths
