{# The columns name one row each, in the waves in scope; and the table is not empty there, unless it may be. #}
{% test grain(model, columns, may_be_empty=false) %}
with

duplicates as (

    select
        {{ columns | join(', ') }},
        count(*) as n_rows
    from {{ model }}
    where {{ wave_in_scope() }}
    group by {{ columns | join(', ') }}
    having count(*) > 1

),

counted as (

    select count(*) as n_rows
    from {{ model }}
    where {{ wave_in_scope() }}

)

select
    {% for column in columns -%}
        cast({{ column }} as {{ dbt.type_string() }}) as {{ column }},
    {% endfor -%}
    n_rows
from duplicates
union all
select
    {% for column in columns -%}
        'table is empty' as {{ column }},
    {% endfor -%}
    n_rows
from counted
where n_rows = 0{% if may_be_empty %} and false{% endif %}
{% endtest %}
