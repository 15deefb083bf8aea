with

lines as (

    select * from {{ source('reference', 'lines') }}
    where {{ wave_in_scope() }}

),

nodes as (

    select * from {{ ref('score_nodes') }}

),

baseline_lines as (

    select * from {{ source('reference', 'baseline_lines') }}
    where {{ wave_in_scope() }}

),

baseline as (

    select * from {{ source('reference', 'baseline_aggregates') }}
    where {{ wave_in_scope() }}

),

rescored as (

    select * from {{ ref('pub_comparable_scores') }}
    where {{ wave_in_scope() }}

),

score_basis as (

    {{ score_basis() }}

),

members as (

    {{ group_members('lines') }}

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

),

baseline_members as (

    {{ group_members('baseline_lines') }}

),

{% for side, groups in [('before', 'baseline_members'), ('after', 'members')] %}
    rescored_{{ side }} as (

        select
            groups.wave,
            groups.dimension,
            groups.member,
            rescored.channel,
            rescored.level,
            rescored.node_code,
            {{ half_up('sum(rescored.' ~ side ~ '_nano)', 'count(rescored.' ~ side ~ '_nano)') }} as mean_nano
        from {{ groups }} as groups
        inner join rescored on groups.wave = rescored.wave and groups.line_id = rescored.line_id
        group by groups.wave, groups.dimension, groups.member, rescored.channel, rescored.level, rescored.node_code

    ),

{% endfor %}
rescored_means as (

    select
        rescored_after.wave,
        rescored_after.dimension,
        rescored_after.member,
        rescored_after.channel,
        rescored_after.level,
        rescored_after.node_code,
        {{ published_centi('rescored_before.mean_nano') }} as before_centi,
        {{ published_centi('rescored_after.mean_nano') }} as after_centi
    from rescored_after
    inner join rescored_before
        on
            rescored_after.wave = rescored_before.wave
            and rescored_after.dimension = rescored_before.dimension
            and rescored_after.member = rescored_before.member
            and rescored_after.channel = rescored_before.channel
            and rescored_after.level = rescored_before.level
            and rescored_after.node_code = rescored_before.node_code

),

changes as (

    select
        means.*,
        {{ published_centi('means.mean_nano') }} as published_centi,
        cast({{ published_centi('means.mean_nano') }} - baseline.published_centi as bigint) as change_centi,
        rescored_means.before_centi,
        rescored_means.after_centi,
        rescored_means.after_centi - rescored_means.before_centi as rescored_centi
    from means
    left join baseline
        on
            means.wave = baseline.wave
            and means.dimension = baseline.dimension
            and means.member = baseline.member
            and means.channel = baseline.channel
            and means.level = baseline.level
            and means.node_code = baseline.node_code
    left join rescored_means
        on
            means.wave = rescored_means.wave
            and means.dimension = rescored_means.dimension
            and means.member = rescored_means.member
            and means.channel = rescored_means.channel
            and means.level = rescored_means.level
            and means.node_code = rescored_means.node_code

)

select
    changes.wave,
    changes.dimension,
    changes.member,
    changes.channel,
    changes.level,
    changes.node_code,
    changes.n,
    changes.n_na,
    changes.mean_nano,
    changes.published_centi,
    changes.change_centi,
    {{ comparability('score_basis.basis', 'changes.change_centi', 'changes.rescored_centi') }} as comparability,
    {{ comparable_change('score_basis.basis', 'changes.change_centi', 'changes.rescored_centi') }}
        as comparable_change_centi,
    changes.before_centi as comparable_before_centi,
    changes.after_centi as comparable_after_centi
from changes
left join score_basis on changes.wave = score_basis.wave
