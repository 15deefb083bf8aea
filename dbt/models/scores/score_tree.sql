{{ config(materialized='view') }}

with

indicators as (

    select * from {{ source('reference', 'indicators') }}

),

channel_weights as (

    select * from {{ source('reference', 'channel_weights') }}
    where weight > 0

),

settings as (

    select * from {{ source('reference', 'settings') }}

),

channel_leaves as (

    select
        wave,
        indicator_code,
        channel
    from channel_weights
    union all
    select distinct
        wave,
        indicator_code,
        'all' as channel
    from channel_weights

),

leaves as (

    select
        channel_leaves.channel,
        indicators.*
    from indicators
    inner join channel_leaves
        on indicators.wave = channel_leaves.wave and indicators.indicator_code = channel_leaves.indicator_code

),

nodes as (

    select
        wave,
        channel,
        3 as level,
        indicator_code as node_code,
        indicator as node_label,
        l2_code as parent_code,
        l3_weight as weight
    from leaves
    union all
    select distinct
        wave,
        channel,
        2 as level,
        l2_code as node_code,
        l2 as node_label,
        l1_code as parent_code,
        l2_weight as weight
    from leaves
    union all
    select distinct
        wave,
        channel,
        1 as level,
        l1_code as node_code,
        l1 as node_label,
        'T' as parent_code,
        l1_weight as weight
    from leaves

)

select
    nodes.wave,
    nodes.channel,
    cast(nodes.level as bigint) as level,
    nodes.node_code,
    nodes.node_label,
    nodes.parent_code,
    cast(nodes.weight as bigint) as weight,
    cast(case when settings.availability_basis = 'count' then 1 else nodes.weight end as bigint)
        as availability_weight,
    cast(settings.min_availability_pct as bigint) as min_availability_pct
from nodes
inner join settings on nodes.wave = settings.wave
