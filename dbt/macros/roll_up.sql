{#
    One step up the tree: the weighted mean of the children present, or nothing where less than
    the method's minimum of them is there. `children` has one row per wave, line, channel and
    node of `level`, defined in that channel (absent: score_nano is null).
#}
{% macro roll_up(children, level) %}
with

children as (

    select * from {{ children }}

),

tree as (

    select * from {{ ref('score_tree') }}
    where level = {{ level }}

),

scope as (

    select * from {{ scope() }}

),

weighted_children as (

    select
        children.wave,
        children.line_id,
        children.channel,
        tree.parent_code,
        tree.min_availability_pct,
        tree.availability_weight,
        tree.weight,
        children.score_nano,
        case when children.score_nano is not null then tree.weight end as weight_present,
        case when children.score_nano is not null then tree.availability_weight else 0 end as availability_present
    from children
    inner join scope on children.wave = scope.wave and children.line_id = scope.line_id
    inner join tree
        on
            children.wave = tree.wave
            and children.channel = tree.channel
            and children.node_code = tree.node_code

),

parents as (

    select
        wave,
        line_id,
        channel,
        parent_code as node_code,
        max(min_availability_pct) as min_availability_pct,
        cast(sum(availability_weight) as bigint) as availability_defined,
        cast(sum(availability_present) as bigint) as availability_present,
        {{ half_up('sum(weight * score_nano)', 'sum(weight_present)') }} as mean_nano
    from weighted_children
    group by wave, line_id, channel, parent_code

)

select
    wave,
    line_id,
    channel,
    node_code,
    availability_defined,
    availability_present,
    case
        when 100 * availability_present >= min_availability_pct * availability_defined then mean_nano
    end as score_nano
from parents
{% endmacro %}
