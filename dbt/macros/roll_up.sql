{#
    The weighted mean of the children present, or nothing where less than the method's minimum of
    them is there. `children`: a relation with the columns of `keys` and parent_code, weight,
    availability_weight, min_availability_pct, score_nano (null: absent). One row per keys and parent.
#}
{% macro parent_scores(children, keys) %}
select
    {{ keys }},
    node_code,
    availability_defined,
    availability_present,
    case
        when 100 * availability_present >= min_availability_pct * availability_defined then mean_nano
    end as score_nano
from (
    select
        {{ keys }},
        parent_code as node_code,
        max(min_availability_pct) as min_availability_pct,
        cast(sum(availability_weight) as bigint) as availability_defined,
        cast(sum(case when score_nano is not null then availability_weight else 0 end) as bigint)
            as availability_present,
        {{ half_up('sum(weight * score_nano)', 'sum(case when score_nano is not null then weight end)') }} as mean_nano
    from {{ children }}
    group by {{ keys }}, parent_code
) as parents
{% endmacro %}

{#
    One step up the tree. `children` has one row per wave, line, channel and node of `level`,
    defined in that channel (absent: score_nano is null).
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
        children.score_nano
    from children
    inner join scope on children.wave = scope.wave and children.line_id = scope.line_id
    inner join tree
        on
            children.wave = tree.wave
            and children.channel = tree.channel
            and children.node_code = tree.node_code

)

{{ parent_scores('weighted_children', 'wave, line_id, channel') }}
{% endmacro %}
