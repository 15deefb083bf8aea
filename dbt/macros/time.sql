{# Whole minutes from one time to a later one. #}
{% macro minutes_between(earlier, later) -%}
    {{ return(adapter.dispatch('minutes_between', 'hotline')(earlier, later)) }}
{%- endmacro %}

{% macro duckdb__minutes_between(earlier, later) -%}
    cast({{ idiv('epoch_us(' ~ later ~ ') - epoch_us(' ~ earlier ~ ')', '60000000') }} as bigint)
{%- endmacro %}

{# Times have no zone; the session's is UTC. #}
{% macro spark__minutes_between(earlier, later) -%}
    {{ idiv(
        'unix_micros(cast(' ~ later ~ ' as timestamp)) - unix_micros(cast(' ~ earlier ~ ' as timestamp))',
        '60000000'
    ) }}
{%- endmacro %}

{% macro postgres__minutes_between(earlier, later) -%}
    cast({{ idiv('extract(epoch from ' ~ later ~ ') - extract(epoch from ' ~ earlier ~ ')', '60') }} as bigint)
{%- endmacro %}
