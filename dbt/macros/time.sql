{# Whole minutes from one time to a later one. #}
{% macro minutes_between(earlier, later) -%}
    {{ return(adapter.dispatch('minutes_between', 'hotline')(earlier, later)) }}
{%- endmacro %}

{% macro duckdb__minutes_between(earlier, later) -%}
    cast({{ idiv('epoch_us(' ~ later ~ ') - epoch_us(' ~ earlier ~ ')', '60000000') }} as bigint)
{%- endmacro %}
