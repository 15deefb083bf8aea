{# One digest of many (key, text) pairs, whatever their order in the table. #}
{% macro text_digest(key, text) -%}
    md5(string_agg({{ key }} || ':' || {{ text }}, ',' order by {{ key }}))
{%- endmacro %}
