{#
    Scores are integers in nanopoints (1 point = 10^9): the same digits on every engine,
    thread count and row order. Only idiv differs from engine to engine: quotients are whole, towards zero.
#}

{% macro idiv(numerator, denominator) -%}
    {{ return(adapter.dispatch('idiv', 'hotline')(numerator, denominator)) }}
{%- endmacro %}

{% macro duckdb__idiv(numerator, denominator) -%}
    (({{ numerator }}) // ({{ denominator }}))
{%- endmacro %}

{% macro spark__idiv(numerator, denominator) -%}
    (({{ numerator }}) div ({{ denominator }}))
{%- endmacro %}

{# A sum of bigint is numeric there, which `/` would divide into a fraction. #}
{% macro postgres__idiv(numerator, denominator) -%}
    div(cast({{ numerator }} as numeric), cast({{ denominator }} as numeric))
{%- endmacro %}

{# Mean of non-negative integers, rounded half up; null where the denominator is 0 or null. #}
{% macro half_up(numerator, denominator) -%}
    cast({{ idiv('2 * cast(' ~ numerator ~ ' as bigint) + cast(' ~ denominator ~ ' as bigint)',
                 'nullif(2 * cast(' ~ denominator ~ ' as bigint), 0)') }} as bigint)
{%- endmacro %}

{#
    Nanopoints to hundredths as published: half up to 8 decimals first, then to 2. The means on the way
    up are rounded at most six times by half a nanopoint each; the first step takes that noise away, so
    that what is printed is the half-up rounding of the exact value (89.085 prints as 89.09, 88.80499999 as 88.80).
#}
{% macro published_centi(nano) -%}
    {{ half_up(half_up(nano, 10), 1000000) }}
{%- endmacro %}

{# k of n as nanopercent. Divided in two steps: 10^11 k would not fit a BIGINT from 46 million on. #}
{% macro share_nano(k, n) -%}
    {%- set whole = idiv('1000000 * cast(' ~ k ~ ' as bigint)', 'nullif(cast(' ~ n ~ ' as bigint), 0)') -%}
    {%- set rest = '100000 * (1000000 * cast(' ~ k ~ ' as bigint) - ' ~ whole ~ ' * cast(' ~ n ~ ' as bigint))' -%}
    (100000 * {{ whole }} + {{ half_up(rest, n) }})
{%- endmacro %}

{#
    k of n in hundredths of a per cent as published: exactly half up to 8 decimals, then to 2. The nanopercent above
    are rounded themselves, and would be rounded once more. Divided in two steps, as there.
#}
{% macro share_centi(k, n) -%}
    {%- set whole = idiv('1000000 * cast(' ~ k ~ ' as bigint)', 'nullif(cast(' ~ n ~ ' as bigint), 0)') -%}
    {%- set rest = '10000 * (1000000 * cast(' ~ k ~ ' as bigint) - ' ~ whole ~ ' * cast(' ~ n ~ ' as bigint))' -%}
    {{ half_up('10000 * ' ~ whole ~ ' + ' ~ half_up(rest, n), 1000000) }}
{%- endmacro %}

{# Growth of one published value over another in hundredths of a per cent, rounded like a share, away from zero. #}
{% macro growth_centi(later, earlier) -%}
    case
        when {{ earlier }} <= 0 then null
        when {{ later }} >= {{ earlier }} then {{ share_centi('(' ~ later ~ ' - ' ~ earlier ~ ')', earlier) }}
        else -{{ share_centi('(' ~ earlier ~ ' - ' ~ later ~ ')', earlier) }}
    end
{%- endmacro %}
