with

lines as (

    select * from {{ source('reference', 'lines') }}
    where {{ wave_in_scope() }}

),

nodes as (

    select * from {{ ref('score_nodes') }}

),

members as (

    select
        wave,
        line_id,
        'national' as dimension,
        'all' as member
    from lines
    union all
    select
        wave,
        line_id,
        'tier' as dimension,
        tier as member
    from lines
    union all
    select
        wave,
        line_id,
        'province' as dimension,
        province_code as member
    from lines
    union all
    select
        wave,
        line_id,
        'rank_group' as dimension,
        rank_group as member
    from lines

),

means as (

    select
        members.wave,
        members.dimension,
        members.member,
        nodes.channel,
        nodes.level,
        nodes.node_code,
        cast(count(nodes.score_nano) as bigint) as n,
        cast(count(*) - count(nodes.score_nano) as bigint) as n_na,
        {{ half_up('sum(nodes.score_nano)', 'count(nodes.score_nano)') }} as mean_nano
    from members
    inner join nodes on members.wave = nodes.wave and members.line_id = nodes.line_id
    group by members.wave, members.dimension, members.member, nodes.channel, nodes.level, nodes.node_code

)

select
    wave,
    dimension,
    member,
    channel,
    level,
    node_code,
    n,
    n_na,
    mean_nano,
    {{ published_centi('mean_nano') }} as published_centi
from means
