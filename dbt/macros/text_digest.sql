{# One digest of many (key, text) pairs, whatever their order in the table. #}
{% macro text_digest(key, text) -%}
    {{ return(adapter.dispatch('text_digest', 'hotline')(key, text)) }}
{%- endmacro %}

{% macro duckdb__text_digest(key, text) -%}
    md5(string_agg({{ key }} || ':' || {{ text }}, ',' order by {{ key }}))
{%- endmacro %}

{% macro spark__text_digest(key, text) -%}
    md5(array_join(
        transform(
            array_sort(collect_list(struct({{ key }} as name, {{ text }} as content))),
            pair -> concat(pair.name, ':', pair.content)
        ),
        ','
    ))
{%- endmacro %}

{# Ordered as the others do it, by bytes. #}
{% macro postgres__text_digest(key, text) -%}
    md5(string_agg({{ key }} || ':' || {{ text }}, ',' order by {{ key }} collate "C"))
{%- endmacro %}
