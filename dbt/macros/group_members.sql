{# The sets of lines that have a mean: one row per line and set that it belongs to. `lines`: of a frame. #}
{% macro group_members(lines) -%}
    {%- set sets = {'national': "'all'", 'tier': 'tier', 'province': 'province_code', 'rank_group': 'rank_group'} -%}
    {%- for dimension, member in sets.items() %}
    select
        wave,
        line_id,
        '{{ dimension }}' as dimension,
        {{ member }} as member
    from {{ lines }}
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
{%- endmacro %}
