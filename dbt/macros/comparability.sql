{#
    The change on comparable basis: the plain one where what it rests on is the same in both waves, else
    that of the rescored waves. `basis`: the word of the wave for the measure; null: there is no baseline.
#}
{% macro comparable_change(basis, plain, rescored) -%}
    cast(case when {{ basis }} = 'same_method' then {{ plain }} else {{ rescored }} end as bigint)
{%- endmacro %}

{# Which of the three holds for one change; null where there is none. #}
{% macro comparability(basis, plain, rescored) -%}
    case
        when {{ basis }} = 'same_method' then case when {{ plain }} is not null then 'same_method' end
        when {{ rescored }} is not null then 'comparable_basis'
        when {{ plain }} is not null then 'not_comparable'
    end
{%- endmacro %}

{# Whether the scores of the waves can be compared: one row per wave that has a baseline. #}
{% macro score_basis() -%}
    select
        wave,
        comparability as basis
    from {{ source('reference', 'baseline_comparability') }}
    where measure = 'mean_score' and {{ wave_in_scope() }}
{%- endmacro %}
